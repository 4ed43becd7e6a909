"""What has changed from one snapshot's metrics to another's: in total, and company by company."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from api.domain.moic import MoicReason
from api.domain.money import change_ratio


class ComparisonReason(StrEnum):
    """Why two snapshots cannot be compared."""

    NOT_COMPLETE = "NOT_COMPLETE"
    OTHER_FUND = "OTHER_FUND"
    OTHER_FORMAT = "OTHER_FORMAT"


class Presence(StrEnum):
    """In which of two snapshots a company is."""

    BOTH = "BOTH"
    ONLY_A = "ONLY_A"
    ONLY_B = "ONLY_B"


@dataclass(frozen=True, slots=True)
class CentsChange:
    """An amount in both snapshots, in cents; 0 where a company is not there."""

    from_cents: int
    to_cents: int

    @property
    def delta_cents(self) -> int:
        """The change; negative for a decrease."""
        return self.to_cents - self.from_cents

    @property
    def ratio(self) -> Decimal:
        """The change as a fraction of what was there; from 0: 1 or 0."""
        return change_ratio(self.from_cents, self.to_cents)


@dataclass(frozen=True, slots=True)
class MultipleChange:
    """A multiple in both snapshots; None where there is none, with why beside it where the company is there."""

    from_value: Decimal | None
    to_value: Decimal | None
    from_reason: MoicReason | None = None
    to_reason: MoicReason | None = None

    @property
    def delta(self) -> Decimal | None:
        """The change; None where one of them is missing."""
        if self.from_value is None or self.to_value is None:
            return None
        return self.to_value - self.from_value


@dataclass(frozen=True, slots=True)
class Difference:
    """The figures of a company, or of all, in both snapshots."""

    invested: CentsChange
    current_valuation: CentsChange
    realized: CentsChange
    planned_reserves: CentsChange
    deployed_reserves: CentsChange
    current_moic: MultipleChange
    exit_on_planned_reserves: MultipleChange


@dataclass(frozen=True, slots=True)
class CompanyDifference:
    """One company: its id, its name in the later snapshot that has it, and its figures in both."""

    company_id: int
    company_name: str
    presence: Presence
    difference: Difference


@dataclass(frozen=True, slots=True)
class Compared:
    """One of two snapshots: its fund and, where it is complete, its metrics."""

    fund_id: int
    metrics: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Totals, and companies by id."""

    totals: Difference
    companies: tuple[CompanyDifference, ...]


def compare(a: Compared, b: Compared) -> Comparison | ComparisonReason:
    """The differences from ``a`` to ``b``, or why there are none to tell."""
    if a.fund_id != b.fund_id:
        return ComparisonReason.OTHER_FUND
    if a.metrics is None or b.metrics is None:
        return ComparisonReason.NOT_COMPLETE
    if a.metrics["format"] != b.metrics["format"]:
        return ComparisonReason.OTHER_FORMAT
    before = {company["companyId"]: company for company in a.metrics["companies"]}
    after = {company["companyId"]: company for company in b.metrics["companies"]}
    return Comparison(
        _difference(a.metrics | a.metrics["totals"], b.metrics | b.metrics["totals"]),
        tuple(_company(key, before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys())),
    )


def _company(company_id: int, a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> CompanyDifference:
    presence = Presence.ONLY_B if a is None else Presence.ONLY_A if b is None else Presence.BOTH
    return CompanyDifference(company_id, (b or a or {})["name"], presence, _difference(a, b))


def _difference(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> Difference:
    def cents(name: str, group: str | None = None) -> CentsChange:
        return CentsChange(_cents(a, group, name), _cents(b, group, name))

    def multiple(name: str) -> MultipleChange:
        return MultipleChange(_multiple(a, name), _multiple(b, name), _reason(a, name), _reason(b, name))

    return Difference(
        invested=cents("investedCents"),
        current_valuation=cents("currentValuationCents"),
        realized=cents("realizedCents"),
        planned_reserves=cents("plannedCents", "reserves"),
        deployed_reserves=cents("deployedCents", "reserves"),
        current_moic=multiple("current"),
        exit_on_planned_reserves=multiple("exitOnPlannedReserves"),
    )


def _cents(figures: Mapping[str, Any] | None, group: str | None, name: str) -> int:
    if figures is None:
        return 0
    return int((figures[group] if group else figures)[name])


def _multiple(figures: Mapping[str, Any] | None, name: str) -> Decimal | None:
    value = None if figures is None else figures["moic"][name]
    return None if value is None else Decimal(value)


def _reason(figures: Mapping[str, Any] | None, name: str) -> MoicReason | None:
    reason = None if figures is None else figures["moic"].get(f"{name}Reason")
    return None if reason is None else MoicReason(reason)
