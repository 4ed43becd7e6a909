"""Asking for a forecast snapshot of a fund, and naming it. What computes it is a worker's."""

from datetime import date, datetime

from api.errors import ErrorCode, Problem, Refused
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_day, check_name
from api.services.commands import Command

SNAPSHOT_NAME_LENGTH_MAX = 255


async def create_forecast_snapshot(
    command: Command, *, today: date, fund_id: int, name: str, snapshot_at: datetime | None = None
) -> int:
    """Creates a PENDING snapshot of a fund, of this moment unless another is given, and returns its id.

    Raises Refused: NOT_FOUND, INVALID_INPUT.
    """
    problems = check_name("name", name, SNAPSHOT_NAME_LENGTH_MAX)
    problems += check_day("snapshot_at", snapshot_at and snapshot_at.date(), today)
    if problems:
        raise Refused(problems)
    await rows.exists(command, "funds", fund_id, field="fund_id", noun="fund")
    values: dict[str, object] = {"fund_id": fund_id, "name": name}
    if snapshot_at is not None:
        values["snapshot_at"] = snapshot_at
    snapshot_id = await rows.insert_one(
        command, "forecast_snapshots", values | {"idempotency_key": command.idempotency_key}
    )
    command.record("snapshot.created", Subject("ForecastSnapshot", snapshot_id), after=values)
    return snapshot_id


async def rename_forecast_snapshot(command: Command, *, snapshot_id: int, expected_version: int, name: str) -> int:
    """Gives a snapshot another name, whatever its status, and returns its id.

    Raises Refused: NOT_FOUND, VERSION_CONFLICT, INVALID_INPUT.
    """
    problems = check_name("name", name, SNAPSHOT_NAME_LENGTH_MAX)
    if problems:
        raise Refused(problems)
    before = await rows.lock(
        command, "forecast_snapshots", snapshot_id, field="id", noun="snapshot", expected_version=expected_version
    )
    after = await rows.update(
        command, "forecast_snapshots", snapshot_id, expected_version, {"name": name}, noun="snapshot"
    )
    old, new = rows.changed(before, after, ["name"])
    command.record("snapshot.renamed", Subject("ForecastSnapshot", snapshot_id), before=old, after=new)
    return snapshot_id


async def lock_open_snapshot(command: Command, snapshot_id: int, *, field: str) -> int:
    """The fund of a snapshot whose allocations may be changed; it stays so until the commit.

    Raises Refused: NOT_FOUND, or IMMUTABLE for a snapshot that ended in an error, both naming ``field``.
    """
    snapshot = await rows.lock(command, "forecast_snapshots", snapshot_id, field=field, noun="snapshot")
    if snapshot["status"] == "ERROR":
        message = "The snapshot ended in an error: there are no figures to plan by."
        raise Refused([Problem(ErrorCode.IMMUTABLE, message, (field,), actual="ERROR")])
    fund_id: int = snapshot["fund_id"]
    return fund_id
