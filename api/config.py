"""Settings, read from ``TRANCHE_*`` environment variables. An unsafe or impossible one stops the server, by name."""

import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from api.errors import ConfigurationError


class Environment(StrEnum):
    """Where the server runs; production refuses what is only safe on a developer's machine."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Introspection(StrEnum):
    """Who may ask for ``__schema`` and ``__type``."""

    OFF = "off"
    SIGNED_IN = "signed_in"
    EVERYBODY = "everybody"


class Metrics(StrEnum):
    """Who may read ``/metrics``; ``loopback``: what runs on the same machine."""

    OFF = "off"
    LOOPBACK = "loopback"
    EVERYBODY = "everybody"


PASSWORD_MEMORY_KIB_IN_PRODUCTION = 7_168
"""The least memory that OWASP advises for argon2id."""

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _lowercased(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _uppercased(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _listed(value: object) -> object:
    """The parts of a list that is written with commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _only_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"{origin!r} is no origin as browsers send it, such as https://app.example or http://localhost:3000"
            )
    return origins


_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


def _only_networks(networks: str) -> str:
    for network in networks.split(","):
        if networks:
            ip_network(network.strip())
    return networks


class Settings(BaseSettings):
    """All settings of the server. Each is the environment variable ``TRANCHE_`` plus the upper-cased name."""

    model_config = SettingsConfigDict(env_prefix="TRANCHE_", env_ignore_empty=True, extra="ignore")

    environment: Annotated[Environment, BeforeValidator(_lowercased)] = Environment.DEVELOPMENT
    state_dir: Path = Path(".tranche")

    database_url: SecretStr | None = None
    """The owner of the schema: migrates, creates organizations. Empty: the embedded PostgreSQL."""
    application_database_url: SecretStr | None = None
    """The server's login, a member of tranche_app and tranche_auth alone. Empty: tranche_server, made by migrating."""
    postgres_bin_dir: Path | None = None
    allow_embedded_database: bool = False
    read_connections_max: int = Field(default=16, ge=1, le=500)
    write_connections_max: int = Field(default=8, ge=2, le=500)
    statement_timeout_seconds: float = Field(default=10, gt=0, le=600)
    lock_timeout_seconds: float = Field(default=3, gt=0, le=600)
    claim_timeout_seconds: float = Field(default=8, gt=0, le=600)
    idempotency_days: int = Field(default=30, ge=1, le=3650)

    signing_key: SecretStr | None = None
    """A JWK or PEM private key (Ed25519, EC P-256 or RSA), as text. Empty: generated into the state directory."""
    token_issuer: str = "tranche"
    token_audience: str = "tranche"
    token_minutes: int = Field(default=720, ge=1, le=60 * 24 * 31)
    access_minutes: int = Field(default=15, ge=1, le=60 * 24)
    """How long the access token of a session holds."""
    session_days: int = Field(default=30, ge=1, le=366)
    """How long a session lasts at most."""
    session_idle_hours: int = Field(default=168, ge=1, le=24 * 366)
    """How long a session lasts without being refreshed."""
    password_memory_kib: int = Field(default=19_456, ge=8, le=4_194_304)
    password_iterations: int = Field(default=2, ge=1, le=100)
    """What argon2id takes for one password; with one lane."""
    password_threads: int = Field(default=1, ge=1, le=64)
    password_queue_max: int = Field(default=16, ge=1, le=10_000)
    """How many passwords each process checks at a time, and how many wait; any more are refused at once."""
    trusted_proxies: Annotated[str, AfterValidator(_only_networks)] = ""
    """Addresses and networks, separated by commas, whose X-Forwarded-For tells the client's address."""
    trusted_issuer: str | None = None
    """An outside issuer whose tokens are taken too; its keys come from ``jwks_url`` or ``jwks``."""
    jwks_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]")
    jwks: str | None = None

    worker: bool = True
    """Whether ``serve`` does a worker's duties as well; without it, ``tranche worker`` must run."""
    snapshot_seconds_max: float = Field(default=60, ge=1, le=3600)
    """How long a forecast snapshot may be in calculation, all attempts together."""
    demo: bool = False
    compiled_queries: bool = True
    """Whether queries are answered by compiled plans; without them the resolvers answer, the same and slower."""
    body_bytes_max: int = Field(default=4_000_000, ge=1_000, le=100_000_000)
    cost_max: int = Field(default=50_000, ge=1_000, le=10_000_000)
    """What one operation may cost; see api/http/cost.py."""
    cost_per_minute: int = Field(default=1_000_000, ge=0, le=10_000_000_000)
    """What the operations of one caller may cost within a minute, over all processes. 0: any amount."""
    operation_seconds_max: float = Field(default=15, gt=0, le=600)
    """How long one operation may take."""
    batch_requests_max: int = Field(default=0, ge=0, le=100)
    """How many GraphQL requests may come in one HTTP request, as a list. 0: a list is refused."""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_only_origins)] = ()
    """The origins, separated by commas, whose pages browsers let read what is answered."""
    introspection: Annotated[Introspection | None, BeforeValidator(_lowercased)] = None
    """Empty: everybody in development, those signed in in production."""
    public_host: str | None = Field(default=None, pattern=r"^[^/\s]+$")
    """The name under which browsers reach the server's own pages. Empty: the one that ``serve`` listens on."""
    metrics: Annotated[Metrics | None, BeforeValidator(_lowercased)] = None
    """Empty: everybody in development, the same machine in production."""
    trusted_documents: Path | None = None
    """A JSON file of registered documents by their ids."""
    trusted_documents_only: bool = False
    log_level: Annotated[LogLevel, BeforeValidator(_uppercased)] = "INFO"

    @property
    def in_production(self) -> bool:
        """True where only safe settings are accepted."""
        return self.environment is Environment.PRODUCTION

    @property
    def hides_suggestions(self) -> bool:
        """Whether error messages leave out what names there are ("Did you mean ...?")."""
        return self.in_production

    @property
    def introspection_for(self) -> Introspection:
        """Who may introspect."""
        if self.introspection is not None:
            return self.introspection
        return Introspection.SIGNED_IN if self.in_production else Introspection.EVERYBODY

    @property
    def metrics_for(self) -> Metrics:
        """Who may read the metrics."""
        if self.metrics is not None:
            return self.metrics
        return Metrics.LOOPBACK if self.in_production else Metrics.EVERYBODY

    @property
    def uses_embedded_database(self) -> bool:
        """True where no database was named."""
        return self.database_url is None and self.application_database_url is None

    def check_signing_key(self) -> None:
        """Raises ConfigurationError where tokens would be signed with a generated key in production."""
        if self.in_production and self.signing_key is None:
            raise ConfigurationError(
                "Production does not sign with a generated key: set TRANCHE_SIGNING_KEY to a private key (PEM or JWK)."
            )

    def check_database(self) -> None:
        """Raises ConfigurationError where production would use the embedded database without having been told so."""
        if self.in_production and self.uses_embedded_database and not self.allow_embedded_database:
            raise ConfigurationError(
                "Production does not use the embedded database: set TRANCHE_DATABASE_URL, "
                "or TRANCHE_ALLOW_EMBEDDED_DATABASE=true to use it all the same."
            )

    def checked_for_serving(self) -> Self:
        """These settings, if a server may start with them; raises ConfigurationError naming the first unsafe one."""
        if self.trusted_issuer and not (self.jwks_url or self.jwks):
            raise ConfigurationError("TRANCHE_TRUSTED_ISSUER needs TRANCHE_JWKS_URL or TRANCHE_JWKS.")
        if 0 < self.cost_per_minute < self.cost_max:
            raise ConfigurationError("TRANCHE_COST_PER_MINUTE must be 0, or at least TRANCHE_COST_MAX.")
        if self.trusted_documents_only and self.trusted_documents is None:
            raise ConfigurationError("TRANCHE_TRUSTED_DOCUMENTS_ONLY needs TRANCHE_TRUSTED_DOCUMENTS.")
        if not self.in_production:
            return self
        if self.demo:
            raise ConfigurationError(
                "The demo does not run in production: leave out --demo and TRANCHE_DEMO, "
                "or set TRANCHE_ENVIRONMENT=development."
            )
        if self.password_memory_kib < PASSWORD_MEMORY_KIB_IN_PRODUCTION:
            raise ConfigurationError(
                f"TRANCHE_PASSWORD_MEMORY_KIB must be at least {PASSWORD_MEMORY_KIB_IN_PRODUCTION} in production."
            )
        self.check_signing_key()
        self.check_database()
        return self


def load_settings() -> Settings:
    """The settings of this process; raises ConfigurationError that names each bad variable."""
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"TRANCHE_{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigurationError(faults) from None
