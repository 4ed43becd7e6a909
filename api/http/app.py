"""The application: what is opened at start and closed at stop, and the routes."""

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, multiprocess
from starlette.types import Receive, Scope, Send

from api import metrics
from api.config import Introspection, Metrics, Settings, load_settings
from api.db.event_bus import EventBus
from api.db.pools import Database, PoolLimits
from api.errors import ConfigurationError
from api.graphql.context import People, Process
from api.graphql.schema import declared_fields, schema
from api.http import demo_session, logs
from api.http.authentication import Authenticator
from api.http.cross_origin import CrossOrigin
from api.http.documents import Documents
from api.http.endpoint import Edge, GraphQLEndpoint
from api.http.graphiql import graphiql_routes
from api.http.health import is_on_this_machine, readiness
from api.http.live.answers import Answers
from api.http.live.perform import Perform
from api.http.live.streams import Streams
from api.http.live.websocket import SocketLimits, WebSocketEndpoint
from api.http.live_page import live_page_routes, no_token
from api.http.operations import OperationLimits, Operations
from api.http.persisted_documents import PersistedDocuments, read_trusted_documents
from api.http.security_headers import SafeAnswers, answer_errors_as_json, security_headers
from api.http.tokens import Tokens
from api.reads.kept import KeptAnswers
from api.reads.kept_ahead import Refresher
from api.reads.live.followers import LiveLog
from api.services.commands import Writer
from api.services.passwords import Passwords
from api.services.rate_limits import RateLimits
from api.services.sessions import Lifetimes
from api.services.sign_in import SignIns
from api.services.worker import worker_for

POOL_METRICS_SECONDS = 1.0
COLLECTED_AFTER = (10_000, 10, 10)
"""How many new objects make the garbage collector look, and not 700: it walks over all that is being answered."""


class Application(FastAPI):
    """FastAPI for everything but /graphql, whose requests go straight to its endpoint, past middleware and routing."""

    endpoint: GraphQLEndpoint | None = None
    sockets: WebSocketEndpoint | None = None
    safely: SafeAnswers | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one connection."""
        if scope["type"] == "http" and scope["path"] == "/graphql" and self.endpoint is not None:
            await self.endpoint(scope, receive, send)
        elif scope["type"] == "websocket" and scope["path"] == "/graphql" and self.sockets is not None:
            await self.sockets(scope, receive, send)
        elif scope["type"] == "http" and self.safely is not None:
            await self.safely(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings) -> Application:
    """The application over a migrated database; raises ConfigurationError where it must not start."""
    settings = settings.checked_for_serving()
    if settings.application_database_url is None:
        raise ConfigurationError("TRANCHE_APPLICATION_DATABASE_URL is not set; `tranche serve` finds it by itself.")
    url = settings.application_database_url.get_secret_value()
    tokens = Tokens(settings)
    edge = _edge(settings)

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        database = await Database.open(url, pool_limits(settings))
        reporter = asyncio.create_task(_report_pools(database))
        bus = EventBus(url)
        bus.start()
        live = LiveLog(database, bus)
        kept = KeptAnswers()
        refresher = Refresher(kept, database, bus)
        refresher.start()
        people = _people(settings, database, tokens)
        writer = Writer(database, settings.idempotency_days, bus)
        worker = worker_for(database, writer, bus, snapshot_seconds_max=settings.snapshot_seconds_max)
        if settings.worker:
            worker.start()
        try:
            app.state.database, app.state.bus = database, bus
            authenticator = Authenticator(database, tokens)
            documents = Documents(
                schema()._schema,
                declared_fields(),
                introspection=settings.introspection_for,
                hides_suggestions=settings.hides_suggestions,
            )
            process = Process({"fundMetrics": kept, "documents": documents}, worker if settings.worker else None)
            operations = _operations(settings, database, writer, people, kept, process)
            answers = Answers(operations, live)
            app.endpoint = GraphQLEndpoint(operations, documents, authenticator, edge, answers, Streams(authenticator))
            app.sockets = WebSocketEndpoint(
                Perform(answers, documents, edge.persisted),
                authenticator,
                cross_origin=edge.cross_origin,
                limits=SocketLimits(message_bytes_max=settings.body_bytes_max),
            )
            yield
        finally:
            reporter.cancel()
            await worker.close()
            await refresher.close()
            await live.close()
            await bus.close()
            people.sign_ins.passwords.close()
            await database.close()

    app = Application(title="Tranche", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.safely = SafeAnswers(super(Application, app).__call__, edge.headers)
    answer_errors_as_json(app)
    _add_health(app)
    _add_metrics(app, settings.metrics_for)
    if not settings.in_production:
        app.router.routes.extend(
            demo_session.routes(tokens, app.state, edge.cross_origin)
            if settings.demo
            else [*graphiql_routes(demo_token=lambda: None), *live_page_routes(demo_token=no_token)]
        )
    return app


def _operations(
    settings: Settings, database: Database, writer: Writer, people: People, kept: KeptAnswers, process: Process
) -> Operations:
    """What answers operations within the limits that the settings say."""
    return Operations(
        schema()._schema,
        database,
        writer,
        settings.compiled_queries,
        hides_suggestions=settings.hides_suggestions,
        hides_schema=settings.introspection_for is not Introspection.EVERYBODY,
        people=people,
        limits=OperationLimits(settings.cost_max, settings.operation_seconds_max),
        rates=RateLimits(database, settings.cost_per_minute),
        kept=kept,
        process=process,
    )


def create_app_from_environment() -> Application:
    """The application of this process's settings, for uvicorn and its workers."""
    settings = load_settings()
    logs.configure(settings.log_level)
    app = create_app(settings)
    _stop_streams_on_signals(app)
    _leave_to_stay()
    return app


