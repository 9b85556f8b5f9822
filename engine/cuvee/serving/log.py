"""The server's log: one JSON object a line, or coloured lines on a terminal."""

from __future__ import annotations

import asyncio
import sys

import structlog

from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.telemetry.repeats import STRETCH, Repeats
from cuvee.serving.tracing.calls import marked

__all__ = ["configure", "watch"]


def configure(worker: int | None = None) -> None:
    """Set structlog up for a process that serves. Logs go to stderr, each line with the worker's number if it is one.

    Tracebacks do not show the values of variables, which may be users' ids and events.
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
            marked,
            *([] if worker is None else [_of(worker)]),
            Repeats(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        # each line is one write, so that lines of several workers do not mix
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


async def watch(figures: Figures) -> None:
    """Have lines counted, and tell what was left out when it has stopped; until cancelled."""
    found = [one for one in structlog.get_config()["processors"] if isinstance(one, Repeats)]
    figures.watch("cuvee_log_lines_total", lambda: {(level,): n for one in found for level, n in one.written.items()})
    figures.watch("cuvee_log_lines_left_out_total", lambda: {(): sum(one.left_out for one in found)})
    log = structlog.get_logger(__name__)
    while True:
        await asyncio.sleep(STRETCH / 2)
        for repeats in found:
            for line in repeats.ended():
                log.warning("lines left out", **line)


def _of(worker: int) -> structlog.typing.Processor:
    """Add the worker's number; not by a context variable, since those do not reach threads."""

    def add(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("worker", worker)
        return event

    return add
