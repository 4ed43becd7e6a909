"""What a server leaves to the garbage collector: nothing that is there for good, and nothing of what it answers."""

import gc
import subprocess
import sys

import pytest
from graphql.language import Node, Token

from api.domain.access import Role
from tests.server import RunningServer

STARTED = """
import gc
from api.http import app
app._leave_to_stay()
assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()
assert len(gc.get_objects()) < 10_000, len(gc.get_objects())
assert gc.isenabled() and gc.get_threshold() == app.COLLECTED_AFTER
"""


def test_what_stays_is_walked_over_no_more() -> None:
    """In a process of its own: what is frozen stays so, and the suite makes many applications."""
    ended = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


SIGN_INS = "mutation {{ {} }}".format(
    " ".join(
        f'a{number}: signIn(input: {{email: "nobody@a.example", password: "wrong"}}) {{ userErrors {{ code }} }}'
        for number in range(5)
    )
)


@pytest.mark.parametrize(
    "document",
    [
        "{ viewer { role } auditVerification { isIntact } }",
        "{ viewer { role } organization { members { nodes { role } } } }",
        "{ funds(first: 1000) { nodes { id } } }",
        "{ funds(orderBy: null) { nodes { id ",
        "{ nothing }",
        'mutation { createFund(input: {name: "A fund"}) { fund { id companies { totalCount } } userErrors { code } } }',
        'mutation { createFund(input: {name: ""}) { fund { id } userErrors { code } } }',
        SIGN_INS,
    ],
    ids=["plain", "two roots", "refused field", "no document", "invalid", "mutation", "refused mutation", "sign-ins"],
)
async def test_operation_leaves_nothing_of_its_document(server: RunningServer, document: str) -> None:
    """Whatever waits for the collector waits for a pause in which nobody is answered."""
    # The first attempts find each address and network for the first time; what is looked at is how things go on.
    for _ in range(2):
        await server.execute(document, role=Role.ADMIN)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            await server.execute(document, role=Role.ADMIN)
        gc.collect()
        left = [type(one).__qualname__ for one in gc.garbage if isinstance(one, Node | Token)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []
