import { graphql, usePaginationFragment } from "react-relay";

import type { FundCompanies } from "./__generated__/FundCompanies.graphql";
import type { Fund_fund$key } from "./__generated__/Fund_fund.graphql";

/** A fund with its companies, three at a time; the next ones are asked of the node itself. */
export function Fund(props: { fund: Fund_fund$key }) {
  const { data, hasNext, loadNext } = usePaginationFragment<FundCompanies, Fund_fund$key>(
    graphql`
      fragment Fund_fund on Fund
      @argumentDefinitions(count: { type: "Int", defaultValue: 3 }, cursor: { type: "String" })
      @refetchable(queryName: "FundCompanies") {
        name
        reserves {
          plannedCents
        }
        companies(first: $count, after: $cursor, orderBy: { field: NAME }) @connection(key: "Fund_companies") {
          edges {
            node {
              id
              name
            }
          }
        }
      }
    `,
    props.fund,
  );
  return (
    <li>
      <h2>{data.name}</h2>
      <p>{data.companies.edges.map(({ node }) => node.name).join(", ") || "no companies"}</p>
      {hasNext && <button onClick={() => loadNext(3)}>More companies of {data.name}</button>}
    </li>
  );
}
