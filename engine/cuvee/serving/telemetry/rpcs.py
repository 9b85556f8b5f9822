"""What is counted of each call: how it ended, and how long it took."""

from __future__ import annotations

import time

from google.rpc import code_pb2

from cuvee.serving.status import code_of
from cuvee.serving.telemetry.figures import Counter, Figures

__all__ = ["Rpc"]


class Rpc:
    """One rpc's figures; for the event loop alone, since nothing is locked."""

    def __init__(self, figures: Figures, method: str) -> None:
        """``method``: ``/package.Service/Method``."""
        self.name = method.rpartition("/")[2]
        self._figures = figures
        self._durations = figures.histogram("cuvee_request_duration_seconds", self.name)
        self._codes: dict[str, Counter] = {}
        self._reasons: dict[str, Counter] = {}
        self._ok = self._code("OK")

    def answered(self, began: float) -> None:
        """It was answered; ``began`` in the time of ``time.perf_counter``."""
        self._ok.value += 1
        self._durations.add(time.perf_counter() - began)

    def ended(self) -> None:
        """A stream has ended as it should."""
        self._ok.value += 1

    def failed(self, problem: BaseException) -> None:
        """It was refused or failed."""
        code, reason = code_of(problem)
        self._code(code_pb2.Code.Name(code)).add()
        self._reason(reason).add()

    def left(self) -> None:
        """Its caller has gone."""
        self._code("CANCELLED").add()

    def _code(self, code: str) -> Counter:
        if code not in self._codes:
            self._codes[code] = self._figures.counter("cuvee_requests_total", self.name, code)
        return self._codes[code]

    def _reason(self, reason: str) -> Counter:
        if reason not in self._reasons:
            self._reasons[reason] = self._figures.counter("cuvee_requests_failed_total", self.name, reason)
        return self._reasons[reason]
