"""API keys: how programs sign in."""

from datetime import datetime
from typing import Annotated

import strawberry

from api import tables
from api.errors import Refused
from api.graphql.connections import Connection
from api.graphql.context import Info
from api.graphql.declare import column, connection, entity, to_one
from api.graphql.mutations import Payload, given, refusal, row_id, write
from api.graphql.nodes import Node
from api.graphql.objects import load
from api.graphql.organizations import GraphQLRole, User
from api.services import api_keys


@entity(tables.ApiKey, "A program's way in, with a role of its own. For administrators.", action="apiKeys")
class ApiKey(Node):
    """A program's way in."""

    name: str = column("What it is for.")
    role: GraphQLRole = column("What it may do.")
    prefix: str = column("How its secret begins.")
    created_by: User | None = to_one("Who made it; null for another key.", "User", by="created_by")
    created_at: datetime = column("When it was made.")
    expires_at: datetime = column("Until when it holds.")
    last_used_at: datetime | None = column("When it was used last, to the minute; null where it never was.")
    revoked_at: datetime | None = column("When it was revoked; null where it was not.")


@strawberry.type
class ApiKeyQuery:
    """The root fields about API keys."""

    api_keys: Connection[ApiKey] | None = connection(
        "The organization's API keys, revoked and expired ones included. For administrators.",
        "ApiKey",
        tables.ApiKey,
        by=None,
        action="apiKeys",
    )


@strawberry.input(description="An API key to make.")
class CreateApiKeyInput:
    """An API key to make."""

    name: str = strawberry.field(description="What it is for, 1 to 200 characters.")
    role: GraphQLRole = strawberry.field(description="What it may do.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="Until when it holds: a year unless given, 731 days at most."
    )
    idempotency_key: str | None = strawberry.field(default=None, description="1 to 128 characters; see the README.")


@strawberry.input(description="The API key to revoke.")
class RevokeApiKeyInput:
    """The API key to revoke."""

    id: strawberry.ID = strawberry.field(description="The key.")


@strawberry.type(description="The created API key.")
class CreateApiKeyPayload(Payload):
    """The created API key."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")
    secret: str | None = strawberry.field(
        default=None,
        description="To be sent as Authorization: Bearer SECRET. Shown here and never again, a replay included.",
    )
    replayed: bool = strawberry.field(default=False, description="Whether an earlier request with the key made it.")


@strawberry.type(description="The revoked API key.")
class RevokeApiKeyPayload(Payload):
    """The revoked API key."""

    api_key: ApiKey | None = strawberry.field(default=None, description="The key.")


@strawberry.type
class ApiKeyMutation:
    """Writes to API keys."""

    @strawberry.mutation(description="Makes an API key. For administrators.")
    async def create_api_key(
        self, info: Info, input: Annotated[CreateApiKeyInput, strawberry.argument(description="The key.")]
    ) -> CreateApiKeyPayload | None:
        """Makes an API key."""
        secret = api_keys.new_secret()
        try:
            outcome = await write(
                info,
                lambda command: api_keys.create_api_key(
                    command,
                    name=input.name,
                    role=input.role,
                    expires_at=input.expires_at,
                    secret=secret,
                    now=info.context.now,
                ),
                int,
                key=input.idempotency_key,
                input_given=given(input),
            )
        except Refused as refused:
            return refusal(CreateApiKeyPayload, refused)
        return CreateApiKeyPayload(
            api_key=await load(info, "ApiKey", outcome.result),
            secret=None if outcome.replayed else secret,
            replayed=outcome.replayed,
        )

    @strawberry.mutation(description="Ends an API key for good. For administrators.")
    async def revoke_api_key(
        self, info: Info, input: Annotated[RevokeApiKeyInput, strawberry.argument(description="The key.")]
    ) -> RevokeApiKeyPayload | None:
        """Ends an API key for good."""
        try:
            key_id = row_id("ApiKey", input.id, "id", "API key")
            await write(info, lambda command: api_keys.revoke_api_key(command, key_id=key_id), int)
        except Refused as refused:
            return refusal(RevokeApiKeyPayload, refused)
        return RevokeApiKeyPayload(api_key=await load(info, "ApiKey", key_id))
