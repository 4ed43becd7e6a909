"""What the demo's pages are given: a token, and for GraphiQL examples with the demo's own ids."""

from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.routing import BaseRoute

from api.http import graphiql
from api.http.cross_origin import CrossOrigin
from api.http.live_page import live_page_routes
from api.http.tokens import Tokens
from api.reads import global_ids, memberships
from api.reads.examples import first_reallocation
from api.services.demo import DEMO_SLUG, EDITOR_EMAIL


@dataclass(slots=True)
class DemoSession:
    """The demo's editor, once the database is open."""

    tokens: Tokens
    state: Any
    _token: str | None = None

    def token(self) -> str | None:
        """A token of the demo's editor; None before the examples were asked for."""
        return self._token

    async def fresh_token(self) -> str | None:
        """A new token of the demo's editor; None where there is no demo."""
        await self._sign_in()
        return self._token

    async def examples(self) -> list[graphiql.Example]:
        """The examples of the page, with ids that exist."""
        organization_id = await self._sign_in()
        if organization_id is None:
            return list(graphiql.EXAMPLES)
        variables = await self._preview_variables(self.state.database, organization_id)
        return [
            replace(example, variables=variables) if example is graphiql.PREVIEW_REALLOCATION and variables else example
            for example in graphiql.EXAMPLES
        ]

    async def _sign_in(self) -> int | None:
        """Makes a token of the demo's editor; the demo's organization, None where there is no demo."""
        found = memberships.choose(await memberships.memberships_of_email(self.state.database, EDITOR_EMAIL), DEMO_SLUG)
        if found is None:
            return None
        self._token = self.tokens.issue(user_id=found.user_id, email=found.email, organization_slug=DEMO_SLUG)
        return found.organization_id

    async def _preview_variables(self, database: Any, organization_id: int) -> str | None:
        example = await first_reallocation(database, organization_id)
        if example is None:
            return None
        fund_id, version, companies = example
        proposals = [
            {"companyId": global_ids.encode("PortfolioCompany", company_id), "plannedReservesCents": str(planned)}
            for company_id, planned in companies
        ]
        payload = {
            "input": {
                "fundId": global_ids.encode("Fund", fund_id),
                "expectedVersion": str(version),
                "proposals": proposals,
            }
        }
        return orjson.dumps(payload, option=orjson.OPT_INDENT_2).decode()


def routes(tokens: Tokens, state: Any, cross_origin: CrossOrigin) -> list[BaseRoute]:
    """The pages with the demo's token and examples."""
    session, takes_host = DemoSession(tokens, state), cross_origin.is_own_host
    return [
        *graphiql.graphiql_routes(demo_token=session.token, takes_host=takes_host, examples=session.examples),
        *live_page_routes(demo_token=session.fresh_token, takes_host=takes_host),
    ]
