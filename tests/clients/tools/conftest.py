"""A demo for each test, and a copy of the examples beside the packages that are installed for them."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from api.config import Settings
from api.graphql.schema import print_schema
from api.http.tokens import Tokens
from api.services.demo import DEMO_SLUG, EDITOR_EMAIL
from tests.conftest import TEMPLATE, named
from tests.processes import free_port, serving

ROOT = Path(__file__).parents[3]
CLIENTS = ROOT / "docs" / "clients"
TOOLS = Path(__file__).parent
GENERATED = ("node_modules", "dist", "gql", "__generated__", "__pycache__")
SHARED = "shared_demo"
COMMAND_SECONDS_MAX = 120
NODE_MAJOR_MIN = 20
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Demo:
    """A server with demo data, and a token of the demo's editor."""

    url: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        """What the examples are told of it."""
        return {"TRANCHE_URL": self.url, "TRANCHE_TOKEN": self.token}


@dataclass(frozen=True)
class Workspace:
    """A folder where the examples and scripts lie as in the project, free to be written to."""

    root: Path

    @property
    def clients(self) -> Path:
        """The examples; the scripts of this folder are in ``tools`` within it."""
        return self.root / "docs" / "clients"

    def run(self, *command: str, within: str = ".", status: int = 0, environment: Mapping[str, str] = NOTHING) -> str:
        """What a command prints on standard output; fails, with all that it printed, where it ends otherwise."""
        done = subprocess.run(
            command,
            cwd=self.clients / within,
            env={**_environment(), **environment},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == status, (
            f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done.stdout


def _environment() -> dict[str, str]:
    # The interpreter of this run goes first; nothing is to be looked up on the network.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "NO_COLOR": "1", "npm_config_offline": "true", "npm_config_loglevel": "error"}


def _node_major() -> int:
    version = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout
    return int(version.removeprefix("v").split(".")[0])


def require(is_there: bool, what: str) -> None:
    """Skips the test, or fails it where the tools are required, when something is not installed."""
    if is_there:
        return
    if os.environ.get("TRANCHE_REQUIRE_NODE") == "1":
        pytest.fail(f"TRANCHE_REQUIRE_NODE=1, but there is no {what}")
    pytest.skip(f"there is no {what}")


@asynccontextmanager
async def _demo_on(database_url: str, state_directory: Path) -> AsyncIterator[Demo]:
    port = free_port()
    async with serving(database_url, state_directory, port, "--demo"):
        owner = await asyncpg.connect(database_url)
        try:
            user_id = await owner.fetchval("SELECT id FROM users WHERE email = $1", EDITOR_EMAIL)
        finally:
            await owner.close()
        token = Tokens(Settings(state_dir=state_directory)).issue(
            user_id=user_id, email=EDITOR_EMAIL, organization_slug=DEMO_SLUG
        )
        yield Demo(f"http://127.0.0.1:{port}/graphql", token)


@pytest.fixture
async def demo(database_url: str, state_directory: Path) -> AsyncIterator[Demo]:
    """A real server with the demo's data as it comes."""
    async with _demo_on(database_url, state_directory) as demo:
        yield demo


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared_demo(template_url: str, state_directory: Path) -> AsyncIterator[Demo]:
    """The same for tests that leave each other's funds alone: starting a server takes longer than most of them."""
    maintenance = await asyncpg.connect(named(template_url, "postgres"))
    try:
        await maintenance.execute(f"CREATE DATABASE {SHARED} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        async with _demo_on(named(template_url, SHARED), state_directory) as demo:
            yield demo
        await maintenance.execute(f"DROP DATABASE {SHARED} WITH (FORCE)")
    finally:
        await maintenance.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The examples, the scripts and the printed schema, without what was generated in the project itself."""
    workspace = Workspace(tmp_path)
    (tmp_path / "schema.graphql").write_text(print_schema())
    shutil.copytree(CLIENTS, workspace.clients, ignore=shutil.ignore_patterns(*GENERATED))
    shutil.copytree(TOOLS, workspace.clients / "tools", ignore=shutil.ignore_patterns(".venv", *GENERATED))
    return workspace


@pytest.fixture
def node(workspace: Workspace) -> Workspace:
    """The workspace with the Node packages."""
    require(shutil.which("npx") is not None and _node_major() >= NODE_MAJOR_MIN, f"Node {NODE_MAJOR_MIN} with npx")
    packages = CLIENTS / "node_modules"
    require(packages.is_dir(), "docs/clients/node_modules; `make clients` installs it")
    (workspace.clients / "node_modules").symlink_to(packages)
    return workspace
