"""An organization's thresholds as they hold, and as they have been changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.domain.business_rules import DEFAULT_BUSINESS_RULES, NAMES, VERSION_OF_DEFAULTS, BusinessRules
from api.reads.declarations import BatchSelect
from api.reads.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX


@dataclass(frozen=True)
class RulesVersion:
    """The thresholds from one change on. Who changed them, and when, is null for the defaults."""

    version: int
    rules: BusinessRules
    changed_by_id: int | None = None
    changed_at: datetime | None = None


DEFAULTS = RulesVersion(VERSION_OF_DEFAULTS, DEFAULT_BUSINESS_RULES)

_VERSIONS = f"""
SELECT ROW(version, changed_by_id, created_at, {", ".join(NAMES)}) FROM business_rules
WHERE organization_id = {{organization}} AND organization_id = {{key}} ORDER BY version DESC
"""


def _versions(rows: Sequence[Sequence[Any]]) -> list[RulesVersion]:
    return [
        RulesVersion(version, BusinessRules(**dict(zip(NAMES, thresholds, strict=True))), changed_by_id, changed_at)
        for version, changed_by_id, changed_at, *thresholds in rows
    ]


BUSINESS_RULES = BatchSelect(
    lambda _arguments: f"{_VERSIONS} LIMIT 1", lambda rows: next(iter(_versions(rows)), DEFAULTS)
)
"""The thresholds that hold."""

BUSINESS_RULE_CHANGES = BatchSelect(
    lambda _arguments: (
        f"{_VERSIONS} LIMIT least(greatest(coalesce({{first}}, {PAGE_SIZE_DEFAULT}), 0), {PAGE_SIZE_MAX})"
    ),
    _versions,
    {"first": "bigint"},
)
"""The changes of the thresholds, latest first; the defaults are none."""
