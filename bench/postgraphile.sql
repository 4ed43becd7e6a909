-- What PostGraphile needs to answer the totals: a computed column of portfolios, by the server's own statement for them.
-- Run as the schema's owner. SECURITY INVOKER, so that row-level security holds in it.

CREATE TYPE portfolio_totals AS (committed_cents bigint, paid_in_cents bigint, distributed_cents bigint, nav_cents bigint);

CREATE FUNCTION portfolios_totals(portfolio portfolios) RETURNS portfolio_totals
LANGUAGE sql STABLE SECURITY INVOKER AS $$
  SELECT sum(statement.committed_cents)::bigint, sum(statement.paid_in_cents)::bigint,
    sum(statement.distributed_cents)::bigint, sum(statement.nav_cents)::bigint
  FROM portfolio_funds AS holding
  LEFT JOIN LATERAL (
    SELECT * FROM holding_statements AS statement
    WHERE statement.organization_id = portfolio.organization_id AND statement.holding_id = holding.id
      AND statement.as_of <= current_date
    ORDER BY statement.as_of DESC LIMIT 1
  ) AS statement ON true
  WHERE holding.organization_id = portfolio.organization_id AND holding.portfolio_id = portfolio.id
$$;

GRANT EXECUTE ON FUNCTION portfolios_totals(portfolios) TO tranche_app;
