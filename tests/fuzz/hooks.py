"""What schemathesis is told of this server: its scalars, and which errors in an answer are no fault."""

from typing import Any

import schemathesis

from tests.fuzz.scalars import SCALARS

for name, strategy in SCALARS.items():
    schemathesis.graphql.scalar(name, strategy)


@schemathesis.check
def is_explained(ctx: Any, response: Any, case: Any) -> None:
    """Fails for an answer that is not GraphQL, or tells of a fault of the server."""
    body = response.json()
    assert body.keys() & {"data", "errors"}, f"no GraphQL: {response.text[:200]}"
    for error in body.get("errors", ()):
        code = error.get("extensions", {}).get("code")
        assert code not in (None, "INTERNAL_SERVER_ERROR"), f"{code}: {error['message']}"
