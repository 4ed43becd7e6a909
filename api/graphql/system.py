"""How the server is doing, as far as clients may know."""

from datetime import datetime
from decimal import Decimal
from importlib import metadata

import strawberry

from api.domain.money import ratio_or_none
from api.graphql.context import Info, Process
from api.graphql.scalars import BigInt
from api.reads import system as reads

VERSION = metadata.version("tranche")


@strawberry.type(description="One of the caches of the server process that answers, since it was started.")
class CacheHealth:
    """One of the caches of this server process."""

    name: str = strawberry.field(description="What it holds: `fundMetrics`, `documents`.")
    hits: BigInt = strawberry.field(description="How often an answer was there that still held.")
    misses: BigInt = strawberry.field(description="How often one had to be worked out, or waited for.")
    hit_rate: Decimal | None = strawberry.field(
        description="Hits / (hits + misses); null before anything was looked for."
    )
    entry_count: int = strawberry.field(description="How many answers it holds.")
    bytes: BigInt = strawberry.field(description="What they take of memory, by estimate.")


@strawberry.type(description="The database that the server reads from.")
class DatabaseHealth:
    """The database that the server reads from."""

    version: str = strawberry.field(description="The version of PostgreSQL.")


@strawberry.type(description="How far the database is migrated.")
class MigrationHealth:
    """How far the database is migrated."""

    current: str | None = strawberry.field(description="The revision that the database is at; null for none at all.")
    newest: str = strawberry.field(description="The revision that the server was written for.")
    is_current: bool = strawberry.field(description="Whether the two are the same.")


@strawberry.type(description="Something that the server process that answers sees to unasked, again and again.")
class WorkerHealth:
    """Something that this server process sees to unasked."""

    name: str = strawberry.field(
        description="What it does: `calculate snapshots`, `check due calls`, `forget expired keys`."
    )
    seconds_max: int = strawberry.field(description="How long it rests at most before it looks again.")
    done_at: datetime | None = strawberry.field(description="When it was last done; null if it has not been.")
    failed_at: datetime | None = strawberry.field(description="When it last failed; null if it has not.")


@strawberry.type(description="How the server is doing.")
class SystemHealth:
    """How the server is doing."""

    process: strawberry.Private[Process]
    version: str = strawberry.field(description="The server's own version.", default=VERSION)

    @strawberry.field(description="The database.")
    async def database(self, info: Info) -> DatabaseHealth:
        """The database."""
        return DatabaseHealth(version=await reads.database_version(info.context.loaders.snapshot))

    @strawberry.field(description="How far the database is migrated.")
    async def migrations(self, info: Info) -> MigrationHealth:
        """How far the database is migrated."""
        current, newest = await reads.current_revision(info.context.loaders.snapshot), reads.newest_revision()
        return MigrationHealth(current=current, newest=newest, is_current=current == newest)

    @strawberry.field(
        description="What the process that answers sees to unasked. Empty where others do: those of `tranche worker`."
    )
    def workers(self) -> list[WorkerHealth]:
        """What this process sees to unasked."""
        states = self.process.worker.states if self.process.worker is not None else {}
        return [
            WorkerHealth(
                name=duty.name, seconds_max=int(duty.seconds_max), done_at=state.done_at, failed_at=state.failed_at
            )
            for duty, state in states.items()
        ]

    @strawberry.field(description="The caches of the process that answers.")
    def caches(self) -> list[CacheHealth]:
        """The caches of this process."""
        return [
            CacheHealth(
                name=name,
                hits=BigInt(cache.hits),
                misses=BigInt(cache.misses),
                hit_rate=ratio_or_none(cache.hits, cache.hits + cache.misses),
                entry_count=len(cache),
                bytes=BigInt(cache.bytes),
            )
            for name, cache in self.process.caches.items()
        ]


@strawberry.type
class SystemQuery:
    """The root field about the server itself."""

    @strawberry.field(description="How the server is doing.")
    async def system(self, info: Info) -> SystemHealth:
        """How the server is doing."""
        await info.context.authorise()
        return SystemHealth(process=info.context.process)
