"""A database that is full of lots, in plain SQL, for what migrates it."""

import asyncpg

FULL = {
    "forecast_snapshots": {"forecast_snapshots_fund_idem_key_idx", "forecast_snapshots_cursor_idx"},
    "investment_lots": {"investment_lots_investment_idem_key_idx", "investment_lots_cursor_idx"},
    "reserve_allocations": {"reserve_allocations_snapshot_idem_key_idx", "reserve_allocations_cursor_idx"},
}
"""The tables that are migrated while they are full, and the indexes that they get."""

COMPANIES = 1000
INSERT_LOT = """
INSERT INTO investment_lots (organization_id, company_id, investment_id, lot_type, share_price_cents, shares_acquired,
  cost_basis_cents, acquired_on)
VALUES (1, 1, 1, 'INITIAL', 100, 1, 100, '2024-01-31')
"""


async def fill(owner: asyncpg.Connection, lots: int) -> None:
    """Adds an organization with a fund of 1,000 companies, an investment in each, and so many lots."""
    await owner.execute(
        f"""
        INSERT INTO organizations (name, slug) VALUES ('Alpha', 'alpha');
        INSERT INTO funds (organization_id, name, currency) VALUES (1, 'Fund', 'USD');
        INSERT INTO portfolio_companies (organization_id, fund_id, name)
          SELECT 1, 1, 'Company ' || n FROM generate_series(1, {COMPANIES}) AS n;
        INSERT INTO investments (organization_id, fund_id, company_id, invested_on, amount_cents)
          SELECT 1, 1, n, '2024-01-31', 1000 FROM generate_series(1, {COMPANIES}) AS n;
        INSERT INTO investment_lots (organization_id, company_id, investment_id, lot_type, share_price_cents,
            shares_acquired, cost_basis_cents, acquired_on)
          SELECT 1, n % {COMPANIES} + 1, n % {COMPANIES} + 1, 'FOLLOW_ON', 100, 10, 1000, '2024-01-31'
          FROM generate_series(1, {lots}) AS n;
        """
    )
