"""The command line: what each command prints, and that what a person can mend ends with a sentence."""

import asyncio
import base64
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from argon2 import PasswordHasher

from api.cli import main

ROOT = Path(__file__).parents[1]
CREATE = ("organization", "create", "--name", "Gamma", "--slug", "gamma", "--admin", "Ada@Gamma.example")


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed."""

    status: int
    output: str
    errors: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line on a fresh database."""
    monkeypatch.setenv("TRANCHE_DATABASE_URL", database_url)
    monkeypatch.setenv("TRANCHE_STATE_DIR", str(tmp_path / "state"))

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tranche", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        output, errors = capfd.readouterr()
        return Outcome(int(ended.value.code or 0), output, errors)

    return run


def fetch(database_url: str, statement: str) -> list[asyncpg.Record]:
    """The rows of a statement, as the owner."""

    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database_url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    return asyncio.run(run())


def assert_sentence(outcome: Outcome, *words: str) -> None:
    """Status 1, nothing printed but one line on standard error that says these words."""
    assert (outcome.status, outcome.output) == (1, "")
    assert outcome.errors.startswith("tranche: ")
    assert outcome.errors.count("\n") == 1
    for word in words:
        assert word in outcome.errors


def test_schema_is_the_one_in_the_file(run: Run) -> None:
    assert run("schema") == Outcome(0, (ROOT / "schema.graphql").read_text(), "")


def test_diagrams_of_states_are_those_in_the_file(run: Run) -> None:
    assert run("state-machines") == Outcome(0, (ROOT / "docs/state-machines.md").read_text(), "")


def test_organization_has_one_administrator(run: Run, database_url: str) -> None:
    outcome = run(*CREATE)
    assert (outcome.status, outcome.output) == (0, "Created gamma with the administrator ada@gamma.example.\n")
    rows = fetch(
        database_url,
        """
        SELECT slug, organizations.name, base_currency, email, role FROM organizations
        JOIN memberships ON organization_id = organizations.id JOIN users ON user_id = users.id
        """,
    )
    assert [tuple(row) for row in rows] == [("gamma", "Gamma", "USD", "ada@gamma.example", "ADMIN")]


def test_organization_is_created_once(run: Run) -> None:
    run(*CREATE)
    assert_sentence(run(*CREATE), "slug: There is an organization of this slug.")


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--slug", "Gamma", "slug"),
        ("--slug", "-gamma", "slug"),
        ("--slug", "g" * 64, "slug"),
        ("--slug", "", "slug"),
        ("--slug", "gamma\n", "slug"),
        ("--admin", "ada", "email"),
        ("--admin", "ada @gamma.example", "email"),
        ("--admin", "a" * 320 + "@gamma.example", "email"),
        ("--currency", "usd", "currency"),
        ("--currency", "", "currency"),
        ("--name", " ", "name"),
        ("--name", "n" * 201, "name"),
    ],
)
def test_organization_with_a_bad_value_is_refused(
    run: Run, database_url: str, option: str, value: str, field: str
) -> None:
    assert_sentence(run(*CREATE, option, value), f"tranche: {field}: ")
    assert fetch(database_url, "SELECT FROM organizations") == []


def test_token_is_printed_alone(run: Run) -> None:
    run(*CREATE)
    for arguments in ((), ("--organization", "gamma")):
        outcome = run("token", "--email", "ADA@gamma.example", *arguments)
        assert (outcome.status, outcome.errors, outcome.output.count("\n")) == (0, "", 1)
        header, payload, signature = outcome.output.strip().split(".")
        assert header
        assert signature
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert (claims["email"], claims["organization"]) == ("ada@gamma.example", "gamma")


def test_token_of_nobody_is_refused(run: Run) -> None:
    run(*CREATE)
    assert_sentence(run("token", "--email", "eve@gamma.example"), "eve@gamma.example")
    assert_sentence(run("token", "--email", "ada@gamma.example", "--organization", "delta"), "gamma")


