"""The metrics of a forecast snapshot: totals, multiples, reserves, concentration and ranking, frozen as JSON.

docs/snapshots.md describes the shape. Amounts are whole cents as texts, decimals plain texts of at most six places,
and what is missing has a reason beside it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from api.domain.moic import MoicSet, Position, company_moic, fund_moic
from api.domain.money import ratio, total, within_limit
from api.domain.reserve_ranking import ranking

FORMAT = 1
"""Goes up with every change of the shape, or of how a figure is worked out."""
LARGEST = 5
Metrics = Mapping[str, object]


class MetricReason(StrEnum):
    """Why a share, or how much of the reserves is used, is missing."""

    NOTHING_HELD = "NOTHING_HELD"
    NOTHING_PLANNED = "NOTHING_PLANNED"


class Source(NamedTuple):
    """One company as a snapshot finds it; deployed reserves in cents."""

    id: int
    name: str
    status: str
    position: Position
    deployed_cents: int
    lot_count: int


def companies_hash(fund_id: int, currency: str, company_count: int, company_versions: int) -> bytes:
    """What a fund's metrics rest on but for lots, without reading it: 16 bytes, the first half of a source hash.

    Versions only go up, and no row is ever deleted: two reads that agree in count and sum of versions read the same.
    """
    return _half_hash(FORMAT, fund_id, currency, company_count, company_versions)


def lots_hash(lot_count: int, lot_versions: int) -> bytes:
    """The same of the fund's lots: the second half."""
    return _half_hash(lot_count, lot_versions)


def _half_hash(*parts: object) -> bytes:
    return hashlib.sha256(" ".join(str(part) for part in parts).encode()).digest()[:16]


def metrics(currency: str, companies: Sequence[Source]) -> Metrics:
    """The metrics of a fund with these companies, in the order of their ids.

    Raises Refused (LIMIT_EXCEEDED) where a total is beyond 64 bits.
    """
    valuations = _Shares([company.position.current_valuation_cents for company in companies])
    reserves = _Shares([company.position.planned_reserves_cents for company in companies])
    ranked = ranking((company.id, company.position, company.deployed_cents) for company in companies)
    ranks = {place.company_id: place.rank for place in ranked}
    return {
        "format": FORMAT,
        "copiedFrom": None,
        "currency": currency,
        "totals": _totals(companies),
        "moic": _moic(fund_moic([company.position for company in companies])),
        "reserves": _reserves(
            total(company.position.planned_reserves_cents for company in companies),
            total(company.deployed_cents for company in companies),
        ),
        "concentration": {
            "currentValuation": _concentration(companies, valuations, MetricReason.NOTHING_HELD),
            "plannedReserves": _concentration(companies, reserves, MetricReason.NOTHING_PLANNED),
        },
        "ranking": [{"rank": place.rank, "companyId": place.company_id} for place in ranked],
        "companies": [
            _company(company, ranks.get(company.id), valuations.of(index), reserves.of(index))
            for index, company in enumerate(companies)
        ],
    }


class _Shares:
    """Amounts as fractions of their sum, which is 0 where there are no such fractions."""

    def __init__(self, amounts: Sequence[int]) -> None:
        self.amounts = amounts
        self.total = sum(amounts)

    def of(self, index: int) -> Decimal | None:
        return ratio(self.amounts[index], self.total) if self.total else None


def _totals(companies: Sequence[Source]) -> dict[str, object]:
    return {
        "companyCount": len(companies),
        "activeCompanyCount": sum(company.position.is_active for company in companies),
        "lotCount": sum(company.lot_count for company in companies),
        "investedCents": str(total(company.position.invested_cents for company in companies)),
        "currentValuationCents": str(total(company.position.current_valuation_cents for company in companies)),
        "realizedCents": str(total(company.position.realized_cents for company in companies)),
    }


def _company(
    company: Source, rank: int | None, valuation_share: Decimal | None, planned_share: Decimal | None
) -> dict[str, object]:
    position = company.position
    return {
        "companyId": company.id,
        "name": company.name,
        "status": company.status,
        "lotCount": company.lot_count,
        "investedCents": str(position.invested_cents),
        "currentValuationCents": str(position.current_valuation_cents),
        "realizedCents": str(position.realized_cents),
        "moic": _moic(company_moic(position)),
        "reserves": _reserves(position.planned_reserves_cents, company.deployed_cents),
        "reserveRank": rank,
        "valuationShare": _text(valuation_share),
        "plannedReservesShare": _text(planned_share),
    }


def _moic(found: MoicSet) -> dict[str, object]:
    shown: dict[str, object] = {}
    for name, (value, reason) in zip(_MULTIPLES, found, strict=True):
        shown[name] = _text(value)
        if reason is not None:
            shown[f"{name}Reason"] = reason.value
    return shown


_MULTIPLES = ("current", "onInitial", "onFollowOn", "exit", "exitOnPlannedReserves")
"""The keys of a MoicSet's multiples, in its order."""


def _reserves(planned: int, deployed: int) -> dict[str, object]:
    """Reserves in cents; utilization = deployed / planned."""
    used: dict[str, object] = {"utilization": _text(ratio(deployed, planned))} if planned else dict(_NOTHING_USED)
    return {
        "plannedCents": str(planned),
        "deployedCents": str(deployed),
        "remainingCents": str(within_limit(planned - deployed)),
        **used,
    }


_NOTHING_USED = {"utilization": None, "utilizationReason": MetricReason.NOTHING_PLANNED.value}


def _concentration(companies: Sequence[Source], shares: _Shares, reason: MetricReason) -> dict[str, object]:
    """How unevenly an amount is spread over the companies.

    The Herfindahl-Hirschman index is the sum of the squared shares: 1 where one company has all of it, 1 / n where n
    have the same (Hirschman, National Power and the Structure of Foreign Trade; the index of the US merger guidelines
    is 10,000 times this).
    """
    largest = sorted(range(len(companies)), key=lambda index: (-shares.amounts[index], companies[index].id))[:LARGEST]
    if not shares.total:
        return {"largest": [], "largestShare": None, "herfindahl": None, "reason": reason.value}
    return {
        "largest": [
            {"companyId": companies[index].id, "name": companies[index].name, "share": _text(shares.of(index))}
            for index in largest
            if shares.amounts[index]
        ],
        "largestShare": _text(ratio(sum(shares.amounts[index] for index in largest), shares.total)),
        "herfindahl": _text(ratio(sum(amount * amount for amount in shares.amounts), shares.total**2)),
    }


def _text(value: Decimal | None) -> str | None:
    """Plain notation without zeros at the end, of a value to six decimals, which ``str`` always writes so."""
    return None if value is None else str(value).rstrip("0").rstrip(".")
