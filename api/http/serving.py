"""Running the application under uvicorn, in one process or several."""

import os
import tempfile
import threading
import time

import httpx
import typer
import uvicorn

from api.config import Settings
from api.domain.access import Role
from api.http.connections import BoundedHttp
from api.http.live.frames import BoundedSocket

READY_SECONDS_MAX = 60
SHUTDOWN_SECONDS_MAX = 10
KEEP_ALIVE_SECONDS = 75
SOCKET_PING_SECONDS = 20
"""How often a WebSocket is asked whether its client is still there, and how long its answer may take."""


def serve(settings: Settings, *, host: str, port: int, workers: int, banner: str | None) -> None:
    """Serves until interrupted. ``banner`` is printed once the server is ready."""
    _hand_down(settings, host)
    if banner is not None:
        threading.Thread(target=_announce, args=(f"http://{host}:{port}", banner), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="tranche-metrics-") as directory:
        if workers > 1:
            # prometheus_client reads this when it is first imported: in the workers, not here.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        _run(settings, host, port, workers)


def _run(settings: Settings, host: str, port: int, workers: int) -> None:
    uvicorn.run(
        "api.http.app:create_app_from_environment",
        factory=True,
        host=host,
        port=port,
        workers=workers if workers > 1 else None,
        loop="uvloop",
        http=BoundedHttp,
        ws=BoundedSocket,
        ws_max_size=settings.body_bytes_max,
        ws_ping_interval=SOCKET_PING_SECONDS,
        ws_ping_timeout=SOCKET_PING_SECONDS,
        # A compressor for each socket would take more memory than all else that it holds.
        ws_per_message_deflate=False,
        access_log=False,
        # The client's address, for throttling sign-ins; anybody could write the header, so only some are believed.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS_MAX,
    )


def _hand_down(settings: Settings, host: str) -> None:
    """Puts what was found out for the settings where the application, and worker processes, read theirs."""
    url = settings.application_database_url
    if url is not None:
        os.environ["TRANCHE_APPLICATION_DATABASE_URL"] = url.get_secret_value()
    os.environ["TRANCHE_PUBLIC_HOST"] = settings.public_host or host
    os.environ["TRANCHE_DEMO"] = "true" if settings.demo else "false"


def _announce(address: str, banner: str) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/health/ready", timeout=1).status_code == httpx.codes.OK:
                typer.echo(banner)
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)


def demo_banner(address: str, tokens: dict[Role, str]) -> str:
    """What a person needs to try the demo: the pages, a token for each role, a line to paste."""
    lines = ["", f"GraphiQL: {address}/graphiql", f"Capital, live: {address}/live", ""]
    lines += [f"{role.value} token:\n{tokens[role]}\n" for role in Role if role in tokens]
    query = '{"query":"{ funds(first: 3) { nodes { id name allocationVersion reserves { plannedCents } } } }"}'
    editor = tokens.get(Role.EDITOR, "")
    lines.append("Try:")
    lines.append(
        f"curl -s {address}/graphql -H 'Content-Type: application/json'"
        f" -H 'Authorization: Bearer {editor}' -d '{query}'"
    )
    return "\n".join(lines) + "\n"