def _leave_to_stay() -> None:
    """Tells the garbage collector to leave alone what is there for good: modules, and the schema, which is made here.

    That is two hundred thousand objects. Walking over them takes a tenth of a second and more, in which nobody is
    answered, and comes the sooner the more is parsed anew.
    """
    schema()
    declared_fields()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def _stop_streams_on_signals(app: Application) -> None:
    """Ends what streams when the server is told to end: uvicorn waits for them, and does not tell them."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if app.endpoint is not None:
            app.endpoint.streams.stop()

    def stop_before(usual: Callable[[int, FrameType | None], object]) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(stop)
            usual(number, frame)

        return handle

    for number in (signal.SIGINT, signal.SIGTERM):
        usual = signal.getsignal(number)
        if callable(usual):
            signal.signal(number, stop_before(usual))


def _edge(settings: Settings) -> Edge:
    """What the settings say of the edge; raises ConfigurationError for a manifest that cannot be read."""
    trusted = read_trusted_documents(settings.trusted_documents) if settings.trusted_documents else None
    cross_origin = CrossOrigin(settings.cors_origins, settings.public_host)
    return Edge(
        body_bytes_max=settings.body_bytes_max,
        batch_requests_max=settings.batch_requests_max,
        shows_debug=not settings.in_production,
        headers=security_headers(in_production=settings.in_production) + cross_origin.for_all,
        cross_origin=cross_origin,
        persisted=PersistedDocuments(trusted, only_trusted=settings.trusted_documents_only),
    )


def passwords_of(settings: Settings) -> Passwords:
    """The hashing of passwords that the settings want."""
    return Passwords(
        memory_kib=settings.password_memory_kib,
        iterations=settings.password_iterations,
        threads=settings.password_threads,
        queue_max=settings.password_queue_max,
    )


def _people(settings: Settings, database: Database, tokens: Tokens) -> People:
    lifetimes = Lifetimes(settings.session_days, settings.session_idle_hours, tokens.refresh_key)
    return People(SignIns(database, passwords_of(settings)), lifetimes, tokens.issue_for_session)


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
    @app.api_route("/health/live", methods=["GET", "HEAD"])
    async def live() -> Response:
        return _json({"status": "ok"})

    @app.api_route("/health/ready", methods=["GET", "HEAD"])
    async def ready(request: Request) -> Response:
        checks = await readiness(request.app.state.database)
        is_ready = set(checks.values()) == {"ok"}
        return _json({"status": "ok" if is_ready else "unavailable", **checks}, 200 if is_ready else 503)


def _add_metrics(app: FastAPI, readers: Metrics) -> None:
    @app.api_route("/metrics", methods=["GET", "HEAD"])
    async def prometheus(request: Request) -> Response:
        if readers is Metrics.OFF or (readers is Metrics.LOOPBACK and not is_on_this_machine(request)):
            raise HTTPException(404)
        registry: CollectorRegistry | None = None
        if metrics.IS_MULTIPROCESS:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        body = generate_latest(registry) if registry else generate_latest()
        return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})


def _json(body: dict[str, str], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json", headers={"cache-control": "no-store"})


async def _report_pools(database: Database) -> None:
    pools = {
        "reads": database.reads,
        "writes": database.writes,
        "authentication": database.authentication,
        "sign_ins": database.sign_ins,
    }
    while True:
        for name, pool in pools.items():
            metrics.POOL_CONNECTIONS.labels(name, "open").set(pool.size)
            metrics.POOL_CONNECTIONS.labels(name, "idle").set(pool.idle_size)
        await asyncio.sleep(POOL_METRICS_SECONDS)
