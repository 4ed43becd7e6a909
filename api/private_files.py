"""Secrets that are made once and kept in the state directory, readable by their owner alone."""

import os
import secrets
from pathlib import Path

from api.errors import ConfigurationError


def keep(path: Path, content: bytes) -> bytes:
    """Stores ``content`` unless something is stored already, and returns what is: processes that race agree on one.

    Raises ConfigurationError where the directory cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(f"TRANCHE_STATE_DIR: {path.parent} cannot be written ({error.strerror}).") from error
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
