"""Structured logs: one JSON object a line, request and run ids in each, no personal data.

What may be logged is listed, and everything else is dropped: fields that are not on the list, the messages of
exceptions (« duplicate key (email)=(…) »), the arguments of other libraries' messages.
"""

import logging
import sys
import time
import traceback
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

from webapp.config import Settings

log = structlog.get_logger()

ALLOWED = frozenset(
    (
        "event level timestamp logger request_id run_id organisation_id user_id job method endpoint status "
        "duration_ms attempt fence count created updated skipped errors reference exc_type exception queue tick "
        "host pid signal delay phase account_id charge_id event_id refund_id subscription_id team_id subscriber "
        "page_id means_request_id sender_id case_id batch_id parcel_id export_id recorded missing strange "
        "operation_id applied left_out search_id found gone table"
    ).split()
)
"""What may stand in a log line. Anything else is dropped, so that a careless call cannot leak a name or an IBAN."""

OUTSPOKEN = ("alembic", "gunicorn.error")
"""Loggers of others whose messages are logged with their arguments: they speak of processes and migrations only."""
TALKATIVE = ("flufl.bounce", "httpx", "httpx2", "httpcore", "httpcore2", "werkzeug", "flask-limiter")
"""Loggers whose everyday lines carry whole addresses: from warnings up only."""


def configure(settings: Settings) -> None:
    """Send structlog's and the standard library's records to stderr as JSON lines."""
    ours: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[structlog.typing.Processor] = [
        describe_exception,
        keep_allowed,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    structlog.configure(
        processors=[*ours, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*ours, structlog.stdlib.add_logger_name, withhold_arguments],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    logging.raiseExceptions = False  # the complaint about a line that cannot be written quotes its arguments
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Stderr(logging.Handler):
    """Writes to stderr as it is at the moment: whoever replaces it (a test, a supervisor) gets the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


def init_app(app: Flask) -> None:
    """Give every request an id, and a line when it ends."""
    app.before_request(_name_request)
    app.after_request(_log_request)


def keep_allowed(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop every key that is not on the allow-list."""
    return {key: value for key, value in event.items() if key in ALLOWED}


def describe_exception(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say which exception it was and where it came from, without what it says: messages quote values."""
    error = _error_of(event.pop("exc_info", None))
    if error is not None:
        event["exc_type"] = type(error).__name__
        event["exception"] = _places(error)
    return event


def withhold_arguments(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep another library's message as it was written, without the values that fill it."""
    record: logging.LogRecord = event["_record"]
    if not record.name.startswith(OUTSPOKEN):
        event["event"] = str(record.msg)
    return event


def _error_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        error = exc_info[1]
        return error if isinstance(error, BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _places(error: BaseException) -> list[str]:
    """Where the exception and its causes were raised: « file:line function », innermost last."""
    places: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        frames = traceback.extract_tb(cause.__traceback__)
        places.append(type(cause).__name__)
        places += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return places


def _name_request() -> None:
    """An id of our own making: one sent along could carry anything into the log."""
    g.request_id = uuid4().hex
    g.started_at = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _log_request(response: Response) -> Response:
    """Neither address nor query: the endpoint says which page it was, and people search for people."""
    log.info(
        "request",
        method=request.method,
        endpoint=request.endpoint or "none",
        status=response.status_code,
        duration_ms=round((time.monotonic() - g.started_at) * 1000, 1),
    )
    return response
