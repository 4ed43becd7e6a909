"""Secrets that are made once and kept in the state directory, readable by their owner alone."""

import os
import secrets
from pathlib import Path


def keep(path: Path, content: bytes) -> bytes:
    """Stores ``content`` unless something is stored already, and returns what is: processes that race agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    try:
        # Unlike a rename, a link never replaces what another process has stored meanwhile.
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_bytes()
