"""Clients that follow what happens, each by the transport that it has built in, and clients that persist documents."""

import json
import sys

import pytest

from tests.clients.tools.conftest import Demo, Workspace

FOLLOWED = {"deltas": ["100", "100"], "isNext": True}


@pytest.mark.parametrize(
    ("script", "transport"), [("urql_streams.mjs", "text/event-stream"), ("apollo_streams.mjs", "multipart/mixed")]
)
def test_subscription_over_http(node: Workspace, shared_demo: Demo, script: str, transport: str) -> None:
    seen = json.loads(node.run("node", f"tools/{script}", environment=shared_demo.environment))
    content_types = ["application/graphql-response+json", transport]
    assert seen == FOLLOWED | {"refused": "BAD_USER_INPUT", "contentTypes": content_types}


def test_subscription_of_gql_over_a_socket(workspace: Workspace, shared_demo: Demo) -> None:
    assert (
        json.loads(workspace.run(sys.executable, "tools/gql_follow.py", environment=shared_demo.environment))
        == FOLLOWED
    )


def test_persisted_documents_are_sent_once(node: Workspace, shared_demo: Demo) -> None:
    seen = json.loads(node.run("node", "tools/persisted.mjs", environment=shared_demo.environment))
    roles = ["EDITOR", "EDITOR"]
    assert seen == {
        "apollo": {
            "roles": roles,
            "requests": ["GET without text: 400", "POST with text: 200", "GET without text: 200"],
        },
        "urql": {"roles": roles, "requests": ["GET without text: 400", "GET with text: 200", "GET without text: 200"]},
    }
