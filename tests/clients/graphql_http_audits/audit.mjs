// Runs the audits of GraphQL over HTTP against the address in the first argument; prints one JSON object a line.
import { auditServer } from 'graphql-http';

const results = await auditServer({ url: process.argv[2] });
for (const { id, name, status, reason } of results) {
  console.log(JSON.stringify({ id, name, status, reason }));
}