def test_token_of_a_member_of_two_wants_one_named(run: Run) -> None:
    run(*CREATE)
    run(*CREATE, "--slug", "delta")
    assert_sentence(run("token", "--email", "ada@gamma.example"), "Name one of: gamma, delta.")
    assert run("token", "--email", "ada@gamma.example", "--organization", "delta").status == 0


def test_password_is_set_from_standard_input(run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(*CREATE)
    set_password = ("user", "set-password", "--email", "Ada@gamma.example")
    for password in ("correct horse battery", "another password"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        outcome = run(*set_password)
        assert outcome == Outcome(0, "ada@gamma.example has a new password. All sessions of before have ended.\n", "")
    (row,) = fetch(database_url, "SELECT hash FROM user_passwords")
    assert PasswordHasher().verify(row["hash"], "another password")
    actions = [row["action"] for row in fetch(database_url, "SELECT action FROM audit_events ORDER BY sequence")]
    assert actions == ["organization.created", "password.set", "password.set"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert run(*set_password) == Outcome(1, "", "tranche: password: A password has 8 to 200 characters.\n")


def test_password_of_nobody_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse battery\n"))
    outcome = run("user", "set-password", "--email", "nobody@gamma.example")
    assert outcome == Outcome(1, "", "tranche: email: There is no such user.\n")


def test_database_url_is_printed_alone(run: Run, database_url: str) -> None:
    assert database_url.startswith("postgresql://")
    assert run("database-url") == Outcome(0, f"{database_url}\n", "")


def test_migrating_twice_is_as_good_as_once(run: Run) -> None:
    for _ in range(2):
        outcome = run("migrate")
        assert (outcome.status, outcome.output) == (0, "The database is up to date.\n")


def test_demo_is_loaded_once(run: Run, database_url: str) -> None:
    assert run("demo").output == "The demo is loaded.\n"
    funds = fetch(database_url, "SELECT count(*) FROM funds")
    assert run("demo").output == "The demo was there already.\n"
    assert fetch(database_url, "SELECT count(*) FROM funds") == funds


def test_demo_is_refused_in_production(run: Run, monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("TRANCHE_ENVIRONMENT", "production")
    assert_sentence(run("demo"), "TRANCHE_ENVIRONMENT")
    assert_sentence(run("serve", "--demo"), "TRANCHE_DEMO")
    assert_sentence(run("serve"), "TRANCHE_SIGNING_KEY")
    assert fetch(database_url, "SELECT FROM organizations") == []


def test_import_into_an_unknown_organization_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "statements.csv"
    file.write_text("a,b\n1,2\n")
    outcome = run("import", "statements", str(file), "--organization", "nobody")
    assert (outcome.status, outcome.output) == (1, "")
    assert outcome.errors.strip() == "tranche: There is no organization nobody."


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/x", "nonsense", "mysql://a/b", "postgresql://[/x"])
def test_database_that_cannot_be_reached_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TRANCHE_DATABASE_URL", url)
    for command in ("migrate", "demo"):
        assert_sentence(run(command), "TRANCHE_DATABASE_URL")


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "LOUD"), ("TOKEN_MINUTES", "0"), ("ENVIRONMENT", "prod")])
def test_bad_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TRANCHE_{name}", value)
    assert_sentence(run("serve"), f"TRANCHE_{name}: ")


def test_state_directory_that_cannot_be_made_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run(*CREATE)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRANCHE_STATE_DIR", str(tmp_path / "file"))
    assert_sentence(run("token", "--email", "ada@gamma.example"), str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["migrate"], "TRANCHE_ALLOW_EMBEDDED_DATABASE"),
        (["database-url"], "TRANCHE_ALLOW_EMBEDDED_DATABASE"),
        (["organization", "create", "--name", "A", "--slug", "a", "--admin", "a@a.example"], "TRANCHE_DATABASE_URL"),
        (["token", "--email", "a@a.example"], "TRANCHE_SIGNING_KEY"),
    ],
)
def test_production_refuses_development_settings_on_the_command_line_too(
    arguments: list[str],
    setting: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRANCHE_ENVIRONMENT", "production")
    monkeypatch.setenv("TRANCHE_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["tranche", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 1
    assert setting in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
