"""The floor's statements by operation: $1 is the organization, $2 the id; each gives the `data` as JSON text.

Concatenation, since json_build_object takes twice the time; to_json only for what may need escapes.
"""

ONE_FUND = """
SELECT concat('{"fund":', (
  SELECT concat('{"name":', to_json(name), ',"strategy":', coalesce(to_json(strategy)::text, 'null'),
    ',"vintageYear":', coalesce(vintage_year::text, 'null'),
    ',"sizeCents":', coalesce('"' || size_cents || '"', 'null'), ',"status":"', status,
    '","allocationVersion":"', allocation_version, '","createdAt":', to_json(created_at), '}')
  FROM funds WHERE organization_id = $1 AND id = $2), '}')
"""

NESTED = """
SELECT concat('{"funds":{"nodes":[', string_agg(
  concat('{"name":', to_json(fund.name), ',"companies":{"nodes":[', companies.text, ']}}'),
  ',' ORDER BY fund.id), ']}}')
FROM (SELECT id, name FROM funds WHERE organization_id = $1 ORDER BY id LIMIT 50) AS fund
CROSS JOIN LATERAL (
  SELECT string_agg(concat('{"name":', to_json(company.name),
    ',"sector":', coalesce(to_json(company.sector)::text, 'null'),
    ',"stage":', coalesce('"' || company.stage || '"', 'null'), ',"status":"', company.status,
    '","investedCents":"', company.invested_cents,
    '","plannedReservesCents":"', company.planned_reserves_cents, '"}'), ',' ORDER BY company.id) AS text
  FROM (
    SELECT * FROM portfolio_companies AS company WHERE company.organization_id = $1 AND company.fund_id = fund.id
    ORDER BY company.id LIMIT 5
  ) AS company
) AS companies
"""

ROWS_WITH_PARENT = """
SELECT concat('{"portfolio":{"holdings":{"nodes":[', string_agg(
  concat('{"id":"', holding.id, '","commitmentCents":', coalesce('"' || holding.commitment_cents || '"', 'null'),
    ',"status":"', holding.status, '","version":"', holding.version, '","createdAt":', to_json(holding.created_at),
    ',"updatedAt":', to_json(holding.updated_at), ',"fund":{"id":"', fund.id, '","name":', to_json(fund.name),
    ',"vintageYear":', coalesce(fund.vintage_year::text, 'null'), '}}'), ',' ORDER BY holding.id), ']}}}')
FROM (
  SELECT * FROM portfolio_funds WHERE organization_id = $1 AND portfolio_id = $2 ORDER BY id LIMIT 100
) AS holding
JOIN funds AS fund ON fund.organization_id = $1 AND fund.id = holding.fund_id
"""

HISTORY = """
SELECT concat('{"fund":{"reallocations":{"nodes":[', string_agg(
  concat('{"newVersion":"', entry.new_version, '","reason":', coalesce(to_json(entry.reason)::text, 'null'),
    ',"createdAt":', to_json(entry.created_at),
    ',"actor":', CASE WHEN actor.id IS NULL THEN 'null' ELSE concat('{"email":', to_json(actor.email), '}') END, '}'),
  ',' ORDER BY entry.created_at DESC, entry.id DESC), ']}}}')
FROM (
  SELECT * FROM reallocation_audit WHERE organization_id = $1 AND fund_id = $2
  ORDER BY created_at DESC, id DESC LIMIT 100
) AS entry
LEFT JOIN users AS actor ON actor.id = entry.user_id
"""

PORTFOLIO_PAGE = """
SELECT concat('{"portfolio":{"name":', to_json(portfolio.name), ',"totals":', totals.text,
  ',"holdings":{"nodes":[', holdings.text, ']}}}')
FROM portfolios AS portfolio
CROSS JOIN LATERAL (
  SELECT concat('{"committedCents":', coalesce('"' || sum(statement.committed_cents) || '"', 'null'),
    ',"paidInCents":', coalesce('"' || sum(statement.paid_in_cents) || '"', 'null'),
    ',"distributedCents":', coalesce('"' || sum(statement.distributed_cents) || '"', 'null'),
    ',"navCents":', coalesce('"' || sum(statement.nav_cents) || '"', 'null'), '}') AS text
  FROM portfolio_funds AS holding
  LEFT JOIN LATERAL (
    SELECT * FROM holding_statements AS statement WHERE statement.organization_id = $1
      AND statement.holding_id = holding.id AND statement.as_of <= current_date
    ORDER BY statement.as_of DESC LIMIT 1
  ) AS statement ON true
  WHERE holding.organization_id = $1 AND holding.portfolio_id = portfolio.id
) AS totals
CROSS JOIN LATERAL (
  SELECT string_agg(concat('{"fund":{"name":', to_json(fund.name),
    ',"vintageYear":', coalesce(fund.vintage_year::text, 'null'), '},"statements":{"nodes":[', statement.text, ']}}'),
    ',' ORDER BY holding.id) AS text
  FROM (
    SELECT * FROM portfolio_funds WHERE organization_id = $1 AND portfolio_id = portfolio.id ORDER BY id LIMIT 100
  ) AS holding
  JOIN funds AS fund ON fund.organization_id = $1 AND fund.id = holding.fund_id
  LEFT JOIN LATERAL (
    SELECT concat('{"asOf":"', as_of, '","paidInCents":', coalesce('"' || paid_in_cents || '"', 'null'),
      ',"distributedCents":', coalesce('"' || distributed_cents || '"', 'null'),
      ',"navCents":', coalesce('"' || nav_cents || '"', 'null'), '}') AS text
    FROM holding_statements AS statement
    WHERE statement.organization_id = $1 AND statement.holding_id = holding.id
    ORDER BY statement.as_of DESC LIMIT 1
  ) AS statement ON true
) AS holdings
WHERE portfolio.organization_id = $1 AND portfolio.id = $2
"""

IDS = """
SELECT json_build_object(
  'funds', json_build_object('nodes', (SELECT json_agg(json_build_object('id', id::text, 'name', name) ORDER BY id)
    FROM (SELECT id, name FROM funds WHERE organization_id = $1 ORDER BY id LIMIT 50) AS fund)),
  'portfolios', json_build_object('nodes', (SELECT json_agg(json_build_object('id', id::text, 'name', name) ORDER BY id)
    FROM portfolios WHERE organization_id = $1)))::text
"""

STATEMENTS = {
    "OneFund": ONE_FUND,
    "Nested": NESTED,
    "RowsWithParent": ROWS_WITH_PARENT,
    "History": HISTORY,
    "PortfolioPage": PORTFOLIO_PAGE,
    "Ids": IDS,
}
