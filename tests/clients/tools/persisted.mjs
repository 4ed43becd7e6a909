// Apollo Client and urql name their documents by hash, send the text once, and the hash alone, in a GET, from then on.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { Client, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { createHash } from "node:crypto";

const url = process.env.TRANCHE_URL;
const headers = { authorization: `Bearer ${process.env.TRANCHE_TOKEN}` };
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

const requests = [];
async function noting(input, init) {
  const response = await fetch(input, init);
  const sent = `${decodeURIComponent(String(input))} ${init.body ?? ""}`;
  requests.push(`${init.method ?? "GET"} ${sent.includes("viewer") ? "with" : "without"} text: ${response.status}`);
  return response;
}

function apollo() {
  const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
  const http = new HttpLink({ uri: url, headers, fetch: noting });
  const client = new ApolloClient({ link: ApolloLink.from([persisted, http]), cache: new InMemoryCache() });
  return async () => (await client.query({ query: gql`query Apollo { viewer { role } }`, fetchPolicy: "no-cache" })).data;
}

function urql() {
  const persisted = persistedExchange({ generateHash: async (text) => sha256(text), preferGetForPersistedQueries: true });
  const client = new Client({ url, fetchOptions: { headers }, fetch: noting, exchanges: [persisted, fetchExchange] });
  const options = { requestPolicy: "network-only" };
  return async () => (await client.query("query Urql { viewer { role } }", {}, options)).data;
}

/** What a client asks and is answered, in a first and a second call. */
async function twice(ask) {
  const roles = [];
  requests.length = 0;
  for (const _call of [1, 2]) roles.push((await ask()).viewer.role);
  return { roles, requests: [...requests] };
}

console.log(JSON.stringify({ apollo: await twice(apollo()), urql: await twice(urql()) }));
process.exit();
