"""`python -m bench.sign_in`: thousands of failing sign-ins at one server, and what they cost somebody who only reads.

Calm and storm take turns in one run, so that whatever else the machine does meets both alike. The reader asks at a
steady pace all the time: it sees what anybody would see.
"""

import asyncio
import secrets
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import orjson
import typer
import uvloop
from pydantic import SecretStr

from api.config import Settings
from api.db.provisioning import owner_connection
from api.domain.access import Role
from api.http.app import passwords_of
from api.services.organizations import Member, create_organization, set_password
from bench import questions
from bench.contestants import CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database
from bench.load import quantile
from bench.processor_time import Usage, read_usage, spent

SLOWDOWN_MAX = 1.5
"""How many times as long the reader's p95 may be in a storm."""
KNOWN = 20
"""How many addresses with a password there are to be tried."""
ALIASES = 10
"""How many attempts a request with aliases makes: as many as a mutation may have root fields."""
ALIASED_EVERY = 5
NETWORKS = 250
"""From how many addresses the attempts come: one address would be refused sooner."""
WARM_UP_SECONDS = 3.0
ARRIVAL_SECONDS = 2.0
"""Within what time the clients of a storm come."""
READ = '{"query":"{ funds(first: 5) { nodes { id name } } }"}'
SIGN_IN = "mutation ($input: SignInInput!) { signIn(input: $input) { userErrors { code } } }"
PROXIED = {"TRANCHE_TRUSTED_PROXIES": "127.0.0.1"}
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it


def request(body: str, header: str) -> bytes:
    """A POST to /graphql."""
    return (
        f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{header}\r\n"
        f"Content-Length: {len(body.encode())}\r\n\r\n{body}"
    ).encode()


@dataclass
class Storm:
    """The attempts: whether they go on, and what has come of them so far."""

    port: int
    is_on: bool = False
    sent: int = 0
    failed: int = 0
    refused: int = 0

    @property
    def attempts(self) -> int:
        """How many attempts have been answered, one way or another."""
        return self.failed + self.refused

    def next(self) -> bytes:
        """A request: one attempt as pages send it, or now and then ten in aliases; addresses known and unknown."""
        self.sent += 1
        if self.sent % ALIASED_EVERY:
            given = {"email": _email(self.sent), "password": secrets.token_hex(6)}
            body = {"query": SIGN_IN, "variables": {"input": given}}
        else:
            attempts = (
                f'a{place}: signIn(input: {{email: "{_email(self.sent + place)}", password: "{secrets.token_hex(6)}"}})'
                " { userErrors { code } }"
                for place in range(ALIASES)
            )
            body = {"query": f"mutation {{ {' '.join(attempts)} }}"}
        return request(orjson.dumps(body).decode(), f"X-Forwarded-For: 198.51.100.{self.sent % NETWORKS}")

    async def client(self, arrives_in: float) -> None:
        """One client, which tries again as soon as it has its answer, on one connection."""
        await asyncio.sleep(arrives_in)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while self.is_on:
            writer.write(self.next())
            _, body = await questions.answer(reader)
            self.failed += body.count(b'"INVALID_INPUT"')
            self.refused += body.count(b'"RATE_LIMITED"')
        writer.close()


def _email(number: int) -> str:
    return f"known{number % KNOWN}@storm.example" if number % 2 else f"unknown{number}@storm.example"


