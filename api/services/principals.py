"""Whether what a request was signed in as still holds."""

import asyncpg

from api.domain.access import Principal, Role
from api.errors import Unauthenticated


async def check_principal(connection: asyncpg.Connection, principal: Principal) -> None:
    """Looks, inside the transaction, whether the role still holds: it may have been taken since sign-in.

    Raises Unauthenticated.
    """
    if principal.api_key_id is not None:
        role = await connection.fetchval(
            "SELECT role FROM api_keys WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL"
            " AND expires_at > now()",
            principal.organization_id,
            principal.api_key_id,
        )
        if role is None:
            raise Unauthenticated("The API key is no longer valid.")
        return
    if principal.user_id is None:
        return
    role = await connection.fetchval(
        "SELECT role FROM memberships WHERE organization_id = $1 AND user_id = $2 AND removed_at IS NULL",
        principal.organization_id,
        principal.user_id,
    )
    if role is None:
        raise Unauthenticated("You are no longer a member of this organization.")
    if Role(role) is not principal.role:
        raise Unauthenticated("Your role has changed; send the request again.")
