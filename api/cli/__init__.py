"""The command line: serve, migrate, demo, organizations, tokens, files, the printed schema."""

import asyncio
import sys
from typing import Annotated

import typer
from pydantic import SecretStr

from api.cli.databases import found_database, with_database
from api.cli.files import export_commands, import_commands
from api.cli.flow_files import export_activities, export_valuations, import_activities, import_valuations
from api.cli.sequences import sequence_commands
from api.cli.working import run_worker
from api.config import Settings, load_settings
from api.db import embedded
from api.db.pools import Database
from api.db.provisioning import owner_connection, prepare
from api.domain import state_diagrams
from api.domain.access import Role
from api.errors import ConfigurationError, DomainError, Problem, Refused
from api.graphql.schema import print_schema
from api.http import logs, serving
from api.http.app import passwords_of, pool_limits
from api.http.tokens import Tokens
from api.reads import memberships
from api.services import demo as demo_service
from api.services import organizations
from api.services.commands import Writer
from api.services.organizations import Member
from api.services.passwords import check_new_password
from api.services.sequences import repair_at_start

application = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Tranche.")
organization_commands = typer.Typer(no_args_is_help=True, help="Organizations.")
user_commands = typer.Typer(no_args_is_help=True, help="People.")
application.add_typer(organization_commands, name="organization")
application.add_typer(user_commands, name="user")
import_commands.command("activities")(import_activities)
import_commands.command("valuations")(import_valuations)
export_commands.command("activities")(export_activities)
export_commands.command("valuations")(export_valuations)
application.add_typer(import_commands, name="import")
application.add_typer(export_commands, name="export")
application.add_typer(sequence_commands, name="sequences")


def main() -> None:
    """Runs the command line; what a person can mend ends with a sentence and status 1, not with a traceback."""
    try:
        application()
    except Refused as refused:
        for problem in refused.problems:
            typer.echo(f"tranche: {_sentence(problem)}", err=True)
        sys.exit(1)
    except (ConfigurationError, embedded.EmbeddedDatabaseError, DomainError) as error:
        typer.echo(f"tranche: {error}", err=True)
        sys.exit(1)


def _sentence(problem: Problem) -> str:
    # What is wrong with a file names its place itself.
    is_placed = problem.field is None or problem.index is not None
    return problem.message if is_placed else f"{'.'.join(problem.field or ())}: {problem.message}"


@application.command()
def serve(
    demo: Annotated[
        bool, typer.Option("--demo", help="Load demo data the first time, and print tokens for it.")
    ] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(help="How many processes.", min=1, max=64)] = 1,
) -> None:
    """Migrates and serves until it is interrupted."""
    settings = load_settings()
    settings = settings.model_copy(update={"demo": settings.demo or demo}).checked_for_serving()
    logs.configure(settings.log_level)
    if settings.application_database_url is not None and settings.database_url is None:
        asyncio.run(repair_at_start(settings.application_database_url.get_secret_value(), "tranche_app"))
        serving.serve(settings, host=host, port=port, workers=workers, banner=None)
        return
    with found_database(settings) as owner_url:
        url = asyncio.run(prepare(owner_url, settings.state_dir))
        asyncio.run(repair_at_start(owner_url, "tranche_maintenance"))
        own_login = settings.application_database_url or SecretStr(url)
        settings = settings.model_copy(update={"application_database_url": own_login})
        banner = asyncio.run(_demo_banner(settings, owner_url, host, port)) if settings.demo else None
        serving.serve(settings, host=host, port=port, workers=workers, banner=banner)


async def _demo_banner(settings: Settings, owner_url: str, host: str, port: int) -> str:
    assert settings.application_database_url is not None  # noqa: S101 - serve has just set it
    database = await Database.open(settings.application_database_url.get_secret_value(), pool_limits(settings))
    try:
        async with owner_connection(owner_url) as owner:
            await demo_service.load_demo(owner, Writer(database))
        tokens = Tokens(settings)
        issued = {}
        for member in demo_service.MEMBERS:
            found = await memberships.memberships_of_email(database, member.email)
            chosen = memberships.choose(found, demo_service.DEMO_SLUG)
            if chosen is not None:
                issued[chosen.role] = tokens.issue(
                    user_id=chosen.user_id, email=chosen.email, organization_slug=chosen.organization_slug
                )
    finally:
        await database.close()
    return serving.demo_banner(f"http://{host}:{port}", issued)


