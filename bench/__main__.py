"""`python -m bench`: starts everything, compares the answers, measures, writes RESULTS.md."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench import answers, questions, report
from bench.contestants import CONTESTANTS, Contestant, Running, find_node, started
from bench.database import BenchDatabase, filled_database
from bench.questions import COLD_QUERIES, QUERIES, Ids
from bench.rounds import Cell, Generator, Samples, give_cores, load_generator, measure, requests_of

CONNECTIONS = 16
WIDE = ("tranche", "postgraphile", "floor")
"""Those that are also measured at other numbers of connections, and with requests of two tenants by turns."""
COLD = ("tranche", "postgraphile")
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of our own is made in it


def main(
    contestants: Annotated[str, typer.Option(help="Names, separated by commas.")] = "",
    queries: Annotated[str, typer.Option(help="Names, separated by commas.")] = ",".join(QUERIES),
    connections: Annotated[str, typer.Option(help="Other numbers of connections, for some contestants.")] = "1,64",
    rounds: Annotated[int, typer.Option(help="How often everything is measured.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="How long each time.", min=0.1)] = 2.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="One short round at 16 connections; writes no report.")
    ] = False,
    output: Annotated[Path, typer.Option(help="The report.")] = Path(__file__).parent / "RESULTS.md",
) -> None:
    """Measures the contestants and writes the report."""
    if quick:
        rounds, seconds, connections = 1, 2.0, ""
    chosen, missing = _choose([name for name in contestants.split(",") if name])
    others = [int(number) for number in connections.split(",") if number]
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="tranche-bench-") as directory:
        # The database's own user has to get through to its data.
        Path(directory).chmod(0o755)
        logs = Path(directory) / "logs"
        logs.mkdir()
        with filled_database(Path(directory) / "state") as database, started(chosen, database, logs) as running:
            ids = _compare(running, database, queries.split(","))
            with load_generator(database) as generator:
                cores = give_cores([database.postmaster, *(one.process for one in running)], generator)
                plan = _plan(running, queries.split(","), others, with_extras=not quick)
                samples = _measure(generator, plan, ids, database, rounds=rounds, seconds=seconds)
            text = report.render(samples, report.Setting(database.version, cores, rounds, seconds, missing))
    if not quick:
        output.write_text(text)
    typer.echo(text)


def _choose(names: Sequence[str]) -> tuple[list[Contestant], list[str]]:
    """Who takes part, and who cannot for want of Node."""
    unknown = set(names) - {contestant.name for contestant in CONTESTANTS}
    if unknown:
        raise typer.BadParameter(f"There is no contestant {', '.join(sorted(unknown))}.")
    wanted = [contestant for contestant in CONTESTANTS if not names or contestant.name in names]
    has_node = find_node() is not None
    chosen = [contestant for contestant in wanted if has_node or not contestant.is_node]
    return chosen, [contestant.name for contestant in wanted if contestant not in chosen]


def _compare(running: Sequence[Running], database: BenchDatabase, queries: Sequence[str]) -> dict[str, list[Ids]]:
    """The ids by contestant and tenant; ends the program where two contestants do not answer the same."""
    ids = {one.name: [questions.find_ids(one, token) for token in database.tokens] for one in running}
    for tenant, token in enumerate(database.tokens):
        for query in queries:
            expected = None
            for one in running:
                data = questions.ask(one, token, questions.payload(one, query, ids[one.name][tenant], 7))
                found = answers.essential(data)
                expected = found if expected is None else expected
                fault = answers.difference(expected, found)
                if fault is not None:
                    sys.exit(f"{query}: {running[0].name} and {one.name} do not answer the same: {fault}")
    typer.echo(f"{len(running)} contestants give the same answers to {len(queries)} queries of two tenants.", err=True)
    return ids


def _plan(
    running: Sequence[Running], queries: Sequence[str], others: Sequence[int], *, with_extras: bool
) -> list[tuple[Cell, list[Running]]]:
    wide = [one for one in running if one.name in WIDE]
    cold = [one for one in running if one.name in COLD]
    plan = [(Cell(query, CONNECTIONS), list(running)) for query in queries]
    plan += [(Cell(query, number), wide) for number in others for query in queries]
    if with_extras:
        plan += [(Cell(query, CONNECTIONS, is_cold=True), cold) for query in COLD_QUERIES if query in queries]
        plan += [(Cell(query, CONNECTIONS, tenant_count=2), wide) for query in queries if query == "one_fund"]
    return plan


def _measure(
    generator: Generator,
    plan: Sequence[tuple[Cell, list[Running]]],
    ids: dict[str, list[Ids]],
    database: BenchDatabase,
    *,
    rounds: int,
    seconds: float,
) -> Samples:
    def requests(running: Running, cell: Cell) -> list[bytes]:
        return requests_of(running, cell, ids[running.name], database.tokens)

    def tell(text: str) -> None:
        typer.echo(text, err=True)

    return measure(generator, plan, requests, rounds=rounds, seconds=seconds, tell=tell)


if __name__ == "__main__":
    application = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    application.command()(main)
    application()
