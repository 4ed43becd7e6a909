"""Makes the data directory: initialised, with its password and the database `tranche`, or not there at all."""

import locale
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from api.db.embedded.account import Account, reaches, require_name
from api.db.embedded.binaries import version_of
from api.db.embedded.errors import EmbeddedDatabaseError
from api.db.embedded.layout import Layout, write_private
from api.db.embedded.programs import Programs

DATABASE = "tranche"
SUPERUSER = "postgres"
# Passwords over TCP from this machine; nothing else, no replication.
_HOST_RULES = "host all all 127.0.0.1/32 scram-sha-256\n"
# Tried in this order as root when the state directory lies where the server's user cannot reach it.
_OUTSIDE_PLACES = (Path("/var/lib"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108
_BUILTIN_LOCALE_VERSION_MIN = 17


def ensure_cluster(layout: Layout, programs: Programs, *, server_lock: int) -> None:
    """Make sure of a complete data directory that these programs can run and a password that opens it.

    The caller holds the server's lock and hands it on, so that nobody trusts what an orphaned initdb still writes to.
    Raises EmbeddedDatabaseError when the directory cannot be made or used.
    """
    if layout.data.is_dir():
        _require_usable(layout, programs)
        if not layout.password.exists():
            _set_password(layout, programs, layout.data, server_lock=server_lock)
        return
    if layout.data.is_symlink():
        raise EmbeddedDatabaseError(
            f"The data directory {layout.data.readlink()} is gone; bring it back, or remove {layout.data} "
            "to begin with an empty database."
        )
    require_name(programs.account)
    remove_unfinished(layout)
    data = _make_directory(layout, programs.account)
    programs.run(
        ["initdb", f"--pgdata={data}", *_initdb_options(programs)],
        server_lock=server_lock,
    )
    (data / "pg_hba.conf").write_text(_HOST_RULES)
    _set_password(layout, programs, data, server_lock=server_lock, statement=f"CREATE DATABASE {DATABASE}\n")
    layout.unfinished_data.rename(layout.data)


def remove_unfinished(layout: Layout) -> None:
    """Delete what a killed initialisation has left."""
    unfinished = layout.unfinished_data
    if unfinished.is_symlink():
        shutil.rmtree(unfinished.resolve(), ignore_errors=True)
        unfinished.unlink()
    elif unfinished.exists():
        shutil.rmtree(unfinished)


def open_to_account(layout: Layout, account: Account) -> None:
    """Let the server's user pass through the state directory's own two folders: pass, not list."""
    if account.is_other:
        for folder in (layout.state_directory, layout.home):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)


def _make_directory(layout: Layout, account: Account) -> Path:
    """Make an empty data directory of the account, in the state directory if the account can get there."""
    open_to_account(layout, account)
    if not account.is_other or reaches(account, layout.home):
        data = layout.unfinished_data
        data.mkdir(mode=0o700)
    else:
        data = Path(tempfile.mkdtemp(prefix="tranche-", dir=_outside_place(layout, account)))
        layout.unfinished_data.symlink_to(data)
    if account.user is not None and account.group is not None:
        os.chown(data, account.user, account.group)
    return data


def _outside_place(layout: Layout, account: Account) -> Path:
    """Choose where a data directory lives that the state directory cannot hold."""
    for ancestor in layout.state_directory.parents:
        # A state directory in a shared temporary place, such as memory, keeps its data in the same one.
        if ancestor.stat().st_mode & stat.S_ISVTX and reaches(account, ancestor):
            return ancestor
    for place in _OUTSIDE_PLACES:
        if os.access(place, os.W_OK) and reaches(account, place):
            return place
    raise EmbeddedDatabaseError(
        f"PostgreSQL refuses to run as root, user {account.user} cannot reach {layout.home}, and there is no other "
        f"place ({', '.join(map(str, _OUTSIDE_PLACES))}); choose a state directory that everyone may pass through."
    )


def _initdb_options(programs: Programs) -> list[str]:
    """Choose UTF-8 with an order by code point everywhere, so that sorting is the same on every machine."""
    if version_of(programs.folder) >= _BUILTIN_LOCALE_VERSION_MIN:
        locale_options = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    else:
        locale_options = ["--locale=C", *(["--lc-ctype=C.UTF-8"] if _knows_utf8_locale() else [])]
    common = ["--encoding=UTF8", "--auth=trust", "--no-sync", "--no-instructions"]
    return [f"--username={SUPERUSER}", *common, *locale_options]


def _knows_utf8_locale() -> bool:
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:
        return False
    locale.setlocale(locale.LC_CTYPE, before)
    return True


def _require_usable(layout: Layout, programs: Programs) -> None:
    data = layout.data.resolve()
    if programs.account.is_other and not reaches(programs.account, data):
        raise EmbeddedDatabaseError(
            f"PostgreSQL's user {programs.account.user} cannot reach its data directory {data}; "
            "let everyone pass through the folders above it, or choose another state directory."
        )
    written_by = (data / "PG_VERSION").read_text().strip()
    version = version_of(programs.folder)
    if written_by != str(version):
        raise EmbeddedDatabaseError(
            f"{data} was made by PostgreSQL {written_by}, and {programs.folder} is version {version}; "
            f"run it with version {written_by}, or dump and load it, or choose another state directory."
        )


def _set_password(layout: Layout, programs: Programs, data: Path, *, server_lock: int, statement: str = "") -> None:
    """Set a new password (and run one more statement) with a server that talks to nobody else."""
    password = secrets.token_hex(24)
    programs.run(
        ["postgres", "--single", "-D", str(data), "-c", "fsync=off", SUPERUSER],
        server_lock=server_lock,
        standard_input=f"ALTER ROLE {SUPERUSER} PASSWORD '{password}'\n{statement}",
    )
    write_private(layout.password, password)
