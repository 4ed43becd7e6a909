"""`python -m bench.writes`: previewing and committing a reallocation, beside the same statements run by hand.

Each of the two servers has an organization of its own with the same funds, one of 50 companies and one of 1,000, and
they are asked by turns, over one connection each. Every request proposes another amount for every company. Writes
WRITES.md.
"""

import socket
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import orjson
import typer

from api.reads import global_ids
from bench import questions, report
from bench.contestants import BY_HAND, CONTESTANTS, Running, started
from bench.database import BenchDatabase, filled_database
from bench.processor_time import read_usage, spent

SLUGS = ("tranche", "by-hand")
SMALL, LARGE = 50, 1_000
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it
PREVIEW = """
mutation Preview($input: PreviewReallocationInput!) {
  previewReallocation(input: $input) {
    preview {
      baselineVersion isValid
      deltas { company { id name } fromCents toCents deltaCents deltaRatio status }
      totals { beforeCents afterCents deltaCents deltaRatio }
      issues { code severity message }
    }
    userErrors { code message field expected actual }
  }
}
"""
COMMIT = """
mutation Commit($input: CommitReallocationInput!) {
  commitReallocation(input: $input) {
    reallocation { id newVersion changes { companyName fromCents toCents } }
    fund { allocationVersion }
    replayed
    userErrors { code message field expected actual }
  }
}
"""
_FUNDS = """
INSERT INTO funds (organization_id, name, currency, size_cents)
SELECT organization.id, 'Fund of ' || size, 'USD', 1000000000000000
FROM unnest($1::int[]) AS size CROSS JOIN organizations AS organization ORDER BY size, organization.id
"""
_COMPANIES = """
INSERT INTO portfolio_companies (organization_id, fund_id, name, status, planned_reserves_cents, allocation_cap_cents)
SELECT fund.organization_id, fund.id, 'Company ' || number, 'ACTIVE', 100000000 + number * 1000, 900000000
FROM funds AS fund CROSS JOIN generate_series(1, 1000) AS number
WHERE number <= split_part(fund.name, ' ', 3)::int ORDER BY fund.id, number
"""


@dataclass(frozen=True)
class Fund:
    """A fund of one contestant's organization, with its companies."""

    id: int
    company_ids: Sequence[int]


@dataclass
class Case:
    """What is asked: previews or commits, of a fund of so many companies, so often in a round."""

    name: str
    is_commit: bool
    size: int
    times: int
    goal: float | None = None


@dataclass
class Asker:
    """One connection to one contestant; each request comes after the answer to the one before."""

    running: Running
    token: str
    funds: dict[int, Fund]
    connection: socket.socket
    versions: dict[int, int] = field(default_factory=lambda: defaultdict(lambda: 1))
    asked: int = 0

    def body(self, case: Case) -> dict[str, Any]:
        """The next request: amounts, version and key that were never sent before."""
        fund, self.asked = self.funds[case.size], self.asked + 1
        given: dict[str, Any] = {
            "fundId": global_ids.encode("Fund", fund.id),
            "expectedVersion": str(self.versions[case.size]),
            "proposals": [
                {
                    "companyId": global_ids.encode("PortfolioCompany", company_id),
                    "plannedReservesCents": str(100_000_000 + self.asked * 100 + number),
                }
                for number, company_id in enumerate(fund.company_ids)
            ],
        }
        if case.is_commit:
            given |= {"reason": "Series B", "idempotencyKey": f"key {self.asked}"}
            self.versions[case.size] += 1
        text, name = (COMMIT, "Commit") if case.is_commit else (PREVIEW, "Preview")
        return {"query": text, "operationName": name, "variables": {"input": given}}

    def ask(self, request: bytes) -> tuple[float, bytes]:
        """How many seconds the answer took, and its body; raises RuntimeError for what is no good answer."""
        began = time.perf_counter()
        self.connection.sendall(request)
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._received()
        head = answer[:end].lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(answer) < end + 4 + length:
            answer += self._received()
        seconds = time.perf_counter() - began
        body = answer[end + 4 :]
        if not head.startswith(b"http/1.1 200") or b'"userErrors":[]' not in body or b'"errors"' in body:
            raise RuntimeError(f"{self.running.name} answers {answer[:2000]!r}\n{self.running.printed()}")
        return seconds, body

    def _received(self) -> bytes:
        data = self.connection.recv(1 << 20)
        if not data:
            raise RuntimeError(f"{self.running.name} has hung up.\n{self.running.printed()}")
        return data


@dataclass(frozen=True)
class Sample:
    """One round of a case at one contestant; times in milliseconds, CPU time for each request."""

    p50: float
    p95: float
    server: float
    database: float


def main(
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=1)] = 7,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "WRITES.md",
) -> None:
    """Measures and writes the report."""
    cases = [
        Case("preview of 50 companies", is_commit=False, size=SMALL, times=200, goal=2.5),
        Case("commit of 50 companies", is_commit=True, size=SMALL, times=100, goal=2.5),
        Case("preview of 1,000 companies", is_commit=False, size=LARGE, times=20),
    ]
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-writes-") as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        logs = Path(directory) / "logs"
        logs.mkdir()
        with (
            filled_database(Path(directory) / "state", SLUGS, _load) as database,
            started([CONTESTANTS[0], BY_HAND], database, logs) as running,
            ExitStack() as stack,
        ):
            askers = list(_askers(running, database, stack))
            for case in cases:
                _compare(askers, case)
            samples = _measure(askers, cases, database, rounds)
            text = _render(cases, samples, database.version, rounds)
    output.write_text(text)
    typer.echo(text)


