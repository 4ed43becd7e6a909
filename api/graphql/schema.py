"""The schema, mixed from the features."""

from functools import cache

import strawberry
from strawberry.schema.config import StrawberryConfig

from api.graphql.audit import AuditQuery
from api.graphql.companies import CompanyMutation
from api.graphql.funds import FundMutation, FundQuery
from api.graphql.mutations import authorise_first
from api.graphql.nodes import NodeQuery
from api.graphql.organizations import Membership, OrganizationQuery, User
from api.graphql.portfolio_mutations import PortfolioMutation
from api.graphql.portfolios import PortfolioQuery
from api.graphql.reallocations import Reallocation, ReallocationMutation
from api.graphql.scalars import SCALARS, refuse_unstorable_texts


@strawberry.type(description="What can be read. Every root field is answered from one snapshot of the database.")
class Query(NodeQuery, OrganizationQuery, FundQuery, PortfolioQuery, AuditQuery):
    """What can be read."""


@strawberry.type(description="What can be written. Every root field is a transaction of its own.")
class Mutation(FundMutation, CompanyMutation, ReallocationMutation, PortfolioMutation):
    """What can be written."""


@cache
def schema() -> strawberry.Schema:
    """The schema, built once."""
    refuse_unstorable_texts()
    made = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        types=[User, Membership, Reallocation],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    if made._schema.mutation_type is not None:
        authorise_first(made._schema.mutation_type)
    return made


def print_schema() -> str:
    """The schema in GraphQL's own language, as schema.graphql holds it."""
    return schema().as_str() + "\n"
