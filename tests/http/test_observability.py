"""What operators see: health, metrics with closed labels, and JSON logs that hold no secret."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from api.domain.access import Role
from api.http import logs, reports
from api.reads.loaders import Loaders
from api.services import commands, funds
from tests.server import RunningServer

ROLE = "{ viewer { role } }"
SECRET = "hunter2-of-the-client"
CREATE = """
mutation ($input: CreateFundInput!) { createFund(input: $input) { fund { id } replayed userErrors { code } } }
"""


class Logs:
    """What was logged, as it would stand on standard error."""

    def __init__(self) -> None:
        self._content = io.BytesIO()
        self.stream = io.TextIOWrapper(self._content, write_through=True)

    @property
    def text(self) -> str:
        return self._content.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    """The server's own logging at its lowest level, into memory; put back afterwards."""
    log = Logs()
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = []
    monkeypatch.setattr(sys, "stderr", log.stream)
    logs.configure("DEBUG")
    # The modules' own loggers would keep this configuration once used: see cache_logger_on_first_use.
    for name, module in list(sys.modules.items()):
        if name.startswith("api.") and "logger" in vars(module):
            monkeypatch.setattr(module, "logger", structlog.get_logger())
    yield log
    logging.captureWarnings(capture=False)
    root.handlers, root.level = handlers, level
    structlog.configure(**configured)


async def samples(server: RunningServer, name: str) -> dict[tuple[str, ...], float]:
    """The values of one metric by its labels, in alphabetical order of their names."""
    response = await server.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
        if sample.name == name
    }


async def test_live_and_ready_server_says_so(server: RunningServer) -> None:
    live = await server.client.get("/health/live")
    ready = await server.client.get("/health/ready")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "database": "ok", "migrations": "ok"})
    assert live.headers["cache-control"] == ready.headers["cache-control"] == "no-store"


async def test_server_without_its_database_lives_but_is_not_ready(server: RunningServer) -> None:
    cluster, _, name = server.database_url.rpartition("/")
    maintenance = await asyncpg.connect(f"{cluster}/postgres")
    await maintenance.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await maintenance.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = 'tranche_server'", name
    )
    ready = await server.client.get("/health/ready")
    expected = {"status": "unavailable", "database": "unreachable", "migrations": "unknown"}
    assert (ready.status_code, ready.json()) == (503, expected)
    assert (await server.client.get("/health/live")).status_code == 200
    await maintenance.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await maintenance.close()
    assert (await server.client.get("/health/ready")).status_code == 200


@pytest.mark.parametrize("revision", ["0000", "9999"])
async def test_server_on_other_migrations_is_not_ready(server: RunningServer, revision: str) -> None:
    newest = await server.owner.fetchval("SELECT version_num FROM alembic_version")
    await server.owner.execute("UPDATE alembic_version SET version_num = $1", revision)
    ready = await server.client.get("/health/ready")
    expected = {"status": "unavailable", "database": "ok", "migrations": f"at {revision}, not {newest}"}
    assert (ready.status_code, ready.json()) == (503, expected)


async def test_latency_is_counted_by_operation_with_bounded_names(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_names", set())
    for number in range(300):
        await server.execute(f"query Bounded{number} {ROLE}")
    await server.execute(f"query {'Long' * 26} {ROLE}")
    counts = await samples(server, "tranche_operation_seconds_count")
    named = {labels: count for labels, count in counts.items() if labels[0].startswith(("Bounded", "Long"))}
    assert named == {(f"Bounded{number}", "query"): 1 for number in range(200)}
    assert counts["other", "query"] >= 101


async def test_errors_are_counted_by_code(server: RunningServer) -> None:
    before = await samples(server, "tranche_errors_total")
    await server.execute("{ nothing }")
    await server.execute(ROLE, token="a.b.c")
    await server.execute(CREATE, {"input": {"name": " "}})
    await server.execute(CREATE, {"input": {"name": "Fund I"}}, role=Role.VIEWER)
    after = await samples(server, "tranche_errors_total")
    counted = {code: after[code,] - before.get((code,), 0) for (code,) in after}
    assert {code: count for code, count in counted.items() if count} == {
        "GRAPHQL_VALIDATION_FAILED": 1,
        "UNAUTHENTICATED": 1,
        "INVALID_INPUT": 1,
        "FORBIDDEN": 1,
    }


async def test_replays_and_conflicts_are_counted_by_mutation(server: RunningServer) -> None:
    metrics = ("tranche_idempotency_replays_total", "tranche_version_conflicts_total")
    replays, conflicts = [await samples(server, metric) for metric in metrics]
    answers = [await server.execute(CREATE, {"input": {"name": "Fund I", "idempotencyKey": "k"}}) for _ in range(3)]
    update = "mutation ($input: UpdateFundInput!) { updateFund(input: $input) { userErrors { code } } }"
    fund_id = answers[0].data["createFund"]["fund"]["id"]
    await server.execute(update, {"input": {"id": fund_id, "expectedVersion": "9", "name": "Fund II"}})
    assert (await samples(server, metrics[0]))["createFund",] - replays.get(("createFund",), 0) == 2
    assert (await samples(server, metrics[1]))["updateFund",] - conflicts.get(("updateFund",), 0) == 1


async def test_pools_are_counted(server: RunningServer) -> None:
    connections = await samples(server, "tranche_pool_connections")
    assert connections.keys() == {
        (pool, state) for pool in ("reads", "writes", "authentication", "sign_ins") for state in ("open", "idle")
    }


async def test_line_tells_request_operation_principal_and_duration(server: RunningServer, logged: Logs) -> None:
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}", "X-Request-Id": "request-7"}
    await server.client.post("/graphql", json={"query": f"query Who {ROLE}"}, headers=headers)
    [line] = [line for line in logged.lines if line["event"] == "operation"]
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    user_id = await server.owner.fetchval("SELECT id FROM users WHERE email = 'editor@alpha.example'")
    assert line == {
        "event": "operation",
        "level": "info",
        "request_id": "request-7",
        "operation": "Who",
        "type": "query",
        "user_id": user_id,
        "api_key_id": None,
        "organization_id": server.organization_ids["alpha"],
        "status": 200,
        "codes": [],
    }


