import { createClient } from "./client";
import { graphql, unmask } from "./gql";

const FundFields = graphql(`
  fragment FundFields on Fund {
    id
    name
    sizeCents
    version
    reserves {
      plannedCents
      companyCount
    }
  }
`);

const Funds = graphql(`
  query Funds($first: Int!, $after: String) {
    funds(first: $first, after: $after, orderBy: { field: NAME }) {
      edges {
        cursor
        node {
          ...FundFields
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`);

const Fund = graphql(`
  query Fund($id: ID!) {
    fund(id: $id) {
      ...FundFields
    }
  }
`);

const UpdateFund = graphql(`
  mutation UpdateFund($input: UpdateFundInput!) {
    updateFund(input: $input) {
      fund {
        ...FundFields
      }
      userErrors {
        code
        message
        expected
        actual
      }
    }
  }
`);

let requests = 0;
const client = createClient(process.env.TRANCHE_URL!, process.env.TRANCHE_TOKEN!, () => (requests += 1));

// Page after page: the cache joins them into one list.
async function load(after: string | null): Promise<void> {
  const page = await client.query(Funds, { first: 4, after });
  if (page.error) throw page.error;
  const { hasNextPage, endCursor } = page.data!.funds.pageInfo;
  if (hasNextPage) await load(endCursor!);
}
await load(null);
const list = client.readQuery(Funds, { first: 4, after: null })!.data!.funds;
const funds = list.edges.map((edge) => unmask(FundFields, edge.node));
console.log(`${funds.length} funds in the cache after ${requests} requests`);

// A single fund: the cache has it already.
const id = funds[0]!.id;
const read = async () => unmask(FundFields, (await client.query(Fund, { id })).data!.fund)!;
const fund = await read();
console.log(`${fund.name}: ${fund.sizeCents} cents, version ${fund.version}, after ${requests} requests`);

// A write answers with the object, and whoever shows it sees it change.
const resized = { id, expectedVersion: fund.version, sizeCents: "310000000000" };
const first = await client.mutation(UpdateFund, { input: resized });
if (first.error) throw first.error;
const { sizeCents, version } = await read();
console.log(`${fund.name}: ${sizeCents} cents, version ${version}, after ${requests} requests`);

// The same write again is based on what is no longer so.
const second = await client.mutation(UpdateFund, { input: resized });
for (const { code, expected, actual } of second.data?.updateFund?.userErrors ?? []) {
  console.log(`${code}: expected ${expected}, found ${actual}`);
}
