"""Organizations, their members, and who is asking."""

from datetime import datetime

import strawberry

from api import tables
from api.domain.access import Role
from api.graphql.business_rules import BusinessRules, shown_changes, shown_rules
from api.graphql.connections import Connection
from api.graphql.context import Info
from api.graphql.declare import argument, batch, column, connection, entity, to_one
from api.graphql.enums import describe
from api.graphql.filters import any_of
from api.graphql.nodes import Node
from api.graphql.objects import load
from api.graphql.scalars import BigInt, CurrencyCode
from api.reads.business_rules import BUSINESS_RULE_CHANGES, BUSINESS_RULES
from api.reads.memberships import memberships_of_user
from api.reads.pages import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

GraphQLRole = describe(
    Role,
    "Role",
    "A member's role in one organization.",
    {
        Role.VIEWER: "Reads everything but the log, and may preview.",
        Role.EDITOR: "Also writes.",
        Role.ADMIN: "Also sees to members, rules and the log.",
    },
)


@entity(tables.User, "A person. Visible to those who share an organization with them.", scope_column=None)
class User(Node):
    """A person."""

    email: str = column("The address they are known by.")
    name: str = column("Their name; may be empty.")


@entity(tables.Membership, "A user's role in the organization.")
class Membership(Node):
    """A user's role in the organization."""

    user: User = to_one("Who it is.", "User", by="user_id")
    role: GraphQLRole = column("What they may do.")  # type: ignore[valid-type]
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When they joined.")
    removed_at: datetime | None = column("When they were removed; null for a member.")


@strawberry.input(description="Which members to show.")
class MembershipFilter:
    """Which members to show."""

    role: list[GraphQLRole] | None = any_of("role", "Only these roles.")  # type: ignore[valid-type]


@entity(tables.Organization, "The tenant: everything belongs to exactly one.", scope_column="id")
class Organization(Node):
    """The tenant."""

    name: str = column("Its name.")
    slug: str = column("Its short name in addresses and on the command line.")
    base_currency: CurrencyCode = column("The currency that is meant where none is named.")
    members: Connection[Membership] = connection(
        "Its members, removed ones included.",
        "Membership",
        tables.Membership,
        by="organization_id",
        filter=MembershipFilter,
    )
    business_rules: BusinessRules = batch(
        "The thresholds of its rules, as they hold.", BUSINESS_RULES, make=shown_rules
    )
    business_rule_changes: list[BusinessRules] = batch(
        "What administrators have set its thresholds to, latest first.",
        BUSINESS_RULE_CHANGES,
        make=shown_changes,
        arguments=[
            argument("first", int | None, f"How many from the front, at most {PAGE_SIZE_MAX}.", PAGE_SIZE_DEFAULT)
        ],
    )
    version: BigInt = column("The version, for optimistic locking.")
    created_at: datetime = column("When it was created.")


@strawberry.type(description="An organization by its names, whether or not the token is for it.")
class OrganizationName:
    """An organization by its names."""

    name: str = strawberry.field(description="Its name.")
    slug: str = strawberry.field(description="Its short name, as signIn wants it.")


@strawberry.type(description="One of the organizations that the signed-in user is a member of.")
class ViewerMembership:
    """One of the organizations that the signed-in user is a member of."""

    organization: OrganizationName = strawberry.field(description="The organization.")
    role: GraphQLRole = strawberry.field(description="What the user may do in it.")  # type: ignore[valid-type]


@strawberry.type(description="Who is asking, in which organization.")
class Viewer:
    """Who is asking, in which organization."""

    user: User | None = strawberry.field(description="The signed-in user; null where an API key asks.")
    organization: Organization = strawberry.field(description="The organization that the token is for.")
    role: GraphQLRole = strawberry.field(description="What they may do in it.")  # type: ignore[valid-type]

    @strawberry.field(description="All organizations that the user is a member of; none for an API key.")
    async def memberships(self, info: Info) -> list[ViewerMembership]:
        """All organizations that the user is a member of."""
        user_id = info.context.principal.user_id
        found = [] if user_id is None else await memberships_of_user(info.context.database, user_id)
        return [
            ViewerMembership(
                organization=OrganizationName(name=one.organization_name, slug=one.organization_slug), role=one.role
            )
            for one in found
        ]


@strawberry.type
class OrganizationQuery:
    """The root fields about the organization and its people."""

    @strawberry.field(description="Who is asking.")
    async def viewer(self, info: Info) -> Viewer:
        """Who is asking."""
        principal = info.context.principal
        return Viewer(
            user=None if principal.user_id is None else await load(info, "User", principal.user_id),
            organization=await load(info, "Organization", principal.organization_id),
            role=principal.role,
        )

    @strawberry.field(description="The organization that the token is for.")
    async def organization(self, info: Info) -> Organization:
        """The organization that the token is for."""
        found: Organization = await load(info, "Organization", info.context.principal.organization_id)
        return found
