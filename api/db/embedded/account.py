"""Whom PostgreSQL runs as: the caller, or an unprivileged user where the caller is root, whom PostgreSQL refuses.

No user is created and nothing outside of the state directory changes its mode or owner.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from api.db.embedded.errors import EmbeddedDatabaseError

_UNPRIVILEGED_USER = "nobody"
_TRIAL_SECONDS_MAX = 10


@dataclass(frozen=True)
class Account:
    """The identity of the server's processes, in the shape `subprocess` takes; None is the caller's own."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None

    @property
    def is_other(self) -> bool:
        """Whether the server runs as somebody else than the caller."""
        return self.user is not None


def server_account(data: Path) -> Account:
    """Choose whom the server runs as: as root, the owner of the existing data directory, else `nobody`."""
    if os.geteuid() != 0:
        return Account()
    if data.is_dir():
        owner = data.stat()
        return Account(user=owner.st_uid, group=owner.st_gid, extra_groups=())
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    except KeyError as error:
        raise EmbeddedDatabaseError(
            f"PostgreSQL refuses to run as root and there is no user {_UNPRIVILEGED_USER!r} to run it as; "
            "start this program as an ordinary user or set DATABASE_URL."
        ) from error
    return Account(user=entry.pw_uid, group=entry.pw_gid, extra_groups=())


def output_of(account: Account, command: list[str]) -> str | None:
    """Return what a short, harmless command prints when the account runs it, or None when it fails."""
    try:
        result = subprocess.run(  # noqa: S603 - no shell, and the callers' own programs
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            user=account.user,
            group=account.group,
            extra_groups=account.extra_groups,
            timeout=_TRIAL_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode(errors="replace") if result.returncode == 0 else None


def require_account(account: Account) -> None:
    """Raise EmbeddedDatabaseError when the kernel does not let this process become the account."""
    if account.is_other and output_of(account, ["/bin/sh", "-c", ":"]) is None:
        raise EmbeddedDatabaseError(
            f"PostgreSQL refuses to run as root, and this process may not become user {account.user}; "
            "start it as an ordinary user or set DATABASE_URL."
        )


def require_name(account: Account) -> None:
    """Raise EmbeddedDatabaseError when the account has no name, which initdb insists on."""
    user = os.geteuid() if account.user is None else account.user
    try:
        pwd.getpwuid(user)
    except KeyError as error:
        raise EmbeddedDatabaseError(
            f"PostgreSQL's initdb needs a name for user {user}, who has none; give it one in /etc/passwd, "
            "run this program as root or another user, or set DATABASE_URL."
        ) from error


def reaches(account: Account, directory: Path) -> bool:
    """Whether the account can enter a directory: tried, since modes do not tell all that the kernel asks."""
    return output_of(account, ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory)]) is not None
