"""The organization's thresholds: read within each transaction that uses them, so that a change holds at once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from api.domain.business_rules import DEFAULT_BUSINESS_RULES, NAMES, VERSION_OF_DEFAULTS, BusinessRules, check_rules
from api.errors import Refused, invalid, version_conflict
from api.services import rows
from api.services.audit import Subject
from api.services.checks import check_present
from api.services.commands import Command

CURRENT_SQL = f"""
SELECT version, {", ".join(NAMES)} FROM business_rules WHERE organization_id = $1 ORDER BY version DESC LIMIT 1
"""


class Reader(Protocol):
    """What reads a statement: a snapshot, or the connection of a command."""

    async def fetch(self, sql: str, *arguments: Any) -> Sequence[Any]:
        """The rows of one statement."""


@dataclass(frozen=True, slots=True)
class Current:
    """The rules that hold, and their version."""

    version: int
    rules: BusinessRules


async def current(reader: Reader, organization_id: int) -> Current:
    """The rules that hold as the reader's next statement sees them."""
    found = await reader.fetch(CURRENT_SQL, organization_id)
    if not found:
        return Current(VERSION_OF_DEFAULTS, DEFAULT_BUSINESS_RULES)
    return Current(found[0]["version"], BusinessRules(**{name: found[0][name] for name in NAMES}))


async def update_business_rules(command: Command, *, expected_version: int, changes: Mapping[str, Any]) -> int:
    """Sets the given thresholds, the others staying as they are, and returns the new version.

    Raises Refused: INVALID_INPUT by field, or VERSION_CONFLICT.
    """
    present = await current(command.connection, command.organization_id)
    if present.version != expected_version:
        raise version_conflict(expected_version, present.version)
    problems = check_present(changes, *NAMES)
    if problems:
        raise Refused(problems)
    wanted = replace(present.rules, **changes)
    problems = list(check_rules(wanted))
    if wanted == present.rules:
        problems.append(invalid("expected_version", "Nothing would change."))
    if problems:
        raise Refused(problems)
    version = expected_version + 1
    values = {"version": version, **asdict(wanted), "changed_by_id": command.principal.user_id}
    if await rows.insert(command, "business_rules", values, unless_taken=("version",)) is None:
        # Somebody else has just set that version; their commit is over, or the insert would still wait for it.
        raise version_conflict(expected_version, (await current(command.connection, command.organization_id)).version)
    before, after = rows.changed(asdict(present.rules), asdict(wanted), NAMES)
    subject = Subject("Organization", command.organization_id)
    command.record("business_rules.updated", subject, before=before, after=after | {"version": version})
    return version
