"""Settings: what production refuses, by name, and how a bad value is told."""

import json
import os
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from api.config import Environment, Introspection, Metrics, Settings, load_settings
from api.errors import ConfigurationError
from api.http.app import create_app
from api.http.tokens import Tokens

KEY = ECKey.generate_key("P-256")
PRIVATE_KEY = json.dumps(KEY.as_dict(private=True))
SAFE = {
    "ENVIRONMENT": "production",
    "SIGNING_KEY": PRIVATE_KEY,
    "DATABASE_URL": "postgresql://owner:secret@database.example/tranche",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables that this machine may have set."""
    for name in list(os.environ):
        if name.startswith("TRANCHE_"):
            monkeypatch.delenv(name)


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """The settings of these variables, each without its prefix."""
    for name, value in variables.items():
        monkeypatch.setenv(f"TRANCHE_{name}", value)
    return load_settings()


def test_nothing_needs_to_be_set_on_a_developers_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch).checked_for_serving()
    assert (settings.environment, settings.uses_embedded_database) == (Environment.DEVELOPMENT, True)


@pytest.mark.parametrize("environment", ["production", "PRODUCTION", "Production"])
def test_production_starts_with_safe_settings(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    settings = loaded(monkeypatch, **SAFE | {"ENVIRONMENT": environment})
    assert settings.checked_for_serving().in_production


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"SIGNING_KEY": ""}, "TRANCHE_SIGNING_KEY"),
        ({"DEMO": "true"}, "TRANCHE_DEMO"),
        ({"DATABASE_URL": ""}, "TRANCHE_DATABASE_URL"),
        ({"TRUSTED_ISSUER": "https://issuer.example"}, "TRANCHE_TRUSTED_ISSUER"),
        ({"TRUSTED_DOCUMENTS_ONLY": "true"}, "TRANCHE_TRUSTED_DOCUMENTS"),
        ({"COST_MAX": "2000", "COST_PER_MINUTE": "1999"}, "TRANCHE_COST_PER_MINUTE"),
        ({"PASSWORD_MEMORY_KIB": "1024"}, "TRANCHE_PASSWORD_MEMORY_KIB"),
    ],
)
def test_production_refuses_what_is_unsafe_by_name(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], named: str
) -> None:
    settings = loaded(monkeypatch, **SAFE | change)
    with pytest.raises(ConfigurationError, match=named):
        settings.checked_for_serving()
    with pytest.raises(ConfigurationError, match=named):
        create_app(settings)


def test_production_takes_the_embedded_database_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, **SAFE | {"DATABASE_URL": "", "ALLOW_EMBEDDED_DATABASE": "true"})
    assert settings.checked_for_serving().uses_embedded_database


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVIRONMENT", "prod"),
        ("ENVIRONMENT", " production"),
        ("READ_CONNECTIONS_MAX", "0"),
        ("READ_CONNECTIONS_MAX", "many"),
        ("WRITE_CONNECTIONS_MAX", "1"),
        ("STATEMENT_TIMEOUT_SECONDS", "0"),
        ("STATEMENT_TIMEOUT_SECONDS", "nan"),
        ("STATEMENT_TIMEOUT_SECONDS", "inf"),
        ("LOCK_TIMEOUT_SECONDS", "-1"),
        ("CLAIM_TIMEOUT_SECONDS", "1e9"),
        ("IDEMPOTENCY_DAYS", "0"),
        ("TOKEN_MINUTES", "0"),
        ("TOKEN_MINUTES", "1.5"),
        ("BODY_BYTES_MAX", "10"),
        ("ACCESS_MINUTES", "0"),
        ("SESSION_DAYS", "0"),
        ("SESSION_IDLE_HOURS", "0"),
        ("PASSWORD_MEMORY_KIB", "7"),
        ("PASSWORD_THREADS", "0"),
        ("PASSWORD_QUEUE_MAX", "0"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.1,"),
        ("ALLOW_EMBEDDED_DATABASE", "perhaps"),
        ("DEMO", "2"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_LEVEL", "10"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "app.example"),
        ("CORS_ORIGINS", "https://app.example/"),
        ("CORS_ORIGINS", "https://App.example"),
        ("CORS_ORIGINS", "https://app.example https://b.example"),
        ("CORS_ORIGINS", "null"),
        ("INTROSPECTION", "nobody"),
        ("BATCH_REQUESTS_MAX", "-1"),
        ("BATCH_REQUESTS_MAX", "101"),
        ("TRUSTED_DOCUMENTS_ONLY", "perhaps"),
        ("JWKS_URL", "keys.json"),
        ("JWKS_URL", "ftp://issuer.example/keys"),
    ],
)
def test_bad_value_is_told_with_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"^TRANCHE_{name}: "):
        loaded(monkeypatch, **{name: value})


def test_all_bad_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"^TRANCHE_TOKEN_MINUTES: [^;]+; TRANCHE_DEMO: [^;]+$"):
        loaded(monkeypatch, DEMO="2", TOKEN_MINUTES="0")


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    origins = "https://app.example, http://localhost:3000,https://[::1]:8443,"
    expected = ("https://app.example", "http://localhost:3000", "https://[::1]:8443")
    assert loaded(monkeypatch, CORS_ORIGINS=origins).cors_origins == expected


@pytest.mark.parametrize(
    ("environment", "value", "expected"),
    [
        ("development", "", Introspection.EVERYBODY),
        ("production", "", Introspection.SIGNED_IN),
        ("production", "Everybody", Introspection.EVERYBODY),
        ("development", "off", Introspection.OFF),
    ],
)
def test_production_keeps_its_schema_for_those_signed_in(
    monkeypatch: pytest.MonkeyPatch, environment: str, value: str, expected: Introspection
) -> None:
    settings = loaded(monkeypatch, ENVIRONMENT=environment, INTROSPECTION=value)
    assert settings.introspection_for is expected


@pytest.mark.parametrize(
    ("environment", "value", "expected"),
    [
        ("development", "", Metrics.EVERYBODY),
        ("production", "", Metrics.LOOPBACK),
        ("production", "Everybody", Metrics.EVERYBODY),
        ("development", "OFF", Metrics.OFF),
    ],
)
def test_production_keeps_its_metrics_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, environment: str, value: str, expected: Metrics
) -> None:
    assert loaded(monkeypatch, ENVIRONMENT=environment, METRICS=value).metrics_for is expected


def test_public_host_is_a_name_and_no_address_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, PUBLIC_HOST="own.example").public_host == "own.example"
    with pytest.raises(ConfigurationError, match="TRANCHE_PUBLIC_HOST"):
        loaded(monkeypatch, PUBLIC_HOST="https://own.example")


@pytest.mark.parametrize("level", ["debug", "INFO", "Warning", "error"])
def test_log_level_is_taken_in_any_case(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    assert loaded(monkeypatch, LOG_LEVEL=level).log_level == level.upper()


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, **SAFE, APPLICATION_DATABASE_URL="postgresql://server:hidden@database.example/t")
    for secret in ("secret", "hidden", json.loads(PRIVATE_KEY)["d"]):
        assert secret not in repr(settings)


def signing_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> Settings:
    return loaded(monkeypatch, SIGNING_KEY=text, STATE_DIR=str(tmp_path / "state"))


KEYS = {"P-256": KEY, "P-384": ECKey.generate_key("P-384"), "RSA": RSAKey.generate_key(2048)}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
async def test_private_key_is_taken_as_jwk_and_as_pem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: ECKey | RSAKey
) -> None:
    issued = []
    for text in (json.dumps(key.as_dict(private=True)), key.as_pem(private=True).decode()):
        tokens = Tokens(signing_key(monkeypatch, tmp_path, text))
        token = tokens.issue(user_id=7, email="a@b.example", organization_slug="alpha")
        assert (await tokens.verify(token)).user_id == 7
        issued.append(token)
    assert (await tokens.verify(issued[0])).user_id == 7
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "{",
        "{}",
        '{"kty": "EC"}',
        "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----",
        json.dumps(KEY.as_dict(private=False)),
        KEY.as_pem(private=False).decode(),
        json.dumps(OctKey.generate_key(256).as_dict(private=True)),
        json.dumps(ECKey.generate_key("P-521").as_dict(private=True)),
        json.dumps(ECKey.generate_key("secp256k1").as_dict(private=True)),
    ],
    ids=["text", "brace", "empty", "half", "pem", "public", "public pem", "shared", "P-521", "secp256k1"],
)
def test_unusable_signing_key_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    with pytest.raises(ConfigurationError, match="TRANCHE_SIGNING_KEY") as caught:
        Tokens(signing_key(monkeypatch, tmp_path, text))
    assert len(text) < 10 or text not in str(caught.value)
