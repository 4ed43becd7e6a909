"""The schema, mixed from the features."""

from functools import cache

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.types.field import StrawberryField

from api.graphql.activity_mutations import ActivityMutation
from api.graphql.api_keys import ApiKeyMutation, ApiKeyQuery
from api.graphql.audit import AuditQuery
from api.graphql.business_rules import BusinessRulesMutation
from api.graphql.capital import CapitalQuery
from api.graphql.capital_call_mutations import CapitalCallMutation
from api.graphql.capital_calls import CapitalCallQuery
from api.graphql.capital_import import CapitalImportMutation
from api.graphql.capital_mutations import CapitalMutation
from api.graphql.companies import CompanyMutation
from api.graphql.deal_decisions import DealDecisionMutation
from api.graphql.deal_mutations import DealAllocationMutation, DealMutation
from api.graphql.deal_rules import DealRulesQuery
from api.graphql.deals import DealQuery
from api.graphql.declare import ReadField
from api.graphql.forecast_comparison import ForecastQuery
from api.graphql.forecast_mutations import ForecastMutation
from api.graphql.funds import FundMutation, FundQuery
from api.graphql.investment_mutations import InvestmentMutation
from api.graphql.mutations import authorise_first
from api.graphql.nodes import NodeQuery
from api.graphql.organizations import Membership, OrganizationQuery, User
from api.graphql.people import PeopleMutation, PeopleQuery
from api.graphql.portfolio_mutations import PortfolioMutation
from api.graphql.portfolios import PortfolioQuery
from api.graphql.reallocations import Reallocation, ReallocationMutation
from api.graphql.recalculations import RecalculationMutation
from api.graphql.returns import BenchmarkQuery
from api.graphql.scalars import SCALARS, refuse_unstorable_texts
from api.graphql.sequences import SequenceMutation, SequenceQuery
from api.graphql.sign_in import SignInMutation
from api.graphql.subscriptions import FollowingQuery, Subscription, load_subjects
from api.graphql.system import SystemQuery
from api.graphql.valuation_mutations import ValuationMutation
from api.reads.compiled.plain import DeclaredFields
from api.reads.declarations import Read


@strawberry.type(description="What can be read. Every root field is answered from one snapshot of the database.")
class Query(
    NodeQuery,
    OrganizationQuery,
    FundQuery,
    DealQuery,
    DealRulesQuery,
    PortfolioQuery,
    BenchmarkQuery,
    CapitalQuery,
    CapitalCallQuery,
    ForecastQuery,
    AuditQuery,
    SequenceQuery,
    PeopleQuery,
    ApiKeyQuery,
    FollowingQuery,
    SystemQuery,
):
    """What can be read."""


@strawberry.type(description="What can be written. Every root field is a transaction of its own.")
class Mutation(
    FundMutation,
    CompanyMutation,
    InvestmentMutation,
    ForecastMutation,
    ReallocationMutation,
    DealMutation,
    DealAllocationMutation,
    DealDecisionMutation,
    BusinessRulesMutation,
    PortfolioMutation,
    ActivityMutation,
    ValuationMutation,
    RecalculationMutation,
    CapitalMutation,
    CapitalImportMutation,
    SequenceMutation,
    CapitalCallMutation,
    SignInMutation,
    PeopleMutation,
    ApiKeyMutation,
):
    """What can be written."""


@cache
def schema() -> strawberry.Schema:
    """The schema, built once."""
    refuse_unstorable_texts()
    made = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[User, Membership, Reallocation],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    if made._schema.mutation_type is not None:
        authorise_first(made._schema.mutation_type)
    if made._schema.subscription_type is not None:
        load_subjects(made._schema.subscription_type)
    return made


@cache
def declared_fields() -> DeclaredFields:
    """What the schema's fields read, for plans: declared reads, and fields that show an attribute as it is."""
    reads: dict[tuple[str, str], Read] = {}
    attributes: dict[tuple[str, str], str] = {}
    for type_name, type_ in schema()._schema.type_map.items():
        for name, field in getattr(type_, "fields", {}).items():
            definition = field.extensions.get("strawberry-definition")
            if isinstance(definition, ReadField):
                reads[type_name, name] = definition.read
            elif isinstance(definition, StrawberryField) and definition.is_basic_field:
                attributes[type_name, name] = definition.python_name
    return DeclaredFields(reads, attributes)


def print_schema() -> str:
    """The schema in GraphQL's own language, as schema.graphql holds it."""
    return schema().as_str() + "\n"
