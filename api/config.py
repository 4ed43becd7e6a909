"""Settings, read from ``TRANCHE_*`` environment variables. An unsafe or impossible one stops the server, by name."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.errors import ConfigurationError


class Environment(StrEnum):
    """Where the server runs; production refuses what is only safe on a developer's machine."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def _lowercased(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _uppercased(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


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
    trusted_issuer: str | None = None
    """An outside issuer whose tokens are taken too; its keys come from ``jwks_url`` or ``jwks``."""
    jwks_url: str | None = Field(default=None, pattern=r"^https?://[^/\s]")
    jwks: str | None = None

    demo: bool = False
    compiled_queries: bool = True
    """Whether queries are answered by compiled plans; without them the resolvers answer, the same and slower."""
    body_bytes_max: int = Field(default=1_000_000, ge=1_000, le=100_000_000)
    log_level: Annotated[LogLevel, BeforeValidator(_uppercased)] = "INFO"

    @property
    def in_production(self) -> bool:
        """True where only safe settings are accepted."""
        return self.environment is Environment.PRODUCTION

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
        if not self.in_production:
            return self
        if self.demo:
            raise ConfigurationError(
                "The demo does not run in production: leave out --demo and TRANCHE_DEMO, "
                "or set TRANCHE_ENVIRONMENT=development."
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
