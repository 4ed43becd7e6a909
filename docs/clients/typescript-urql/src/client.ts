import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { cacheExchange, type KeyingConfig } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import type { IntrospectionQuery } from "graphql";
import { createClient as createSocketClient } from "graphql-ws";
import WebSocket from "ws"; // Browsers, and Node from version 22 on, have one of their own.

import json from "./gql/schema.json" with { type: "json" };

const schema = json as unknown as IntrospectionQuery;

/** Types without an id are part of the object around them. */
const keys: KeyingConfig = {};
for (const type of schema.__schema.types) {
  if (type.kind === "OBJECT" && !type.fields.some(({ name }) => name === "id")) keys[type.name] = () => null;
}

/** A client whose cache knows the schema: objects by id, connections as one growing list. */
export function createClient(url: string, token: string, onRequest = () => {}): Client {
  const authorization = `Bearer ${token}`;
  const socket = createSocketClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: { authorization },
    webSocketImpl: WebSocket,
  });
  return new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization } },
    fetch: (input, init) => {
      onRequest();
      return fetch(input, init);
    },
    exchanges: [
      cacheExchange({
        schema,
        keys,
        resolvers: {
          Query: {
            funds: relayPagination(),
            fund: (_parent, { id }) => ({ __typename: "Fund", id: id as string }),
          },
        },
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query: query ?? "", variables }, sink) }),
        }),
      }),
    ],
  });
}
