// What graphql-ws and graphql-sse make of the server: the same steps with either; prints what came.
// Arguments: "ws" or "sse", the port, an administrator's token.
import { createClient as createSocket } from 'graphql-ws';
import { createClient as createStream } from 'graphql-sse';
import WebSocket from 'ws';

const [kind, port, token] = process.argv.slice(2);
const authorization = `Bearer ${token}`;
const client =
  kind === 'ws'
    ? createSocket({
        url: `ws://127.0.0.1:${port}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { authorization },
        retryAttempts: 0,
        lazyCloseTimeout: 1000,
      })
    : createStream({ url: `http://127.0.0.1:${port}/graphql`, headers: { authorization }, retryAttempts: 0 });

const EVENTS = `subscription ($after: String) {
  eventRecorded(after: $after) { cursor event { sequence action } }
}`;
const CREATE = `mutation ($input: CreateFundInput!) {
  createFund(input: $input) { fund { name } userErrors { code } }
}`;

async function one(query, variables) {
  const results = [];
  for await (const result of client.iterate({ query, variables })) results.push(result);
  if (results.length !== 1) throw new Error(`${results.length} results`);
  return results[0];
}

async function take(after, number) {
  const events = [];
  for await (const result of client.iterate({ query: EVENTS, variables: { after } })) {
    if (result.errors) throw new Error(JSON.stringify(result.errors));
    events.push(result.data.eventRecorded);
    if (events.length === number) break;
  }
  return events;
}

async function errors(query, variables) {
  try {
    const result = await one(query, variables);
    return result.errors.map((error) => error.extensions.code);
  } catch (thrown) {
    const found = Array.isArray(thrown) ? thrown : [thrown];
    return found.map((error) => error.extensions?.code ?? String(error));
  }
}

const seen = {};
seen.query = await one('{ viewer { role } }');
seen.mutation = await one(CREATE, { input: { name: `${kind} 0` } });
const cursor = process.env.CURSOR;
const missed = await take(cursor, 1);
// One that is live, beside one that catches up, while a query and mutations are answered.
const live = take(missed[0].cursor, 3);
const again = take(cursor, 4);
for (const number of [1, 2, 3]) await one(CREATE, { input: { name: `${kind} ${number}` } });
seen.again = (await again).map((event) => event.event.action);
seen.live = (await live).map((event) => Number(event.event.sequence) - Number(missed[0].event.sequence));
seen.syntax = await errors('{');
seen.validation = await errors('{ nothing }');
seen.cursor = await errors(EVENTS, { after: 'x' });
seen.two = await Promise.all([one('{ viewer { role } }'), one('{ __typename }')]);
console.log(JSON.stringify(seen));
await client.dispose();
