"""A company's multiples, and a fund's companies ranked by what is expected of their reserves."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from api.domain.moic import MoicSet, Position, Purchased, company_moic
from api.domain.reserve_ranking import RankedReserve, ranking
from api.reads.declarations import BatchSelect
from api.reads.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

NOTHING = Decimal(0)


def _moic(rows: Sequence[Sequence[Any]]) -> MoicSet:
    """The multiples of the company in the only row."""
    invested, valuation, realized, planned, exit_moic, exit_probability, *lots = rows[0]
    initial, initial_paid, follow_on, follow_on_paid, shares = lots
    return company_moic(
        Position(
            invested_cents=invested,
            current_valuation_cents=valuation,
            realized_cents=realized,
            planned_reserves_cents=planned,
            exit_moic=exit_moic,
            exit_probability=exit_probability,
            initial=Purchased(initial or NOTHING, initial_paid or NOTHING),
            follow_on=Purchased(follow_on or NOTHING, follow_on_paid or NOTHING),
            shares=shares or NOTHING,
        )
    )


COMPANY_MOIC = BatchSelect(
    lambda _arguments: (
        """
    SELECT ROW(company.invested_cents, company.current_valuation_cents, company.realized_cents,
      company.planned_reserves_cents, company.exit_moic, company.exit_probability,
      lots.initial, lots.initial_paid, lots.follow_on, lots.follow_on_paid, lots.shares)
    FROM portfolio_companies AS company
    CROSS JOIN LATERAL (
      SELECT sum(shares_acquired) FILTER (WHERE lot_type = 'INITIAL') AS initial,
        sum(share_price_cents * shares_acquired) FILTER (WHERE lot_type = 'INITIAL') AS initial_paid,
        sum(shares_acquired) FILTER (WHERE lot_type = 'FOLLOW_ON') AS follow_on,
        sum(share_price_cents * shares_acquired) FILTER (WHERE lot_type = 'FOLLOW_ON') AS follow_on_paid,
        sum(shares_acquired) AS shares
      FROM investment_lots AS lot WHERE lot.organization_id = {organization} AND lot.company_id = {key}
    ) AS lots
    WHERE company.organization_id = {organization} AND company.id = {key}
    """
    ),
    _moic,
)
"""The multiples of a company."""


def _ranking(rows: Sequence[Sequence[Any]]) -> list[RankedReserve]:
    return ranking(
        (
            company_id,
            Position(planned_reserves_cents=planned, exit_moic=exit_moic, exit_probability=exit_probability),
            deployed,
        )
        for company_id, exit_moic, exit_probability, planned, deployed in rows
    )


RESERVE_RANKING = BatchSelect(
    lambda _arguments: (
        """
    SELECT ROW(company.id, company.exit_moic, company.exit_probability, company.planned_reserves_cents,
      company.deployed_reserves_cents)
    FROM portfolio_companies AS company
    WHERE company.organization_id = {organization} AND company.fund_id = {key} AND company.status = 'ACTIVE'
    ORDER BY company.exit_moic * company.exit_probability DESC NULLS LAST, company.id
    """
        f"LIMIT least(greatest(coalesce({{first}}, {PAGE_SIZE_DEFAULT}), 0), {PAGE_SIZE_MAX})"
    ),
    _ranking,
    {"first": "bigint"},
)
"""The first of a fund's active companies, best exit on planned reserves first."""
