import { setTimeout as pause } from "node:timers/promises";

import { createClient } from "./client";
import { graphql } from "./gql";
import type { ReallocationCommittedSubscription } from "./gql/graphql";

const Funds = graphql(`
  query FundsWithCompanies {
    funds(first: 10, filter: { nameContains: "Northlight Growth" }) {
      nodes {
        id
        allocationVersion
        companies(first: 1) {
          nodes {
            id
            plannedReservesCents
          }
        }
      }
    }
  }
`);

const Commit = graphql(`
  mutation Commit($input: CommitReallocationInput!) {
    commitReallocation(input: $input) {
      fund {
        id
        allocationVersion
      }
      userErrors {
        message
      }
    }
  }
`);

const ReallocationCommitted = graphql(`
  subscription ReallocationCommitted($fundId: ID!, $after: String) {
    reallocationCommitted(fundId: $fundId, after: $after) {
      cursor
      reallocation {
        id
        newVersion
        changes {
          companyName
          deltaCents
        }
      }
    }
  }
`);

const client = createClient(process.env.TRANCHE_URL!, process.env.TRANCHE_TOKEN!);

const found = await client.query(Funds, {});
const fund = found.data!.funds.nodes[0]!;
const company = fund.companies.nodes[0]!;
let version = fund.allocationVersion;
let planned = BigInt(company.plannedReservesCents);

/** Plans a million more for the company. */
async function commit(): Promise<void> {
  planned += 100_000_000n;
  const proposals = [{ companyId: company.id, plannedReservesCents: String(planned) }];
  const input = { fundId: fund.id, expectedVersion: version, proposals, idempotencyKey: crypto.randomUUID() };
  const { data, error } = await client.mutation(Commit, { input });
  if (error) throw error;
  const payload = data!.commitReallocation!;
  if (!payload.fund) throw new Error(payload.userErrors.map(({ message }) => message).join(" "));
  version = payload.fund.allocationVersion;
}

/** The next reallocation of the fund after this cursor, or from now on. */
function next(after: string | null): Promise<ReallocationCommittedSubscription["reallocationCommitted"]> {
  return new Promise((resolve, reject) => {
    const events = client.subscription(ReallocationCommitted, { fundId: fund.id, after });
    const { unsubscribe } = events.subscribe(({ data, error }) => {
      if (error) reject(error);
      if (data) resolve(data.reallocationCommitted);
      unsubscribe();
    });
  });
}

function print(when: string, { reallocation }: ReallocationCommittedSubscription["reallocationCommitted"]): void {
  for (const { companyName, deltaCents } of reallocation.changes) console.log(`${when}: ${companyName} ${deltaCents}`);
}

// What is committed before the stream has begun is not part of it, so this may take more than one.
const coming = next(null);
let event;
while (!event) {
  await commit();
  event = await Promise.race([coming, pause(1000)]);
}
print("as it happened", event);

// With the cursor of what was seen last comes what was missed meanwhile.
await commit();
print("made up for", await next(event.cursor));
process.exit();
