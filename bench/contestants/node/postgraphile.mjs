// PostGraphile 5 as its documentation recommends for production: the Amber preset, grafserv on node:http, no GraphiQL,
// no watching, prepared statements (its default), NODE_ENV and GRAPHILE_ENV set to production by the starter.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { jsonPgSmartTags } from "postgraphile/utils";

const organizations = new Map(Object.entries(JSON.parse(process.env.BENCH_TOKENS)));

// The foreign keys carry the organization, which makes long names; these are the ones of the project's own schema.
// An actor is reached straight from the row, as the project's server does, and not by way of memberships.
const names = jsonPgSmartTags({
  version: 1,
  config: {
    class: {
      reallocation_audit: { tags: { foreignKey: "(user_id) references users (id)|@fieldName actor" } },
    },
    constraint: {
      "public.portfolio_companies.portfolio_companies_organization_id_fund_id_fkey": {
        tags: { foreignFieldName: "companies", fieldName: "fund" },
      },
      "public.reallocation_audit.reallocation_audit_organization_id_fund_id_fkey": {
        tags: { foreignFieldName: "reallocations", fieldName: "fund" },
      },
      "public.portfolio_funds.portfolio_funds_organization_id_fund_id_fkey": {
        tags: { foreignFieldName: "holdings", fieldName: "fund" },
      },
      "public.portfolio_funds.portfolio_funds_organization_id_portfolio_id_fkey": {
        tags: { foreignFieldName: "holdings", fieldName: "portfolio" },
      },
      "public.holding_statements.holding_statements_organization_id_holding_id_fkey": {
        tags: { foreignFieldName: "statements", fieldName: "holding" },
      },
    },
  },
});

const preset = {
  extends: [PostGraphileAmberPreset],
  plugins: [names],
  pgServices: [
    makePgService({
      connectionString: process.env.BENCH_DATABASE_URL,
      schemas: ["public"],
      poolConfig: { max: Number(process.env.BENCH_POOL), options: "-c role=tranche_app -c timezone=UTC" },
    }),
  ],
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false, websockets: false },
  grafast: {
    explain: false,
    context(requestContext) {
      const authorization = requestContext.http?.getHeader("authorization") ?? "";
      const organization = organizations.get(authorization.slice("Bearer ".length));
      if (organization === undefined) throw new Error("Send a bearer token.");
      return { pgSettings: { role: "tranche_app", "app.organization_id": organization } };
    },
  },
};

const instance = postgraphile(preset);
const server = createServer();
server.keepAliveTimeout = 75_000;
await instance.createServ(grafserv).addTo(server);
server.listen(Number(process.env.BENCH_PORT), "127.0.0.1");
