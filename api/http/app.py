"""The application: what is opened at start and closed at stop, and the routes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from starlette.types import Receive, Scope, Send

from api import metrics
from api.config import Settings, load_settings
from api.db.pools import Database, PoolLimits
from api.errors import ConfigurationError
from api.graphql.schema import declared_fields, schema
from api.http import demo_session, logs
from api.http.authentication import Authenticator
from api.http.documents import Documents
from api.http.endpoint import GraphQLEndpoint
from api.http.graphiql import graphiql_routes
from api.http.health import readiness
from api.http.operations import Operations
from api.http.tokens import Tokens
from api.services.commands import Writer

POOL_METRICS_SECONDS = 1.0


class Application(FastAPI):
    """FastAPI for everything but /graphql, whose requests go straight to its endpoint, past middleware and routing."""

    endpoint: GraphQLEndpoint | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one connection."""
        if scope["type"] == "http" and scope["path"] == "/graphql" and self.endpoint is not None:
            await self.endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> Application:
    """The application over a migrated database; raises ConfigurationError where it must not start."""
    settings = settings.checked_for_serving()
    if settings.application_database_url is None:
        raise ConfigurationError("TRANCHE_APPLICATION_DATABASE_URL is not set; `tranche serve` finds it by itself.")
    url = settings.application_database_url.get_secret_value()
    tokens = Tokens(settings)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        database = await Database.open(url, pool_limits(settings))
        reporter = asyncio.create_task(_report_pools(database))
        try:
            app.state.database = database
            app.endpoint = GraphQLEndpoint(
                Operations(
                    schema()._schema, database, Writer(database, settings.idempotency_days), settings.compiled_queries
                ),
                Documents(schema()._schema, declared_fields()),
                Authenticator(database, tokens),
                body_bytes_max=settings.body_bytes_max,
                shows_debug=not settings.in_production,
            )
            yield
        finally:
            reporter.cancel()
            await database.close()

    app = Application(title="Tranche", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _add_health(app)
    if not settings.in_production:
        app.router.routes.extend(
            demo_session.routes(tokens, app.state) if settings.demo else graphiql_routes(demo_token=lambda: None)
        )
    return app


def create_app_from_environment() -> Application:
    """The application of this process's settings, for uvicorn and its workers."""
    settings = load_settings()
    logs.configure(settings.log_level)
    return create_app(settings)


def pool_limits(settings: Settings) -> PoolLimits:
    """The limits of the pools in the settings."""
    return PoolLimits(
        settings.read_connections_max,
        settings.write_connections_max,
        settings.statement_timeout_seconds,
        settings.lock_timeout_seconds,
        settings.claim_timeout_seconds,
    )


def _add_health(app: FastAPI) -> None:
    @app.get("/health/live")
    async def live() -> Response:
        return _json({"status": "ok"})

    @app.get("/health/ready")
    async def ready(request: Request) -> Response:
        checks = await readiness(request.app.state.database)
        is_ready = set(checks.values()) == {"ok"}
        return _json({"status": "ok" if is_ready else "unavailable", **checks}, 200 if is_ready else 503)

    @app.get("/metrics")
    async def prometheus() -> Response:
        registry: CollectorRegistry | None = None
        if metrics.IS_MULTIPROCESS:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        body = generate_latest(registry) if registry else generate_latest()
        return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})


def _json(body: dict[str, str], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json", headers={"cache-control": "no-store"})


async def _report_pools(database: Database) -> None:
    pools = {"reads": database.reads, "writes": database.writes, "authentication": database.authentication}
    while True:
        for name, pool in pools.items():
            metrics.POOL_CONNECTIONS.labels(name, "open").set(pool.size)
            metrics.POOL_CONNECTIONS.labels(name, "idle").set(pool.idle_size)
        await asyncio.sleep(POOL_METRICS_SECONDS)
