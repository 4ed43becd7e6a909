// graphql-yoga with pg and dataloader, written by hand and tuned as its documentation says: the cache of parsed and
// validated documents (its default) is on; GraphiQL, logging, error masking and batching are off. One transaction for
// each request, as row-level security needs it; a window function gives each parent its first rows.
import { createServer } from "node:http";
import DataLoader from "dataloader";
import { GraphQLScalarType } from "graphql";
import { createSchema, createYoga } from "graphql-yoga";
import pg from "pg";

const organizations = new Map(Object.entries(JSON.parse(process.env.BENCH_TOKENS)));
const pool = new pg.Pool({
  connectionString: process.env.BENCH_DATABASE_URL,
  max: Number(process.env.BENCH_POOL),
  options: "-c role=tranche_app -c timezone=UTC -c jit=off",
});
// A date stays the text it is.
pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text);

const typeDefs = /* GraphQL */ `
  scalar Cents
  scalar BigInt
  scalar Date
  scalar DateTime
  type Query { fund(id: ID!): Fund funds(first: Int): Funds! portfolio(id: ID!): Portfolio portfolios(first: Int): Portfolios! }
  type Fund {
    id: ID! name: String! strategy: String vintageYear: Int sizeCents: Cents status: String! allocationVersion: BigInt!
    createdAt: DateTime! companies(first: Int): Companies! reallocations(first: Int): Reallocations!
  }
  type Funds { nodes: [Fund!]! }
  type Company {
    id: ID! name: String! sector: String stage: String status: String! investedCents: Cents! plannedReservesCents: Cents!
  }
  type Companies { nodes: [Company!]! }
  type Reallocation { newVersion: BigInt! reason: String createdAt: DateTime! actor: User }
  type Reallocations { nodes: [Reallocation!]! }
  type User { email: String! }
  type Portfolio { id: ID! name: String! totals: Totals! holdings(first: Int): Holdings! }
  type Portfolios { nodes: [Portfolio!]! }
  type Totals { committedCents: Cents paidInCents: Cents distributedCents: Cents navCents: Cents }
  type Holding {
    id: ID! commitmentCents: Cents status: String! version: BigInt! createdAt: DateTime! updatedAt: DateTime!
    fund: Fund! statements(first: Int): Statements!
  }
  type Holdings { nodes: [Holding!]! }
  type Statement { asOf: Date! paidInCents: Cents distributedCents: Cents navCents: Cents }
  type Statements { nodes: [Statement!]! }
`;

// Timestamps keep their microseconds by coming as text: a Date would cut them off.
const columns = {
  fund: `fund.id, name, strategy, vintage_year AS "vintageYear", size_cents AS "sizeCents", status,
    allocation_version AS "allocationVersion", to_json(created_at) AS "createdAt"`,
  company: `id, fund_id, name, sector, stage, status, invested_cents AS "investedCents",
    planned_reserves_cents AS "plannedReservesCents"`,
  reallocation: `fund_id, user_id, new_version AS "newVersion", reason, to_json(created_at) AS "createdAt"`,
  holding: `id, portfolio_id, fund_id, commitment_cents AS "commitmentCents", status, version,
    to_json(created_at) AS "createdAt", to_json(updated_at) AS "updatedAt"`,
  statement: `holding_id, as_of AS "asOf", paid_in_cents AS "paidInCents", distributed_cents AS "distributedCents",
    nav_cents AS "navCents"`,
};

// The first rows of each parent, in an order.
const firstOf = (table, list, parent, order) => ({
  name: `first ${table}`,
  text: `SELECT * FROM (SELECT ${list}, row_number() OVER (PARTITION BY ${parent} ORDER BY ${order}) AS place
    FROM ${table} WHERE organization_id = $1 AND ${parent} = ANY ($2)) AS numbered WHERE place <= $3 ORDER BY place`,
  parent,
});

