"""Which calls are traced, and whose span a block is that works for several calls.

That is decided before OpenTelemetry is asked for anything, since a span that is not recorded costs microseconds, too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from cuvee import tracing
from cuvee.config.telemetry import Traces as TracesConfig
from cuvee.serving.telemetry.figures import Figures
from cuvee.tracing import Trace, Value

if TYPE_CHECKING:
    from cuvee.serving.tracing.spans import CallSpan, Spans

__all__ = ["PARENT", "Traces", "shared"]

PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
"""W3C's ``traceparent``: trace id, span id, flags."""
SAMPLED = 1
_NOTHING: AbstractContextManager[Trace | None] = nullcontext()


class Traces:
    """The traces of one process; where no collector is configured, there are none."""

    def __init__(self, config: TracesConfig, figures: Figures, version: str = "") -> None:
        """Nothing is connected yet; a collector that is away costs nobody anything but the spans.

        Raises:
            OSError: the certificate cannot be read.
        """
        self._sample = config.sample
        self._follow = config.follow_caller
        self._spans: Spans | None = None
        if config.endpoint:
            from cuvee.serving.tracing.spans import Spans  # noqa: PLC0415 - it needs the extra

            self._spans = Spans(config, figures, version)

    def call(self, method: str, parent: re.Match[str] | None, state: str, request_id: str) -> CallSpan | None:
        """The span of a call that begins now; None where it is not traced.

        Args:
            method: ``/package.Service/Method``.
            parent: the caller's ``traceparent``, as :data:`PARENT` has matched it, if he sent one.
            state: his ``tracestate``.
            request_id: is an attribute of the span.
        """
        if self._spans is None:
            return None
        if parent is not None and self._follow:
            wanted = bool(int(parent[3], 16) & SAMPLED)
        else:
            wanted = random.random() < self._sample  # noqa: S311 - which calls are traced is no secret
        if not wanted:
            return None
        attributes: dict[str, Value] = {
            "rpc.system.name": "grpc",
            "rpc.method": method[1:],
            "cuvee.request_id": request_id,
        }
        return self._spans.call(method[1:], parent, state, attributes)

    def close(self) -> None:
        """Send what has ended; this may take some seconds where the collector is away."""
        if self._spans is not None:
            self._spans.close()


def shared(calls: Sequence[Trace | None], name: str, **attributes: Value) -> AbstractContextManager[Trace | None]:
    """A block that works for several calls: a span inside of the first that is traced, linked with the others' spans.

    Where none is traced, nothing inside of the block is.
    """
    traced = [one for one in calls if one is not None]
    if traced:
        return traced[0].shared(traced[1:], name, attributes)
    return _NOTHING if tracing.current() is None else tracing.inside(None)