async def _load(owner: asyncpg.Connection, _organization_ids: Sequence[int]) -> None:
    async with owner.transaction():
        await owner.execute("SET LOCAL ROLE tranche_maintenance")
        await owner.execute(_FUNDS, [SMALL, LARGE])
        await owner.execute(_COMPANIES)


def _askers(running: Sequence[Running], database: BenchDatabase, stack: ExitStack) -> Iterator[Asker]:
    for one, token in zip(running, database.tokens, strict=True):
        text = "{ funds { nodes { id companies(first: 100) { totalCount nodes { id } } } } }"
        # This server tells the ids of both organizations; the other one knows no queries.
        nodes = questions.ask(running[0], token, {"query": text})["funds"]["nodes"]
        connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", one.port))))
        yield Asker(one, token, {fund["companies"]["totalCount"]: _fund(fund) for fund in nodes}, connection)


def _fund(node: dict[str, Any]) -> Fund:
    """A fund's ids. Its companies were inserted one after the other, so that theirs follow upon each other."""
    fund_id = global_ids.decode_as("Fund", node["id"])
    first = global_ids.decode_as("PortfolioCompany", node["companies"]["nodes"][0]["id"])
    assert fund_id is not None and first is not None  # noqa: S101, PT018 - the server has told them
    return Fund(fund_id, range(first, first + node["companies"]["totalCount"]))


def _compare(askers: Sequence[Asker], case: Case) -> None:
    """Raises RuntimeError where the two do not answer the same, but for the ids."""
    answers = []
    for asker in askers:
        _, body = asker.ask(questions.http_request(asker.token, asker.body(case)))
        answers.append(_without_ids(orjson.loads(body)))
    if answers[0] != answers[1]:
        raise RuntimeError(f"{case.name}: the answers differ:\n{answers[0]}\n{answers[1]}"[:5000])


def _without_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_ids(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_ids(item) for name, item in value.items() if name != "id"}
    return value


def _measure(
    askers: Sequence[Asker], cases: Sequence[Case], database: BenchDatabase, rounds: int
) -> dict[tuple[str, str], list[Sample]]:
    """All samples by case and contestant; the two take turns, every other round in the opposite order."""
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for number in range(rounds + 1):
        for case in cases:
            for asker in askers if number % 2 == 0 else reversed(askers):
                sample = _sample(asker, case, database)
                # The first round warms up.
                if number:
                    samples[case.name, asker.running.name].append(sample)
    return samples


def _sample(asker: Asker, case: Case, database: BenchDatabase) -> Sample:
    requests = [questions.http_request(asker.token, asker.body(case)) for _ in range(case.times)]
    before = read_usage(asker.running.process, database.postmaster)
    times = sorted(asker.ask(request)[0] * 1000 for request in requests)
    after = read_usage(asker.running.process, database.postmaster)
    server, postgresql = spent(before.server, after.server), spent(before.database, after.database)
    return Sample(
        statistics.median(times),
        times[int(len(times) * 0.95)],
        server * 1000 / case.times,
        postgresql * 1000 / case.times,
    )


def _render(cases: Sequence[Case], samples: dict[tuple[str, str], list[Sample]], postgresql: str, rounds: int) -> str:
    figures = {
        key: Sample(*(statistics.median(getattr(one, name) for one in found) for name in Sample.__annotations__))
        for key, found in samples.items()
    }
    rows = []
    for case in cases:
        ours, hand = figures[case.name, CONTESTANTS[0].name], figures[case.name, BY_HAND.name]
        rows.append(
            [
                case.name,
                *(f"{ours.p50:.2f} ms|{hand.p50:.2f} ms|{ours.p50 / hand.p50:.2f} x".split("|")),
                *(f"{ours.p95:.2f} ms|{hand.p95:.2f} ms|{ours.p95 / hand.p95:.2f} x".split("|")),
                "-" if case.goal is None else f"{case.goal:g} x",
                f"{ours.server:.2f} + {ours.database:.2f} ms",
                f"{hand.server:.2f} + {hand.database:.2f} ms",
            ]
        )
    small, large = (figures[case.name, CONTESTANTS[0].name] for case in (cases[0], cases[-1]))
    head = ["", "p50", "by hand", "ratio", "p95", "by hand", "ratio", "goal", "CPU: server + PostgreSQL", "by hand"]
    return (
        "\n\n".join(
            [
                "# Reallocations, beside the same statements by hand",
                report.measured_with(postgresql, f"{rounds} rounds, medians over the rounds"),
                report.markdown(head, rows),
                f"A preview of 1,000 companies takes {large.p50 / small.p50:.1f} times as long as one of 50"
                f" ({large.p95 / small.p95:.1f} times at p95); the goal is at most 25 times. Every request proposes a"
                " new amount for each company, over one connection; commits have a key and a reason. By hand the end of"
                " a preview's transaction is waited for, by this server it is not; it reads after a commit what it"
                " shows, and by hand that is made of what was written.",
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
