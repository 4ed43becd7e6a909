"""Dataloaders of one operation: every edge is answered for all of its parents with one statement."""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiodataloader import DataLoader

from api.db.pools import Database, Snapshot
from api.reads.batches import batch_sql
from api.reads.declarations import ENTITIES, BatchRead, KeptRead, Record
from api.reads.kept import KeptAnswers, Reader
from api.reads.pages import Page, PageRequest, by_ids_sql, count_sql, cut, page_sql

WHOLE_TABLE = "whole table"
"""The parent of a connection that has none."""


class Loaders:
    """The loaders of one operation over one snapshot; ``reset`` starts anew after a write."""

    def __init__(self, database: Database, organization_id: int, kept: KeptAnswers | None = None) -> None:
        self.organization_id = organization_id
        self.snapshot = Snapshot(database, organization_id)
        self._kept = KeptAnswers() if kept is None else kept
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        self._remembered: dict[str, tuple[frozenset[str], dict[Any, Record]]] = {}

    async def reset(self) -> None:
        """Forgets what was read, so that a later read sees what has been committed since."""
        self._loaders.clear()
        self._remembered.clear()
        await self.snapshot.renew()

    async def close(self) -> None:
        """Gives the connection back, for good."""
        await self.snapshot.close()

    def remember(self, entity: str, rows: Iterable[Record]) -> None:
        """Keeps rows, all with the same columns, that a service has read from the snapshot."""
        by_id = {row["id"]: row for row in rows}
        columns = frozenset(next(iter(by_id.values())).keys() if by_id else ())
        self._remembered[entity] = (columns, by_id)

    def hold(self, written: Mapping[tuple[str, Any], Record]) -> None:
        """Answers for whole rows, by table and id, as they are given here, until the next ``reset``."""
        if not written:
            return
        shown = {entity.table.name: name for name, entity in ENTITIES.items()}
        for (table, row_id), row in written.items():
            entity = shown.get(table)
            if entity is not None:
                self._loader(("row", entity), self._load_rows, entity).prime(row_id, row)

    async def row(self, entity: str, row_id: Any) -> Record | None:
        """The row with this id, or None."""
        row: Record | None = await self._load(("row", entity), self._load_rows, entity, row_id)
        return row

    async def rows(self, entity: str, row_ids: Sequence[Any]) -> list[Record | None]:
        """The rows with these ids, None for each that is not there."""
        return list(await asyncio.gather(*(self.row(entity, row_id) for row_id in row_ids)))

    async def rows_by_id(self, entity: str, columns: Sequence[str], row_ids: Iterable[Any]) -> dict[Any, Record]:
        """These columns, the id among them, of the rows with these ids, as far as they are there; None is no id.

        Rows that are remembered are not read again, where they have these columns.
        """
        ids = list(dict.fromkeys(row_id for row_id in row_ids if row_id is not None))
        held, known = self._remembered.get(entity, (frozenset(), {}))
        if not ids:
            return {}
        if held.issuperset(columns) and known.keys() >= set(ids):
            return {row_id: known[row_id] for row_id in ids}
        sql, parameters = by_ids_sql(ENTITIES[entity], columns, self.organization_id, ids)
        return {row["id"]: row for row in await self.snapshot.fetch(sql, *parameters)}

    async def bulk(self, entity: str, row_ids: Sequence[Any]) -> list[Record]:
        """The same for thousands of rows, which are not kept, and without those that are not there."""
        return [row for row in await self._load_rows(entity, row_ids) if row is not None]

    async def page(self, request: PageRequest, parent: Any) -> Page:
        """One parent's page of a connection; ``parent`` WHOLE_TABLE where it has none."""
        page: Page = await self._load(("page", _identity(request)), self._load_pages, request, parent)
        return page

    async def total(self, request: PageRequest, parent: Any) -> int:
        """How many rows one parent's connection has, over all pages."""
        name = ("total", request.read.entity, request.read.foreign_column, repr(request.values))
        total: int = await self._load(name, self._load_totals, request, parent)
        return total

    async def batch(self, read: BatchRead, key: Any, arguments: Mapping[str, Any]) -> Any:
        """One parent's answer of a batch field."""
        name = ("batch", id(read), repr(sorted(arguments.items())))
        return await self._load(name, self._load_batch, (read, arguments), key)

    async def kept(self, read: KeptRead, key: Any, arguments: Mapping[str, Any]) -> Any:
        """One parent's answer of a field whose answers are kept."""
        name = ("kept", id(read), repr(sorted(arguments.items())))
        return await self._load(name, self._load_kept, (read, arguments), key)

    def _loader(self, name: Hashable, load: Any, about: Any) -> DataLoader[Any, Any]:
        loader = self._loaders.get(name)
        if loader is None:
            loader = self._loaders[name] = DataLoader(partial(load, about))
        return loader

    async def _load(self, name: Hashable, load: Any, about: Any, key: Any) -> Any:
        # Shielded, because several fields wait for one future: graphql-core cancels the siblings of a field that fails,
        # and a cancelled waiter would cancel the future under those of another branch.
        loaded = self._loader(name, load, about).load(key)
        try:
            return await asyncio.shield(loaded)
        except asyncio.CancelledError:
            # Should it fail yet, then because the operation is over: nobody needs to hear of that.
            loaded.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def _load_rows(self, entity_name: str, ids: Sequence[Any]) -> list[Record | None]:
        entity = ENTITIES[entity_name]
        columns = [column.name for column in entity.table.columns]
        sql, parameters = by_ids_sql(entity, columns, self.organization_id, ids)
        found = {row["id"]: row for row in await self.snapshot.fetch(sql, *parameters)}
        return [found.get(row_id) for row_id in ids]

    async def _load_pages(self, request: PageRequest, parents: Sequence[Any]) -> list[Page]:
        entity = ENTITIES[request.read.entity]
        columns = [column.name for column in entity.table.columns]
        keys = None if request.read.foreign_column is None else parents
        sql, parameters = page_sql(request, columns, self.organization_id, keys)
        rows = await self.snapshot.fetch(sql, *parameters)
        if keys is None:
            return [cut(request, rows)] * len(parents)
        by_parent: dict[Any, list[Record]] = defaultdict(list)
        for row in rows:
            by_parent[row["parent_key"]].append(row)
        return [cut(request, by_parent[parent]) for parent in parents]

    async def _load_totals(self, request: PageRequest, parents: Sequence[Any]) -> list[int]:
        keys = None if request.read.foreign_column is None else parents
        sql, parameters = count_sql(request, self.organization_id, keys)
        rows = await self.snapshot.fetch(sql, *parameters)
        if keys is None:
            return [rows[0]["total"]] * len(parents)
        totals = {row["parent_key"]: row["total"] for row in rows}
        return [totals.get(parent, 0) for parent in parents]

    async def _load_batch(self, about: tuple[BatchRead, Mapping[str, Any]], keys: Sequence[Any]) -> list[Any]:
        read, arguments = about
        sql, parameters = batch_sql(read.select, arguments, self.organization_id, keys)
        answers = {row[0]: read.select.answer(row[1]) for row in await self.snapshot.fetch(sql, *parameters)}
        return [answers[key] for key in keys]

    async def _load_kept(self, about: tuple[KeptRead, Mapping[str, Any]], keys: Sequence[Any]) -> list[Any]:
        read, arguments = about
        versions = dict(zip(keys, await self._load_batch((read.versions, {}), keys), strict=True))
        reader = Reader(self.organization_id, self.snapshot.fetch, in_transaction=True)
        answers = await self._kept.get(read, arguments, versions, reader)
        return [answers[key] for key in keys]


def _identity(request: PageRequest) -> str:
    return repr(
        (
            request.read.entity,
            request.read.foreign_column,
            request.order,
            request.size,
            request.is_backward,
            request.after,
            request.before,
            request.values,
        )
    )
