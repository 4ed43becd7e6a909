import { Environment, Network, RecordSource, Store, type FetchFunction } from "relay-runtime";

const send: FetchFunction = async ({ name, text }, variables) => {
  const response = await fetch(process.env.TRANCHE_URL!, {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json",
      Authorization: `Bearer ${process.env.TRANCHE_TOKEN}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ operationName: name, query: text, variables }),
  });
  return response.json();
};

export const environment = new Environment({ network: Network.create(send), store: new Store(new RecordSource()) });
