"""What resolvers share while one operation is answered."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Protocol

import strawberry

from api.db.pools import Database
from api.domain.access import Principal
from api.errors import Unauthenticated
from api.reads.kept import KeptAnswers
from api.reads.live.followers import LiveLog
from api.reads.loaders import Loaders
from api.services.commands import Writer
from api.services.sessions import Lifetimes
from api.services.sign_in import SignIns, client_network
from api.services.worker import Worker

CLIENT: ContextVar[tuple[str, int] | None] = ContextVar("CLIENT", default=None)
"""Address and port of whoever sent the request."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who is asking: the principal, and what it says of itself."""

    principal: Principal
    email: str
    session_id: int | None = None


class IssueToken(Protocol):
    """Makes the access token of a session; see Tokens.issue."""

    def __call__(
        self, *, user_id: int, email: str, organization_slug: str, session_id: int, until: datetime
    ) -> "AccessToken":
        """The token."""
        ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token, and when it ends."""

    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class People:
    """What signing in takes: checked passwords, sessions of so long, and tokens for them."""

    sign_ins: SignIns
    lifetimes: Lifetimes
    issue: IssueToken


class Cache(Protocol):
    """A cache of this process, as far as it tells of itself; ``bytes`` by estimate."""

    hits: int
    misses: int
    bytes: int

    def __len__(self) -> int:
        """How much it holds."""
        ...


@dataclass(frozen=True, slots=True)
class Process:
    """The server process that answers: its caches by name, and its worker where it has one."""

    caches: Mapping[str, Cache] = field(default_factory=dict)
    worker: Worker | None = None


@dataclass(slots=True)
class Context:
    """One operation's caller, loaders and writer. ``now`` is read once, so that all of an answer agrees."""

    database: Database
    writer: Writer
    request_id: str
    signed_in: SignedIn | None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    live: LiveLog | None = None
    people: People | None = None
    kept: KeptAnswers | None = None
    process: Process = field(default_factory=Process)
    _loaders: Loaders | None = None

    @property
    def principal(self) -> Principal:
        """The caller; raises Unauthenticated where nobody is signed in."""
        if self.signed_in is None:
            raise Unauthenticated("Send a bearer token in the Authorization header.")
        return self.signed_in.principal

    async def authorise(self, action: str | None = None) -> None:
        """Raises Unauthenticated where nobody is signed in, Forbidden where the role does not allow the action."""
        if action is None:
            self.principal  # noqa: B018 - raises where nobody is signed in
        else:
            await self.writer.authorise(self.principal, action, self.request_id)

    @property
    def network(self) -> str:
        """The network of the client that sent the request."""
        client = CLIENT.get()
        return client_network(client and client[0])

    @property
    def today(self) -> date:
        """The UTC day of this operation."""
        return self.now.date()

    @property
    def loaders(self) -> Loaders:
        """The dataloaders of this operation."""
        if self._loaders is None:
            self._loaders = Loaders(self.database, self.principal.organization_id, self.kept)
        return self._loaders

    async def close(self) -> None:
        """Gives back what the operation held."""
        if self._loaders is not None:
            await self._loaders.close()


Info = strawberry.Info[Context, None]