@dataclass
class SteadyReader:
    """Somebody who reads all the time; ``latencies`` are the seconds of the answers since they were last taken."""

    port: int
    token: str
    rate: int
    is_over: bool = False
    latencies: list[float] = field(default_factory=list)

    async def read(self) -> None:
        """Asks at its pace on one connection. What has to wait for a late answer is late from when it was due."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sent = request(READ, f"Authorization: Bearer {self.token}")
        due = time.perf_counter()
        while not self.is_over:
            due += 1 / self.rate
            started_at = due
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
                started_at = time.perf_counter()
            writer.write(sent)
            head, body = await questions.answer(reader)
            self.latencies.append(time.perf_counter() - started_at)
            if not head.startswith(b"HTTP/1.1 200") or b'"errors"' in body:
                raise RuntimeError(f"The reader was refused: {body!r}")
        writer.close()


@dataclass
class Weather:
    """What the reader saw in each phase of calm or storm, and what all of them took."""

    name: str
    seconds: float = 0.0
    phases: list[list[float]] = field(default_factory=list)
    server_seconds: float = 0.0
    database_seconds: float = 0.0
    own_seconds: float = 0.0

    def quantile_ms(self, part: float) -> float:
        """The milliseconds within which this part of a phase's answers came: the median over the phases.

        What else the machine does comes in bursts, which spoil single phases.
        """
        return statistics.median(quantile(sorted(latencies), part) for latencies in self.phases) * 1000

    def tell(self) -> None:
        """Prints a line of the table."""
        times = " | ".join(f"{self.quantile_ms(part):.2f}" for part in (0.5, 0.95, 0.99))
        busy = (self.server_seconds, self.database_seconds, self.own_seconds)
        cores = " | ".join(f"{seconds / self.seconds:.2f}" for seconds in busy)
        typer.echo(f"| {self.name} | {self.seconds:.0f} | {sum(map(len, self.phases))} | {times} | {cores} |")


@dataclass
class Measurement:
    """One run: the server, who reads, and who tries to sign in."""

    running: Running
    database: BenchDatabase
    reader: SteadyReader
    storm: Storm
    calm: Weather = field(default_factory=lambda: Weather("calm"))
    stormy: Weather = field(default_factory=lambda: Weather("storm"))

    async def run(self, *, attempts: int, clients: int, rounds: int, calm_seconds: float) -> None:
        """Lets calm and storm take turns until so many attempts were made."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reader.read())
            await asyncio.sleep(WARM_UP_SECONDS)
            for number in range(rounds):
                with_calm = self._usage()
                await asyncio.sleep(calm_seconds)
                self._add(self.calm, with_calm)
                self.storm.is_on = True
                trying = [
                    group.create_task(self.storm.client(ARRIVAL_SECONDS * place / clients)) for place in range(clients)
                ]
                with_storm = self._usage()
                while self.storm.attempts < attempts * (number + 1) // rounds:  # noqa: ASYNC110 - an event each is dear
                    await asyncio.sleep(0.1)
                self._add(self.stormy, with_storm)
                self.storm.is_on = False
                await asyncio.gather(*trying)
                self._add(Weather("between"), self._usage())
            self.reader.is_over = True

    def _usage(self) -> tuple[Usage, float, float]:
        return read_usage(self.running.process, self.database.postmaster), time.process_time(), time.perf_counter()

    def _add(self, weather: Weather, before: tuple[Usage, float, float]) -> None:
        """Adds what was seen and spent since."""
        usage, own, now = self._usage()
        weather.phases.append(self.reader.latencies)
        self.reader.latencies = []
        weather.seconds += now - before[2]
        weather.own_seconds += own - before[1]
        weather.server_seconds += spent(before[0].server, usage.server)
        weather.database_seconds += spent(before[0].database, usage.database)


async def _add_known(database: BenchDatabase) -> None:
    """Adds an organization whose members have passwords, made with the default settings."""
    settings = Settings(state_dir=database.state_directory, application_database_url=SecretStr(database.server_url))
    passwords = passwords_of(settings)
    hashed = passwords.hash_now(secrets.token_hex(16))
    passwords.close()
    members = [Member(f"known{number}@storm.example", Role.ADMIN) for number in range(KNOWN)]
    async with owner_connection(database.owner_url) as owner:
        await create_organization(owner, name="Storm", slug="storm", currency="USD", members=members)
        for member in members:
            await set_password(owner, email=member.email, password_hash=hashed)


def main(
    attempts: Annotated[int, typer.Option(help="How many sign-ins are tried in all.")] = 10_000,
    clients: Annotated[int, typer.Option(help="How many clients try at a time.")] = 64,
    rate: Annotated[int, typer.Option(help="How often the reader asks in a second.")] = 100,
    rounds: Annotated[int, typer.Option(help="How often calm and storm take turns.")] = 10,
    calm_seconds: Annotated[float, typer.Option(help="How long the calm before each storm is.")] = 6.0,
) -> None:
    """Measures a reader's p95 in calm and in a storm of sign-ins; fails where the storm makes it too much longer."""
    with tempfile.TemporaryDirectory(prefix="tranche-sign-in-", dir=MEMORY if MEMORY.is_dir() else None) as directory:
        state_directory = Path(directory) / "state"
        state_directory.mkdir()
        with filled_database(state_directory) as database:
            asyncio.run(_add_known(database))
            server = replace(CONTESTANTS[0], environment=PROXIED)
            with started([server], database, Path(directory)) as (running,):
                reader = SteadyReader(running.port, database.tokens[0], rate)
                measured = Measurement(running, database, reader, Storm(running.port))
                asked = measured.run(attempts=attempts, clients=clients, rounds=rounds, calm_seconds=calm_seconds)
                uvloop.run(asked)
    raise typer.Exit(0 if _tell(measured, clients, rate) else 1)


def _tell(measured: Measurement, clients: int, rate: int) -> bool:
    """Prints what was seen; whether the storm is no worse than it may be."""
    storm = measured.storm
    typer.echo(
        f"{clients} clients at a time, as {NETWORKS} addresses, each trying again when it is answered; every"
        f" {ALIASED_EVERY}th request holds {ALIASES} attempts. {storm.attempts} attempts,"
        f" {storm.attempts / measured.stormy.seconds:.0f} a second: {storm.failed} looked at, {storm.refused} refused."
        f"\nOne reader, {rate} small queries a second.\n"
    )
    typer.echo("| | seconds | queries | p50 ms | p95 ms | p99 ms | cores: server | PostgreSQL | generator |")
    typer.echo("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    measured.calm.tell()
    measured.stormy.tell()
    ratio = measured.stormy.quantile_ms(0.95) / measured.calm.quantile_ms(0.95)
    typer.echo(f"\np95 in storm / in calm: {ratio:.2f}, at most {SLOWDOWN_MAX}")
    return ratio <= SLOWDOWN_MAX


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
