// Apollo Client 4 follows a subscription over HTTP: a multipart answer, with nothing but its HTTP link.
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { firstValueFrom, from } from "rxjs";

import { followed } from "./reallocations.mjs";

const contentTypes = new Set();
const client = new ApolloClient({
  link: new HttpLink({
    uri: process.env.TRANCHE_URL,
    headers: { Authorization: `Bearer ${process.env.TRANCHE_TOKEN}` },
    fetch: async (...request) => {
      const response = await fetch(...request);
      contentTypes.add(response.headers.get("content-type").split(";")[0]);
      return response;
    },
  }),
  cache: new InMemoryCache(),
});

async function first(document, variables) {
  const { data, error } = await firstValueFrom(from(client.subscribe({ query: gql(document), variables })));
  if (error) throw CombinedGraphQLErrors.is(error) ? error.errors[0].extensions.code : String(error);
  return data;
}

const seen = await followed({
  query: async (document, variables) => (await client.query({ query: gql(document), variables })).data,
  mutate: async (document, variables) => (await client.mutate({ mutation: gql(document), variables })).data,
  first,
});
console.log(JSON.stringify({ ...seen, contentTypes: [...contentTypes] }));
process.exit();
