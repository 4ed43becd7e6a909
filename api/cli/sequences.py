"""Sequences of ids: checked, and repaired."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import typer

from api.cli.databases import found_database
from api.config import load_settings
from api.db.provisioning import prepare
from api.domain.sequences import SequenceHealth, SequenceStatus
from api.services import sequences

sequence_commands = typer.Typer(no_args_is_help=True, help="Sequences of ids.")


@sequence_commands.command()
def check() -> None:
    """Prints every sequence, and ends with status 1 where one would hand out ids that are taken."""
    states = _run(sequences.check_database)
    _print(states)
    if any(state.status is SequenceStatus.NEEDS_REPAIR for state in states):
        raise typer.Exit(1)


@sequence_commands.command()
def repair() -> None:
    """Moves the sequences that are behind forward, while their tables' writers wait."""
    repaired = _run(sequences.repair_database)
    _print(repaired)
    typer.echo(f"{len(repaired)} repaired.", err=True)


def _run(work: Callable[[str], Coroutine[Any, Any, list[SequenceHealth]]]) -> list[SequenceHealth]:
    settings = load_settings()
    with found_database(settings) as owner_url:
        asyncio.run(prepare(owner_url, settings.state_dir))
        return asyncio.run(work(owner_url))


def _print(states: Sequence[SequenceHealth]) -> None:
    for state in states:
        behind = f", {state.gap} behind ({state.severity})" if state.gap else ""
        typer.echo(f"{state.status} {state.table}: last {state.last_value}, highest id {state.max_id}{behind}")
