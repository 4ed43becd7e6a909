"""Clients that are generated, or bring a cache of their own, against a running server."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.clients.tools.conftest import NOTHING, TOOLS, Demo, Workspace, require
from tests.clients.tools.every_operation import every_operation

BIN = TOOLS / ".venv" / "bin"


@dataclass(frozen=True)
class Generators:
    """The Python generators, in an environment of their own, where the scripts of this folder lie."""

    workspace: Workspace

    def run(self, program: str, *arguments: str, environment: Mapping[str, str] = NOTHING) -> str:
        """What one of its programs prints."""
        path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        return self.workspace.run(str(BIN / program), *arguments, within="tools", environment={**path, **environment})


@pytest.fixture
def generators(workspace: Workspace) -> Generators:
    """The Python generators, in a workspace."""
    require(BIN.is_dir(), "tests/clients/tools/.venv; `make clients` makes it")
    return Generators(workspace)


def test_apollo_client_keeps_its_cache_whole(node: Workspace, shared_demo: Demo) -> None:
    seen = json.loads(node.run("node", "tools/apollo.mjs", environment=shared_demo.environment))
    assert seen == {
        "requests": 5,
        "shown": [
            "4 funds, the first of 300000000000",
            "6 funds, the first of 300000000000",
            "6 funds, the first of 310000000000",
        ],
        "read": ["300000000000", "310000000000"],
        "userErrors": [[], ["VERSION_CONFLICT"]],
        "failure": ["BAD_USER_INPUT"],
        "warnings": [],
    }


def test_ariadne_codegen_makes_a_client_that_works(generators: Generators, shared_demo: Demo) -> None:
    generators.run("ariadne-codegen", "--config", "ariadne.toml")
    seen = json.loads(generators.run("python", "ariadne_client.py", environment=shared_demo.environment))
    assert len(seen.pop("names")) == 6
    assert seen == {
        "zone": "UTC",
        "objects": ["Fund", None],
        "written": {"size_cents": 2**53 + 1, "vintage_year": 2023, "version": 6},
        "errors": [{"code": "VERSION_CONFLICT", "field": ["expectedVersion"], "expected": "5", "actual": "6"}],
    }


def test_ariadne_codegen_types_every_operation(generators: Generators) -> None:
    (generators.workspace.clients / "tools" / "operations.graphql").write_text("\n".join(every_operation()))
    generators.run("ariadne-codegen", "--config", "ariadne.toml")
    generators.run("python", "-c", "import tranche_client")


def test_sgqlc_makes_classes_of_the_introspection(generators: Generators, shared_demo: Demo) -> None:
    header = f"Authorization=Bearer {shared_demo.token}"
    generators.run("python", "-m", "sgqlc.introspection", "--header", header, shared_demo.url, "schema.json")
    generators.run("sgqlc-codegen", "schema", "schema.json", "tranche_schema.py")
    seen = json.loads(generators.run("python", "sgqlc_client.py", environment=shared_demo.environment))
    assert seen == {
        "names": ["Northlight Growth I", "Northlight Ventures II"],
        "sizes": ["40000000000", "15000000000"],
        "next": False,
        "zone": "UTC",
        "written": ["Sandpiper", "USD"],
        "errors": [],
    }
