import { graphql, useLazyLoadQuery, usePaginationFragment } from "react-relay";

import { Fund } from "./Fund";
import type { FundsNextPage } from "./__generated__/FundsNextPage.graphql";
import type { FundsQuery } from "./__generated__/FundsQuery.graphql";
import type { Funds_query$key } from "./__generated__/Funds_query.graphql";

/** The organization's funds, two at a time. */
export function Funds() {
  const query = useLazyLoadQuery<FundsQuery>(
    graphql`
      query FundsQuery {
        ...Funds_query
      }
    `,
    {},
  );
  const { data, hasNext, loadNext } = usePaginationFragment<FundsNextPage, Funds_query$key>(
    graphql`
      fragment Funds_query on Query
      @argumentDefinitions(count: { type: "Int", defaultValue: 2 }, cursor: { type: "String" })
      @refetchable(queryName: "FundsNextPage") {
        funds(first: $count, after: $cursor, orderBy: { field: NAME }) @connection(key: "Funds_funds") {
          edges {
            node {
              id
              ...Fund_fund
            }
          }
        }
      }
    `,
    query,
  );
  return (
    <>
      <ul>
        {data.funds.edges.map(({ node }) => (
          <Fund key={node.id} fund={node} />
        ))}
      </ul>
      {hasNext && <button onClick={() => loadNext(2)}>More funds</button>}
    </>
  );
}