@application.command()
def worker() -> None:
    """Does what nobody asks for, such as calculating forecast snapshots, until it is interrupted."""
    settings = load_settings()
    logs.configure(settings.log_level)
    if settings.application_database_url is not None and settings.database_url is None:
        run_worker(settings, settings.application_database_url.get_secret_value())
        return
    with found_database(settings) as owner_url:
        own_login = settings.application_database_url
        url = asyncio.run(prepare(owner_url, settings.state_dir))
        run_worker(settings, own_login.get_secret_value() if own_login else url)


@application.command()
def migrate() -> None:
    """Brings the database to the newest revision."""
    settings = load_settings()
    with found_database(settings) as owner_url:
        asyncio.run(prepare(owner_url, settings.state_dir))
    typer.echo("The database is up to date.")


@application.command()
def demo() -> None:
    """Loads the demo data, unless it is there."""
    settings = load_settings()
    if settings.in_production:
        raise ConfigurationError("The demo is not for production: set TRANCHE_ENVIRONMENT=development.")

    async def load(owner_url: str, database: Database) -> bool:
        async with owner_connection(owner_url) as owner:
            return await demo_service.load_demo(owner, Writer(database))

    is_new = with_database(settings, load)
    typer.echo("The demo is loaded." if is_new else "The demo was there already.")


@organization_commands.command("create")
def create_organization(
    name: Annotated[str, typer.Option(help="Its name.")],
    slug: Annotated[str, typer.Option(help="Its short name: a-z, 0-9 and -.")],
    admin: Annotated[str, typer.Option(help="The address of its first administrator.")],
    currency: Annotated[str, typer.Option(help="Its base currency, ISO 4217.")] = "USD",
) -> None:
    """Creates an organization with one administrator."""

    async def create(owner_url: str, _database: Database) -> None:
        async with owner_connection(owner_url) as owner:
            await organizations.create_organization(
                owner, name=name, slug=slug, currency=currency, members=[Member(admin, Role.ADMIN)]
            )

    with_database(load_settings(), create)
    typer.echo(f"Created {slug} with the administrator {admin.lower()}.")


@user_commands.command("set-password")
def set_password(
    email: Annotated[str, typer.Option(help="The user's address.")],
) -> None:
    """Gives a user a password, asked for or else read from standard input, and ends their sessions."""
    password = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        if sys.stdin.isatty()
        else sys.stdin.readline().rstrip("\r\n")
    )
    problems = check_new_password(password)
    if problems:
        raise Refused(problems)
    settings = load_settings()
    password_hash = passwords_of(settings).hash_now(password)

    async def change(owner_url: str, _database: Database) -> None:
        async with owner_connection(owner_url) as owner:
            await organizations.set_password(owner, email=email, password_hash=password_hash)

    with_database(settings, change)
    typer.echo(f"{email.lower()} has a new password. All sessions of before have ended.")


@application.command()
def token(
    email: Annotated[str, typer.Option(help="The member's address.")],
    organization: Annotated[str | None, typer.Option(help="The slug; needed for a member of several.")] = None,
) -> None:
    """Prints a bearer token, and nothing else."""
    settings = load_settings()
    settings.check_signing_key()

    async def issue(_owner_url: str, database: Database) -> str:
        found = await memberships.memberships_of_email(database, email)
        chosen = memberships.choose(found, organization)
        if chosen is None:
            slugs = ", ".join(membership.organization_slug for membership in found)
            hint = f" Name one of: {slugs}." if slugs else ""
            raise ConfigurationError(f"{email} is no member of the organization.{hint}")
        return Tokens(settings).issue(
            user_id=chosen.user_id, email=chosen.email, organization_slug=chosen.organization_slug
        )

    typer.echo(with_database(settings, issue))


@application.command()
def schema() -> None:
    """Prints the GraphQL schema."""
    typer.echo(print_schema(), nl=False)


@application.command("state-machines")
def state_machines() -> None:
    """Prints docs/state-machines.md: the states of allocations and calls, and what may follow what."""
    typer.echo(state_diagrams.page(), nl=False)


@application.command("database-url")
def database_url() -> None:
    """Prints the owner's database URL, and nothing else. An embedded database stops a second after its last user."""
    with found_database(load_settings()) as owner_url:
        typer.echo(owner_url)
