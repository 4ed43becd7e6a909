"""What a server leaves to the garbage collector: not the hundred thousands of objects that are there for good."""

import subprocess
import sys

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
