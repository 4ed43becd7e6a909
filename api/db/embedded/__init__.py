"""A real PostgreSQL without an installation: processes that name the same state directory share one server.

`start` registers this process with a small supervisor (`supervisor.py`), which owns the server and stops it when the
last registered process has gone, a killed one included.

Below the state directory, `postgres/` holds the data, the log, the password (mode 0600) and the files by which
processes meet; `layout.py` names them all.
"""

from api.db.embedded.binaries import find_binaries
from api.db.embedded.errors import EmbeddedDatabaseError
from api.db.embedded.starting import EmbeddedDatabase, remove, start

__all__ = ["EmbeddedDatabase", "EmbeddedDatabaseError", "find_binaries", "remove", "start"]