const statements = {
  fund: { name: "fund", text: `SELECT ${columns.fund} FROM funds AS fund WHERE organization_id = $1 AND id = ANY ($2)` },
  funds: {
    name: "funds",
    text: `SELECT ${columns.fund} FROM funds AS fund WHERE organization_id = $1 ORDER BY id LIMIT $2`,
  },
  user: { name: "user", text: `SELECT id, email FROM users WHERE id = ANY ($1)` },
  portfolio: { name: "portfolio", text: `SELECT id, name FROM portfolios WHERE organization_id = $1 AND id = $2` },
  portfolios: {
    name: "portfolios",
    text: `SELECT id, name FROM portfolios WHERE organization_id = $1 ORDER BY id LIMIT $2`,
  },
  holdings: {
    name: "holdings",
    text: `SELECT ${columns.holding} FROM portfolio_funds WHERE organization_id = $1 AND portfolio_id = $2
      ORDER BY id LIMIT $3`,
  },
  totals: {
    name: "totals",
    text: `SELECT sum(statement.committed_cents) AS "committedCents", sum(statement.paid_in_cents) AS "paidInCents",
        sum(statement.distributed_cents) AS "distributedCents", sum(statement.nav_cents) AS "navCents"
      FROM portfolio_funds AS holding
      LEFT JOIN LATERAL (
        SELECT * FROM holding_statements AS statement WHERE statement.organization_id = $1
          AND statement.holding_id = holding.id AND statement.as_of <= current_date
        ORDER BY statement.as_of DESC LIMIT 1
      ) AS statement ON true
      WHERE holding.organization_id = $1 AND holding.portfolio_id = $2`,
  },
  companies: firstOf("portfolio_companies", columns.company, "fund_id", "id"),
  reallocations: firstOf("reallocation_audit", columns.reallocation, "fund_id", "created_at DESC, id DESC"),
  statements: firstOf("holding_statements", columns.statement, "holding_id", "as_of DESC"),
};

// One connection and one transaction for a request, begun by its first statement.
class Session {
  constructor(organization) {
    this.organization = organization;
    this.funds = new DataLoader((ids) => this.byId(statements.fund, [this.organization, ids], ids));
    this.users = new DataLoader((ids) => this.byId(statements.user, [ids], ids));
    this.first = {};
  }

  async begin() {
    const client = await pool.connect();
    await client.query(`BEGIN READ ONLY; SET LOCAL app.organization_id = '${Number(this.organization)}'`);
    return client;
  }

  async rows(statement, values) {
    this.client ??= this.begin();
    const client = await this.client;
    return (await client.query({ name: statement.name, text: statement.text, values })).rows;
  }

  async byId(statement, values, ids) {
    const found = new Map((await this.rows(statement, values)).map((row) => [row.id, row]));
    return ids.map((id) => found.get(id) ?? null);
  }

  // A loader for each statement and number of rows.
  firstRows(statement, count) {
    const key = `${statement.name} ${count}`;
    return (this.first[key] ??= new DataLoader(async (ids) => {
      const groups = new Map(ids.map((id) => [id, []]));
      for (const row of await this.rows(statement, [this.organization, ids, count])) {
        groups.get(row[statement.parent]).push(row);
      }
      return ids.map((id) => groups.get(id));
    }));
  }

  async end() {
    if (this.client === undefined) return;
    const client = await this.client;
    await client.query("COMMIT");
    client.release();
  }
}

const asText = (name) => new GraphQLScalarType({ name, serialize: String });
const nodes = async (rows) => ({ nodes: await rows });
const children = (statement) => (row, { first }, { session }) =>
  nodes(session.firstRows(statement, first ?? 20).load(row.id));

const resolvers = {
  Cents: asText("Cents"),
  BigInt: asText("BigInt"),
  Query: {
    fund: (_, { id }, { session }) => session.funds.load(id),
    funds: (_, { first }, { session }) => nodes(session.rows(statements.funds, [session.organization, first ?? 20])),
    portfolio: async (_, { id }, { session }) =>
      (await session.rows(statements.portfolio, [session.organization, id]))[0],
    portfolios: (_, { first }, { session }) =>
      nodes(session.rows(statements.portfolios, [session.organization, first ?? 20])),
  },
  Fund: { companies: children(statements.companies), reallocations: children(statements.reallocations) },
  Reallocation: { actor: (row, _, { session }) => (row.user_id === null ? null : session.users.load(row.user_id)) },
  Portfolio: {
    totals: async (row, _, { session }) => (await session.rows(statements.totals, [session.organization, row.id]))[0],
    holdings: (row, { first }, { session }) =>
      nodes(session.rows(statements.holdings, [session.organization, row.id, first ?? 20])),
  },
  Holding: { fund: (row, _, { session }) => session.funds.load(row.fund_id), statements: children(statements.statements) },
};

const endsSession = {
  onExecute: ({ args }) => ({ onExecuteDone: () => args.contextValue.session.end() }),
};

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  plugins: [endsSession],
  context: ({ request }) => {
    const authorization = request.headers.get("authorization") ?? "";
    const organization = organizations.get(authorization.slice("Bearer ".length));
    if (organization === undefined) throw new Error("Send a bearer token.");
    return { session: new Session(organization) };
  },
  graphiql: false,
  landingPage: false,
  logging: false,
  maskedErrors: false,
  batching: false,
});

const server = createServer(yoga);
server.keepAliveTimeout = 75_000;
server.listen(Number(process.env.BENCH_PORT), "127.0.0.1");
