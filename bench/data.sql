-- The data of the benchmark, for every organization alike and interleaved, so that row-level security has rows to hide
-- on every page. All values follow from their numbers: no random ones, the same data on every machine.
-- Run as tranche_maintenance; the organizations and their members are there already.

INSERT INTO funds (organization_id, name, general_partner, strategy, vintage_year, currency, size_cents, status,
  allocation_version, created_at, updated_at)
SELECT organization.id,
  format('Fund %s "Élan" & Sons', lpad(number::text, 3, '0')),
  CASE WHEN number % 11 <> 0 THEN format('Partner %s', number % 37) END,
  (ARRAY['Buyout', 'Venture', 'Growth', 'Private Debt', NULL])[1 + number % 5],
  CASE WHEN number % 13 <> 0 THEN 1998 + number % 27 END,
  'USD', 10000000000 + number * 7919000337, CASE WHEN number % 9 = 0 THEN 'CLOSED' ELSE 'ACTIVE' END,
  CASE WHEN number = 1 THEN 121 ELSE 1 END,
  '2019-01-01T08:00:00Z'::timestamptz + number * interval '26 hours 1 minute 1.123457 seconds',
  '2024-01-01T08:00:00Z'::timestamptz + number * interval '3 hours 7 minutes 5.987651 seconds'
FROM generate_series(1, 500) AS number CROSS JOIN organizations AS organization
ORDER BY number, organization.id;

CREATE TEMPORARY TABLE numbered_funds AS
SELECT organization_id, id, name, row_number() OVER (PARTITION BY organization_id ORDER BY id) AS place FROM funds;

-- 50 companies in each of the first 40 funds, 6 in each of the next 160; the last 300 are only held, not run.
INSERT INTO portfolio_companies (organization_id, fund_id, name, sector, stage, status, invested_cents,
  current_valuation_cents, realized_cents, planned_reserves_cents, deployed_reserves_cents, allocation_cap_cents,
  exit_moic, exit_probability, ownership, allocation_reason, allocation_count, last_allocation_at, created_at, updated_at)
SELECT fund.organization_id, fund.id,
  format('Company %s of %s', number, fund.name),
  (ARRAY['Health', 'Fintech', 'Climate', 'Software', NULL])[1 + (fund.place + number) % 5],
  (ARRAY['SEED', 'SERIES_A', 'SERIES_B', 'GROWTH', NULL])[1 + (fund.place * 3 + number) % 5],
  (ARRAY['ACTIVE', 'ACTIVE', 'EXITED', 'WRITTEN_OFF'])[1 + (fund.place + number) % 4],
  100000000 + fund.place * 1000003 + number * 90001, 150000000 + fund.place * 2000029 + number * 70003,
  number * 1000033, 20000000 + fund.place * 100003 + number * 5003, number * 40009,
  CASE WHEN number % 3 <> 0 THEN 90000000 + number * 100003 END,
  (number % 40) / 4.0, (number % 20) / 20.0, (number % 30) / 100.0, CASE WHEN number % 4 = 0 THEN 'Follow-on' END,
  number % 7, CASE WHEN number % 7 <> 0 THEN '2024-03-01T00:00:00Z'::timestamptz + number * interval '1 day' END,
  '2020-01-01T08:00:00Z'::timestamptz + (fund.place * 50 + number) * interval '1 hour 1.000343 seconds',
  '2024-02-01T08:00:00Z'::timestamptz + (fund.place * 50 + number) * interval '1 minute 1.000347 seconds'
FROM numbered_funds AS fund
CROSS JOIN LATERAL generate_series(1, CASE WHEN fund.place <= 40 THEN 50 ELSE 6 END) AS number
WHERE fund.place <= 200
ORDER BY number, fund.place, fund.organization_id;

INSERT INTO reallocation_audit (organization_id, id, fund_id, user_id, baseline_version, new_version, changes_json,
  reason, created_at)
SELECT fund.organization_id, md5(format('%s %s', fund.organization_id, number))::uuid, fund.id, member.user_id,
  number, number + 1, changes.list, format('Round %s, "follow-on" n° %s', number, number % 9),
  '2023-01-01T08:00:00Z'::timestamptz + number * interval '5 hours 1.000101 seconds'
FROM numbered_funds AS fund
CROSS JOIN generate_series(1, 120) AS number
JOIN LATERAL (
  SELECT user_id, row_number() OVER (ORDER BY user_id) AS place FROM memberships
  WHERE memberships.organization_id = fund.organization_id
) AS member ON member.place = 1 + number % 3
CROSS JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_object('company_id', company.id::text, 'company_name', company.name,
    'from_cents', company.planned_reserves_cents::text, 'to_cents', (company.planned_reserves_cents + number)::text,
    'delta_cents', number::text)) AS list
  FROM (
    SELECT * FROM portfolio_companies AS company
    WHERE company.organization_id = fund.organization_id AND company.fund_id = fund.id
    ORDER BY company.id LIMIT 2 + number % 4
  ) AS company
) AS changes
WHERE fund.place = 1
ORDER BY number, fund.organization_id;

INSERT INTO portfolios (organization_id, name, currency, created_at)
SELECT id, 'Pension', 'USD', '2020-01-01T00:00:00Z' FROM organizations ORDER BY id;

INSERT INTO portfolio_funds (organization_id, portfolio_id, fund_id, commitment_cents, status, created_at, updated_at)
SELECT fund.organization_id, portfolio.id, fund.id, 500000000 + fund.place * 12345679,
  CASE WHEN fund.place % 10 = 0 THEN 'CLOSED' ELSE 'ACTIVE' END,
  '2020-02-01T08:00:00Z'::timestamptz + fund.place * interval '1 hour 1.000777 seconds',
  '2024-02-01T08:00:00Z'::timestamptz + fund.place * interval '1 hour 1.000779 seconds'
FROM numbered_funds AS fund JOIN portfolios AS portfolio USING (organization_id)
ORDER BY fund.place, fund.organization_id;

INSERT INTO holding_statements (organization_id, holding_id, as_of, committed_cents, paid_in_cents, distributed_cents,
  nav_cents, reported_irr, reported_multiple, created_at)
SELECT holding.organization_id, holding.id, (ARRAY['2023-12-31', '2024-03-31', '2024-06-30'])[quarter]::date,
  holding.commitment_cents, holding.commitment_cents * (60 + quarter * 5) / 100,
  CASE WHEN holding.fund_id % 17 <> 0 THEN holding.commitment_cents * quarter * 7 / 100 END,
  holding.commitment_cents * (70 + quarter) / 100, (holding.fund_id % 30) / 100.0, 1 + quarter / 10.0,
  '2024-07-15T08:00:00Z'::timestamptz + holding.id * interval '1 second'
FROM portfolio_funds AS holding CROSS JOIN generate_series(1, 3) AS quarter
ORDER BY quarter, holding.id;

DROP TABLE numbered_funds;
