"""Rows to show in examples."""

from api.db.pools import Database, Snapshot


async def first_reallocation(database: Database, organization_id: int) -> tuple[int, int, list[tuple[int, int]]] | None:
    """A fund with companies to propose a reallocation for: its id, its allocation version, and two companies' ids with
    half as much again as is planned for them. None where there is none.
    """
    snapshot = Snapshot(database, organization_id)
    try:
        rows = await snapshot.fetch(
            """
            SELECT fund.id AS fund_id, fund.allocation_version, company.id, company.planned_reserves_cents
            FROM funds AS fund JOIN portfolio_companies AS company
              ON company.organization_id = $1 AND company.fund_id = fund.id AND company.planned_reserves_cents > 0
            WHERE fund.organization_id = $1 ORDER BY fund.id, company.id LIMIT 2
            """,
            organization_id,
        )
    finally:
        await snapshot.close()
    if not rows:
        return None
    companies = [
        (row["id"], row["planned_reserves_cents"] * 3 // 2) for row in rows if row["fund_id"] == rows[0]["fund_id"]
    ]
    return rows[0]["fund_id"], rows[0]["allocation_version"], companies
