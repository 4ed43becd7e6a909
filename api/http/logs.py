"""Structured logs: one JSON object a line, on standard error. No header, token or variable is ever passed in."""

import logging
import sys
import traceback
from typing import Any

import orjson
import structlog


def configure(level: str) -> None:
    """Sends structlog's events, and the standard library's, to standard error as JSON."""
    minimum = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_without_values),
    ]
    # Our own events go straight to the file: through the standard library each would cost a tenth of a small request.
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dump)],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=lambda event, **_: _dump(event).decode()),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=minimum, force=True)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn.access", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # What uvicorn says of each WebSocket holds its address, with whatever the client has written into that.
    logging.getLogger("uvicorn.error").addFilter(lambda record: "WebSocket" not in str(record.msg))


def _without_values(exc_info: Any) -> str:
    """The traceback, with the SQL state and constraint for the database driver's messages: these quote values."""
    text = "".join(traceback.format_exception(*exc_info)).rstrip()
    error: BaseException | None = exc_info[1]
    while error is not None:
        if type(error).__module__.startswith("asyncpg.") and str(error):
            kept = (getattr(error, name, None) for name in ("sqlstate", "constraint_name"))
            text = text.replace(str(error), " ".join(part for part in kept if part) or "(message left out)")
        error = error.__cause__ or error.__context__
    return text


def _dump(event: object, **_options: object) -> bytes:
    return orjson.dumps(event, default=str)
