// One scenario for every client that follows: an event as it happens, one that was missed, and a fund that is not there.

const FUND = `query Fund { funds(first: 1, filter: { nameContains: "Northlight Growth" }) { nodes {
  id allocationVersion companies(first: 1) { nodes { id plannedReservesCents } }
} } }`;
const COMMIT = `mutation Commit($input: CommitReallocationInput!) {
  commitReallocation(input: $input) { fund { id allocationVersion } userErrors { message } }
}`;
const COMMITTED = `subscription Committed($fundId: ID, $after: String) {
  reallocationCommitted(fundId: $fundId, after: $after) {
    cursor reallocation { id newVersion changes { deltaCents } }
  }
}`;

/**
 * What a client sees that can query, mutate, and wait for the first answer of a subscription. The last of them rejects
 * with the error's code where the subscription is refused.
 */
export async function followed({ query, mutate, first }) {
  const { funds } = await query(FUND, {});
  const [fund] = funds.nodes;
  const [company] = fund.companies.nodes;
  let [version, planned] = [fund.allocationVersion, BigInt(company.plannedReservesCents)];

  async function commit() {
    planned += 100n;
    const proposals = [{ companyId: company.id, plannedReservesCents: String(planned) }];
    const { commitReallocation } = await mutate(COMMIT, { input: { fundId: fund.id, expectedVersion: version, proposals } });
    version = commitReallocation.fund.allocationVersion;
  }

  async function next(variables) {
    return (await first(COMMITTED, variables)).reallocationCommitted;
  }

  // What is committed before the stream has begun is not part of it, so this may take more than one.
  const coming = next({ fundId: fund.id });
  let event;
  while (!event) {
    await commit();
    event = await Promise.race([coming, new Promise((resolve) => setTimeout(resolve, 1000))]);
  }
  await commit();
  const missed = await next({ fundId: fund.id, after: event.cursor });
  return {
    deltas: [event, missed].map(({ reallocation }) => reallocation.changes[0].deltaCents),
    isNext: Number(missed.reallocation.newVersion) === Number(event.reallocation.newVersion) + 1,
    refused: await next({ fundId: "nothing" }).catch((code) => code),
  };
}
