"""How the server logs: one JSON object a line, or coloured lines where a person looks on."""

from __future__ import annotations

import sys

import structlog

__all__ = ["configure"]


def configure() -> None:
    """Set structlog up for a process that serves. Logs go to stderr.

    Tracebacks come without the values of variables, which would be what users did and who they are.
    """
    person = sys.stderr.isatty()
    renderers: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if person
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
