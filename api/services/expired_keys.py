"""Forgetting idempotency keys that have expired: a worker's duty."""

from pydantic import TypeAdapter

from api.db.pools import Database
from api.domain.access import Principal, Role
from api.services.audit import AuditKind, Event
from api.services.commands import Command, Writer
from api.services.idempotency import PURGED_AT_ONCE, purge_expired

COMMAND = "forgetExpiredKeys"
COUNT = TypeAdapter(int)

# As tranche_auth, which sees of keys whose have expired, and nothing else.
_WITH_EXPIRED = """
SELECT id FROM organizations AS organization
WHERE EXISTS (
  SELECT FROM idempotency_keys AS held WHERE held.organization_id = organization.id AND held.expires_at <= now()
)
"""


class NothingExpired(Exception):
    """Somebody else was faster."""


async def forget_expired_keys(database: Database, writer: Writer) -> None:
    """Deletes what has expired, in one organization after the other, a thousand keys in each transaction."""
    for row in await database.authentication.fetch(_WITH_EXPIRED):
        principal = Principal(row["id"], None, Role.EDITOR)
        while True:
            try:
                outcome = await writer.run(principal, COMMAND, _forget, result_type=COUNT)
            except NothingExpired:
                break
            if outcome.result < PURGED_AT_ONCE:
                break


async def _forget(command: Command) -> int:
    count = await purge_expired(command.connection, command.organization_id)
    if not count:
        raise NothingExpired
    command.events.append(Event(AuditKind.SYSTEM, "idempotency_keys.forgotten", after={"count": count}))
    return count
