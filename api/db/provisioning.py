"""Getting a database ready to serve: migrated, and with a login for the server that owns nothing."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

from api import private_files
from api.db import migrations
from api.errors import ConfigurationError

SERVER_ROLE = "tranche_server"
CONNECT_SECONDS_MAX = 10
PROVISION_ATTEMPTS_MAX = 5
TURN_SECONDS = 0.1


async def prepare(owner_url: str, state_directory: Path) -> str:
    """Migrates the database and gives the server's login its password; returns the server's URL.

    Servers that start together take turns. Raises ConfigurationError where the owner's login cannot do it.
    """
    async with owner_connection(owner_url) as owner:
        # Asked for again and again: a statement that waits has a snapshot, and an index that is built in the meantime
        # would wait for that, and so for ever.
        while not await owner.fetchval("SELECT pg_try_advisory_lock($1)", migrations.MIGRATION_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(TURN_SECONDS)
        if await migrations.current_revision(owner) != migrations.newest_revision():
            await asyncio.to_thread(migrations.upgrade, owner_url)
        url = application_url(owner_url, state_directory)
        await _ensure_login(owner, url)
    return url


@asynccontextmanager
async def owner_connection(owner_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the schema's owner; raises ConfigurationError where there is none to be had."""
    try:
        connection = await asyncpg.connect(owner_url, timeout=CONNECT_SECONDS_MAX)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ConfigurationError(f"TRANCHE_DATABASE_URL: the database cannot be reached ({error}).") from error
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_SECONDS_MAX)


def application_url(owner_url: str, state_directory: Path) -> str:
    """The URL of the server's login on the owner's database.

    Its password is derived from the owner's, so that all machines with the same owner's URL agree on it; where the
    owner has none, it is made once and kept in the state directory.
    """
    parts = urlsplit(owner_url)
    if parts.password:
        secret = unquote(parts.password).encode()
        password = hmac.new(secret, SERVER_ROLE.encode(), hashlib.sha256).hexdigest()
    else:
        password = private_files.keep(state_directory / "server-password", secrets.token_hex(32).encode()).decode()
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{SERVER_ROLE}:{quote(password, safe='')}@{host}"))


async def _ensure_login(owner: asyncpg.Connection, url: str) -> None:
    """Lets the server's role log in with this password; left alone where it does already."""
    if await _can_log_in(url):
        return
    password = unquote(urlsplit(url).password or "")
    for attempt in range(PROVISION_ATTEMPTS_MAX):
        try:
            # The password is hexadecimal or was quoted by us; ALTER ROLE takes no parameters.
            literal = await owner.fetchval("SELECT quote_literal($1::text)", password)
            await owner.execute(f"ALTER ROLE {SERVER_ROLE} LOGIN PASSWORD {literal}")
            return
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(
                f"TRANCHE_DATABASE_URL: its login may not set the password of {SERVER_ROLE} ({error}). Set "
                "TRANCHE_APPLICATION_DATABASE_URL to a login that is a member of tranche_app and tranche_auth alone."
            ) from error
        except asyncpg.InternalServerError:
            # "tuple concurrently updated": roles belong to the cluster, and another database's server is at it too.
            if attempt == PROVISION_ATTEMPTS_MAX - 1:
                raise
            await asyncio.sleep(0.05 * (attempt + 1))


async def _can_log_in(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS_MAX)
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError):
        return False
    await connection.close()
    return True
