"""Whether the process lives, and whether it can serve."""

import asyncio
import ipaddress

from starlette.requests import Request

from api.db import migrations
from api.db.pools import Database

CHECK_SECONDS_MAX = 3
FORWARDING = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""What a proxy adds to what it hands on."""


def is_on_this_machine(request: Request) -> bool:
    """Whether a program of this machine asks for itself, and not a proxy on it for somebody else."""
    if request.client is None or any(name in request.headers for name in FORWARDING):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


async def readiness(database: Database) -> dict[str, str]:
    """What the server depends on, each ``ok`` or a word for what is wrong."""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX), database.reads.lent() as connection:
            revision = await migrations.current_revision(connection)
    except Exception:
        return {"database": "unreachable", "migrations": "unknown"}
    newest = migrations.newest_revision()
    return {"database": "ok", "migrations": "ok" if revision == newest else f"at {revision}, not {newest}"}
