// Apollo Client 4 with its own normalised cache: objects by id, connections joined, a write seen by whoever watches.
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { relayStylePagination } from "@apollo/client/utilities";
import { filter, firstValueFrom, from } from "rxjs";

const warnings = [];
console.warn = (...words) => warnings.push(words);
console.error = (...words) => warnings.push(words);

let requests = 0;
const client = new ApolloClient({
  link: new HttpLink({
    uri: process.env.TRANCHE_URL,
    headers: { Authorization: `Bearer ${process.env.TRANCHE_TOKEN}` },
    fetch: (...request) => {
      requests += 1;
      return fetch(...request);
    },
  }),
  cache: new InMemoryCache({
    typePolicies: {
      Query: {
        fields: {
          funds: relayStylePagination(["filter", "orderBy"]),
          fund: (existing, { args, toReference }) => existing ?? toReference({ __typename: "Fund", id: args.id }),
        },
      },
    },
  }),
});

const FUNDS = gql`
  query Funds($first: Int!, $after: String) {
    funds(first: $first, after: $after, orderBy: { field: NAME }) {
      totalCount
      edges { cursor node { id name version sizeCents reserves { plannedCents } } }
      pageInfo { hasNextPage endCursor }
    }
  }
`;
const FUND = gql`query Fund($id: ID!) { fund(id: $id) { id name version sizeCents reserves { plannedCents } } }`;
const UPDATE = gql`
  mutation Update($input: UpdateFundInput!) {
    updateFund(input: $input) { fund { id version sizeCents } userErrors { code } }
  }
`;

const shown = [];
const watched = client.watchQuery({ query: FUNDS, variables: { first: 4 } });
const subscription = watched.subscribe(({ data, dataState }) => {
  if (dataState !== "complete") return;
  const { edges } = data.funds;
  const seen = `${edges.length} funds, the first of ${edges[0].node.sizeCents}`;
  if (shown.at(-1) !== seen) shown.push(seen);
});
const { data } = await firstValueFrom(from(watched).pipe(filter(({ dataState }) => dataState === "complete")));
await watched.fetchMore({ variables: { after: data.funds.pageInfo.endCursor } });
const id = data.funds.edges[0].node.id;
const before = await client.query({ query: FUND, variables: { id } });
const update = () =>
  client.mutate({
    mutation: UPDATE,
    variables: { input: { id, expectedVersion: before.data.fund.version, sizeCents: "310000000000" } },
  });
const written = await update();
const after = await client.query({ query: FUND, variables: { id } });
const refused = await update();
const failure = await client.query({ query: gql`query Wrong { funds(first: 101) { totalCount } }` }).catch((error) => error);
subscription.unsubscribe();
client.stop();

console.log(
  JSON.stringify({
    requests,
    shown,
    read: [before.data.fund.sizeCents, after.data.fund.sizeCents],
    userErrors: [written, refused].map(({ data }) => data.updateFund.userErrors.map(({ code }) => code)),
    failure: CombinedGraphQLErrors.is(failure) ? failure.errors.map(({ extensions }) => extensions.code) : String(failure),
    warnings,
  }),
);