async def test_long_names_of_operations_are_cut(server: RunningServer, logged: Logs) -> None:
    await server.execute(f"query {'Long' * 1000} {ROLE}")
    [line] = [line for line in logged.lines if line["event"] == "operation"]
    assert line["operation"] == "Long" * 50


async def test_internal_error_is_masked_and_found_in_the_log(
    server: RunningServer, logged: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_arguments: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(Loaders, "_load_rows", fail)
    monkeypatch.setattr(Loaders, "reset", fail)
    headers = {"Authorization": f"Bearer {server.tokens['alpha', Role.EDITOR]}"}
    request = {"query": CREATE, "variables": {"input": {"name": SECRET}}}
    response = await server.client.post("/graphql", json=request, headers=headers)
    request_id = response.headers["x-request-id"]
    [error] = response.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": request_id}
    assert error["message"] == f"The server failed. The log knows more under request {request_id}."
    assert "fire" not in response.text
    [line] = [line for line in logged.lines if line["event"] == "internal_error"]
    assert line["request_id"] == request_id
    assert "RuntimeError: the disk is on fire" in line["exception"]
    assert SECRET not in logged.text


async def test_no_secret_is_ever_logged(server: RunningServer, logged: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    token = server.tokens["alpha", Role.EDITOR]
    headers = {"Authorization": f"Bearer {token}", "X-Secret": SECRET, "Cookie": SECRET}
    given = {"name": SECRET, "strategy": SECRET, "idempotencyKey": SECRET}
    bodies: list[dict[str, Any]] = [
        {"query": CREATE, "variables": {"input": given}},
        {"query": CREATE, "variables": {"input": given}},
        {"query": CREATE, "variables": {"input": given | {"name": SECRET * 20}}},
        {"query": CREATE, "variables": {"input": given | {"sizeCents": SECRET}}},
        {"query": CREATE, "variables": {"input": given | {SECRET: 1}}},
        {"query": f'{{ funds(after: "{SECRET}") {{ totalCount }} }}'},
        {"query": f"{{ {SECRET.replace('-', '_')} }}"},
        {"query": f'{{ node(id: "{SECRET}") {{ id }} ', "operationName": SECRET},
        {"query": ROLE, "operationName": SECRET},
        {"query": ROLE, "variables": SECRET},
    ]
    for body in bodies:
        await server.client.post("/graphql", json=body, headers=headers)
        await server.client.post("/graphql", json=body, headers=headers | {"Authorization": f"Bearer {SECRET}"})
        await server.client.post("/graphql", json=body, headers=headers | {"Authorization": f"{token}x"})
        await server.client.get("/graphql", params={"query": ROLE, "variables": SECRET}, headers=headers)
    await server.client.post("/graphql", content=f"{SECRET}", headers=headers)
    monkeypatch.setattr(funds, "_refuse_bad_values", lambda _values: None)
    broken = {"query": CREATE, "variables": {"input": {"name": SECRET, "strategy": SECRET, "sizeCents": "-1"}}}
    answer = (await server.client.post("/graphql", json=broken, headers=headers)).json()
    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert len(logged.lines) > 40
    assert "CheckViolationError" in logged.text
    for secret in (SECRET, SECRET.replace("-", "_"), token, token.split(".")[2]):
        assert secret not in logged.text


async def test_database_driver_does_not_log_the_value_that_it_stumbled_over(
    server: RunningServer, logged: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stumble(command: commands.Command, **values: object) -> None:
        try:
            await command.connection.fetchval("SELECT $1::bigint", values["name"])
        except Exception as error:
            raise RuntimeError("the driver stumbled") from error

    monkeypatch.setattr(funds, "create_fund", stumble)
    answer = await server.execute(CREATE, {"input": {"name": SECRET}})
    assert answer.codes == ["INTERNAL_SERVER_ERROR"]
    assert "asyncpg.exceptions.DataError" in logged.text
    assert "RuntimeError: the driver stumbled" in logged.text
    assert SECRET not in logged.text
