"""Structured logs: one JSON object a line, request and run ids in each, no personal data."""

import logging
import sys

import structlog

from webapp.config import Settings

# What may stand in a log line. Anything else is dropped, so that a careless call cannot leak a name or an IBAN.
ALLOWED = frozenset(
    (
        "event level timestamp logger request_id run_id organisation_id user_id job method path endpoint status "
        "duration_ms attempt fence count created updated skipped errors reference exc_type exception queue tick "
        "host pid signal delay phase"
    ).split()
)


def configure_logging(settings: Settings) -> None:
    """Send structlog's and the standard library's records to stderr as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            keep_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                keep_allowed,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its info lines carry full addresses


def keep_allowed(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Drop every key that is not on the allow-list."""
    return {key: value for key, value in event.items() if key in ALLOWED}
