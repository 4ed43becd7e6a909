// urql without a socket: its fetch exchange takes subscriptions as a stream of events, and queries as plain answers.
import { Client, fetchExchange } from "@urql/core";

import { followed } from "./reallocations.mjs";

const contentTypes = new Set();
const client = new Client({
  url: process.env.TRANCHE_URL,
  preferGetMethod: false,
  fetchSubscriptions: true,
  fetchOptions: { headers: { authorization: `Bearer ${process.env.TRANCHE_TOKEN}` } },
  fetch: async (...request) => {
    const response = await fetch(...request);
    contentTypes.add(response.headers.get("content-type").split(";")[0]);
    return response;
  },
  exchanges: [fetchExchange],
});

function first(document, variables) {
  return new Promise((resolve, reject) => {
    const { unsubscribe } = client.subscription(document, variables).subscribe(({ data, error }) => {
      if (error) reject(error.graphQLErrors[0]?.extensions.code ?? String(error));
      else resolve(data);
      setTimeout(unsubscribe); // Within this callback, urql would end its own stream with an error that nobody catches.
    });
  });
}

const seen = await followed({
  query: async (document, variables) => (await client.query(document, variables)).data,
  mutate: async (document, variables) => (await client.mutation(document, variables)).data,
  first,
});
console.log(JSON.stringify({ ...seen, contentTypes: [...contentTypes] }));
process.exit();
