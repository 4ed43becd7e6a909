"""Where the things of one embedded database lie, and the small files through which its processes meet."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from api.db.embedded.errors import EmbeddedDatabaseError


@dataclass(frozen=True)
class Announcement:
    """What a supervisor tells those who join: its server accepts connections on this port."""

    port: int
    supervisor_pid: int


@dataclass(frozen=True)
class Layout:
    """The paths below one state directory."""

    state_directory: Path

    @property
    def home(self) -> Path:
        return self.state_directory / "postgres"

    @property
    def data(self) -> Path:
        """The data directory, or a symbolic link to it where it has to live elsewhere."""
        return self.home / "data"

    @property
    def unfinished_data(self) -> Path:
        """A data directory (or a link to one) under construction: never trusted, renamed to `data` when complete."""
        return self.home / "data.unfinished"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def password(self) -> Path:
        return self.home / "password"

    @property
    def port(self) -> Path:
        """The port of the last start, taken again when it is free."""
        return self.home / "port"

    @property
    def users(self) -> Path:
        """A FIFO: users hold its writing end, the supervisor its reading end; the kernel keeps the count."""
        return self.home / "users"

    @property
    def announcement(self) -> Path:
        return self.home / "server.json"

    @property
    def start_lock(self) -> Path:
        """Held while a process joins, and by a supervisor while it decides to stop."""
        return self.home / "start.lock"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor for its whole life."""
        return self.home / "supervisor.lock"

    @property
    def server_lock(self) -> Path:
        """Held by every process of the running server, as an inherited file."""
        return self.home / "server.lock"


def create_layout(state_directory: Path) -> Layout:
    """Create what is missing of the state directory, for this user's eyes only, and return its layout."""
    layout = Layout(state_directory.expanduser().resolve())
    try:
        layout.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.home.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileExistsError):
            os.mkfifo(layout.users, 0o600)
    except OSError as error:
        raise EmbeddedDatabaseError(
            f"The state directory {layout.state_directory} cannot be used ({error.strerror}: {error.filename}); "
            "make it writable for this user or choose another one."
        ) from error
    return layout


def write_private(path: Path, text: str) -> None:
    """Replace a file's content in one step, readable for its folder's owner alone."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if os.geteuid() == 0:
            # Root may use an ordinary user's state directory, and must not lock that user out of it.
            owner = path.parent.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def announce(layout: Layout, announcement: Announcement) -> None:
    """Tell those who join where the server is."""
    text = json.dumps({"port": announcement.port, "supervisor_pid": announcement.supervisor_pid})
    write_private(layout.announcement, text)


def read_announcement(layout: Layout) -> Announcement | None:
    """Return what the supervisor announced, or None while its server is not ready."""
    try:
        content = json.loads(layout.announcement.read_text())
    except FileNotFoundError:
        return None
    return Announcement(port=int(content["port"]), supervisor_pid=int(content["supervisor_pid"]))


def recorded_port(layout: Layout) -> int | None:
    """Return the port of the last start, or None when there was none."""
    try:
        return int(layout.port.read_text())
    except (FileNotFoundError, ValueError):
        return None
