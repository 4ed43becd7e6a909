"""The examples of docs/clients run as they stand there, and print what they say that they print."""

import json
import shutil

import pytest

from tests.clients.tools.conftest import Demo, Workspace, require
from tests.clients.tools.documents import Step, fits, steps

SEPARATOR = "-" * 20


def run_document(workspace: Workspace, demo: Demo, name: str) -> None:
    """Runs a document's commands in one shell, in its folder, and compares what is shown to what was printed."""
    document = workspace.clients / name
    shown = steps(document.read_text())
    assert any(step.output for step in shown)
    script = "set -euo pipefail\n" + "".join(f"{step.commands}\nprintf '\\n{SEPARATOR}\\n'\n" for step in shown)
    printed = workspace.run(
        "bash", "-c", script, within=str(document.parent.relative_to(workspace.clients)), environment=demo.environment
    )
    outputs = printed.split(f"\n{SEPARATOR}\n")[:-1]
    for step, output in zip(shown, outputs, strict=True):
        assert step.output is None or fits(step.output, output), (
            f"{step.commands}printed\n{output}\nand not\n{step.output}"
        )


def test_curl(workspace: Workspace, demo: Demo) -> None:
    require(shutil.which("curl") is not None, "curl on the PATH")
    run_document(workspace, demo, "curl.md")


def test_python(workspace: Workspace, demo: Demo) -> None:
    run_document(workspace, demo, "python-gql/README.md")


@pytest.mark.parametrize("example", ["typescript-urql", "relay"])
def test_node(node: Workspace, demo: Demo, example: str) -> None:
    run_document(node, demo, f"{example}/README.md")


def test_documents_are_read_as_they_are_meant() -> None:
    text = "```sh\na\n```\n\n```text\nb …\n```\n\ntext\n\n```sh\nc\n```\n\ntext\n\n```json\n{}\n```\n"
    assert steps(text) == [Step("a\n", "b …\n"), Step("c\n", None)]
    assert fits("b …\n", "b c\n")
    assert not fits("b …\n", "c c\n")
    shown = {"id": "…", "list": [1, None]}
    assert fits(json.dumps(shown), json.dumps(shown | {"id": "1"}))
    assert not fits(json.dumps(shown), json.dumps(shown | {"list": [1, 0]}))
    assert not fits(json.dumps(shown), json.dumps(shown | {"more": 1}))
