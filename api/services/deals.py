"""Creating and changing deals."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from api.domain.deals import DealStage
from api.errors import Refused
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_name, check_not_negative, check_present, check_text
from api.services.commands import Command

DEAL_COLUMNS = ("name", "sector", "stage", "valuation_cents")


async def create_deal(
    command: Command,
    *,
    name: str,
    sector: str | None = None,
    stage: str | None = None,
    valuation_cents: int | None = None,
) -> int:
    """Creates a deal, in INITIAL_REVIEW unless a stage is given, and returns its id.

    Raises Refused: INVALID_INPUT, NEGATIVE_AMOUNT.
    """
    values = {
        "name": name,
        "sector": sector,
        "stage": stage or DealStage.INITIAL_REVIEW,
        "valuation_cents": valuation_cents,
    }
    _refuse_bad_values(values)
    deal_id = await rows.insert_one(command, "deals", values)
    command.record("deal.created", Subject("Deal", deal_id), after=values)
    return deal_id


async def update_deal(command: Command, *, deal_id: int, expected_version: int, changes: Mapping[str, Any]) -> int:
    """Changes the given columns of a deal and returns its id.

    Raises Refused: INVALID_INPUT, NEGATIVE_AMOUNT, NOT_FOUND, VERSION_CONFLICT.
    """
    _refuse_bad_values(changes)
    before = await rows.lock(command, "deals", deal_id, field="id", noun="deal")
    after = await rows.update(command, "deals", deal_id, expected_version, changes, noun="deal")
    old, new = rows.changed(before, after, DEAL_COLUMNS)
    command.record("deal.updated", Subject("Deal", deal_id), before=old, after=new)
    return deal_id


async def invest(command: Command, deal: asyncpg.Record) -> None:
    """Moves a deal that is CLOSING to INVESTED: something has been committed to it. ``deal`` is its locked row."""
    if deal["stage"] != DealStage.CLOSING:
        return
    values = {"stage": DealStage.INVESTED}
    await rows.update(command, "deals", deal["id"], deal["version"], values, noun="deal")
    command.record("deal.updated", Subject("Deal", deal["id"]), before={"stage": deal["stage"]}, after=values)


def _refuse_bad_values(values: Mapping[str, Any]) -> None:
    problems = check_present(values, "stage")
    if "name" in values:
        problems += check_name("name", values["name"])
    problems += check_text("sector", values.get("sector"))
    problems += check_not_negative(values, "valuation_cents")
    if problems:
        raise Refused(problems)
