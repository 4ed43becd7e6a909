"""What was recorded of capital stays as it was, and whoever changes it is found out."""

from datetime import UTC, datetime

import asyncpg
import pytest

from api.domain.access import Role
from tests.contracts.privileges import acting_as
from tests.server import RunningServer
from tests.services.capital_client import Capital

VERIFICATION = "{ auditVerification { isIntact firstBrokenSequence } }"


@pytest.fixture
def capital(server: RunningServer) -> Capital:
    return Capital(server)


async def test_history_cannot_be_changed_by_the_application(capital: Capital) -> None:
    await capital.add("Loan", "0.05", 100, "2025-01-01")
    owner, alpha = capital.server.owner, capital.server.organization_ids["alpha"]
    for statement in (
        "UPDATE capital_history SET available_cents = 1",
        "DELETE FROM capital_history",
        "TRUNCATE capital_history",
        "DELETE FROM capital_sources",
    ):
        async with acting_as(owner, "tranche_app", alpha):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await owner.execute(statement)


async def test_database_itself_refuses_what_takes_effect_after_it_was_recorded(capital: Capital) -> None:
    await capital.add("Loan", "0.05", 100, "2025-01-01")
    with pytest.raises(asyncpg.CheckViolationError, match="capital_history_effective_on_check"):
        await capital.server.owner.execute("UPDATE capital_history SET effective_on = effective_on + 36500")
    # The last moment of a day, in UTC, wherever the session is.
    await capital.server.owner.execute("SET TimeZone = 'Pacific/Kiritimati'")
    moment = datetime(2025, 1, 1, 23, 59, 59, tzinfo=UTC)
    await capital.server.owner.execute("UPDATE capital_history SET recorded_at = $1", moment)


TAMPERING = [
    "UPDATE capital_history SET available_cents = 101 WHERE sequence = 2",
    "UPDATE capital_history SET annual_rate = 0.050001 WHERE sequence = 2",
    "UPDATE capital_history SET effective_on = '2025-01-03' WHERE sequence = 2",
    "UPDATE capital_history SET notes = 'other' WHERE sequence = 2",
    "UPDATE capital_history SET actor_id = NULL WHERE sequence = 2",
    "UPDATE capital_history SET recorded_at = recorded_at - interval '1 microsecond' WHERE sequence = 2",
    "UPDATE capital_history SET sequence = 99 WHERE sequence = 2",
    "DELETE FROM capital_history WHERE sequence = 2",
]


@pytest.mark.parametrize("statement", TAMPERING)
async def test_verification_finds_an_entry_that_was_changed(capital: Capital, statement: str) -> None:
    source_id = await capital.add("Loan", "0.05", 100, "2025-01-01")
    await capital.amount(source_id, 200, "2025-01-02", notes="note")
    await capital.rate(source_id, "0.06", "2025-01-02")
    await capital.server.owner.execute(statement)
    event = await capital.server.owner.fetchval(
        "SELECT sequence FROM audit_events WHERE action = 'capital_source.amount_changed'"
    )
    verdict = (await capital.server.execute(VERIFICATION, role=Role.ADMIN)).data["auditVerification"]
    assert verdict == {"isIntact": False, "firstBrokenSequence": str(event)}


async def test_verification_finds_an_entry_that_no_event_tells_of(capital: Capital) -> None:
    await capital.add("Loan", "0.05", 100, "2025-01-01")
    await capital.server.owner.execute(
        """
        INSERT INTO capital_history (organization_id, sequence, source_id, action, effective_on, name, annual_rate,
          external_id, recorded_at)
        SELECT organization_id, 2, source_id, 'RATE_CHANGED', effective_on, name, 0, 'x', now() FROM capital_history
        """
    )
    verdict = (await capital.server.execute(VERIFICATION, role=Role.ADMIN)).data["auditVerification"]
    assert verdict["isIntact"] is False
