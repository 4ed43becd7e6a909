"""The servers that are measured: what starts each one, in which dialect it is asked, and the starting itself."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
import psutil

from bench.database import BenchDatabase

POOL_CONNECTIONS = 16
START_SECONDS_MAX = 60
NODE_MAJOR_MIN = 22
ROOT = Path(__file__).parents[2]
NODE_DIRECTORY = Path(__file__).parent / "node"
UVICORN = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-proxy-headers", "--log-level", "warning")


@dataclass(frozen=True)
class Contestant:
    """One server: its command with ``{port}``, what its environment holds besides, the dialect of its documents."""

    name: str
    command: tuple[str, ...]
    dialect: str = "house"
    environment: Mapping[str, str] = field(default_factory=dict)
    is_node: bool = False


@dataclass(frozen=True)
class Running:
    """A contestant that answers on a port of 127.0.0.1, and the file with what it prints."""

    contestant: Contestant
    port: int
    process: psutil.Process
    log: Path

    @property
    def name(self) -> str:
        """The contestant's name."""
        return self.contestant.name

    def printed(self) -> str:
        """The end of what it has printed."""
        return self.log.read_text(errors="replace")[-3000:]


def _tranche(name: str, **environment: str) -> Contestant:
    command = (sys.executable, "-m", "api", "serve", "--host", "127.0.0.1", "--port", "{port}")
    return Contestant(name, command, environment=environment)


def _uvicorn(name: str, application: str) -> Contestant:
    command = (sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", "{port}", *UVICORN)
    return Contestant(name, command)


CONTESTANTS = (
    _tranche("tranche"),
    Contestant("postgraphile", ("{node}", "postgraphile.mjs"), dialect="postgraphile", is_node=True),
    _uvicorn("floor", "bench.contestants.floor:application"),
    _tranche("tranche-resolvers", TRANCHE_COMPILED_QUERIES="false"),
    Contestant("yoga", ("{node}", "yoga.mjs"), is_node=True),
    _uvicorn("tutorial", "bench.contestants.tutorial:application"),
)
BY_HAND = _uvicorn("by-hand", "bench.contestants.by_hand:application")
"""Reallocations alone; see bench/writes.py."""


def find_node() -> tuple[str, str] | None:
    """The path and version of a Node that is new enough, with the packages in place; None where there is none."""
    if not (NODE_DIRECTORY / "node_modules" / "postgraphile").is_dir():
        return None
    shipped = sorted(NODE_DIRECTORY.glob("node_modules/node-*/bin/node"))
    for path in [*map(str, shipped), shutil.which("node")]:
        if path is None:
            continue
        try:
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
        except (OSError, subprocess.CalledProcessError):
            continue
        if int(version.removeprefix("v").partition(".")[0]) >= NODE_MAJOR_MIN:
            return path, version
    return None


@contextmanager
def started(contestants: list[Contestant], database: BenchDatabase, logs: Path) -> Iterator[list[Running]]:
    """All of them running, each in one process; ended afterwards. What they print is in ``logs``."""
    with ExitStack() as stack:
        running = [stack.enter_context(_started(contestant, database, logs)) for contestant in contestants]
        for one in running:
            _await_port(one)
        yield running


@contextmanager
def _started(contestant: Contestant, database: BenchDatabase, logs: Path) -> Iterator[Running]:
    port = _free_port()
    node = find_node()
    command = [part.format(port=port, node=node[0] if node else "node") for part in contestant.command]
    path = logs / f"{contestant.name}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            cwd=NODE_DIRECTORY if contestant.is_node else ROOT,
            env=_environment(contestant, database, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Running(contestant, port, psutil.Process(process.pid), path)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(contestant: Contestant, database: BenchDatabase, port: int) -> dict[str, str]:
    ids = map(str, database.organization_ids)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRANCHE_")}
    return kept | {
        "BENCH_DATABASE_URL": database.server_url,
        "BENCH_POOL": str(POOL_CONNECTIONS),
        "BENCH_PORT": str(port),
        "BENCH_TOKENS": orjson.dumps(dict(zip(database.tokens, ids, strict=True))).decode(),
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
        "TRANCHE_DATABASE_URL": database.owner_url,
        "TRANCHE_STATE_DIR": str(database.state_directory),
        "TRANCHE_READ_CONNECTIONS_MAX": str(POOL_CONNECTIONS),
        "TRANCHE_LOG_LEVEL": "WARNING",
        # One caller asks for all there is; the limit stays on, for what it costs.
        "TRANCHE_COST_PER_MINUTE": "10000000000",
        **contestant.environment,
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _await_port(running: Running) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and running.process.is_running():
        try:
            httpx.get(f"http://127.0.0.1:{running.port}/", timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{running.name} does not start:\n{running.printed()}")
