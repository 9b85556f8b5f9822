"""Waiting requests are run together: no added wait when idle, few and large runs under load."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import grpc
import numpy as np
import numpy.typing as npt

from cuvee_tfserving.model_server.refusals import Refused

__all__ = ["Arrays", "Batcher", "Runnable", "Work"]

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


class Runnable(Protocol):
    """The model that runs a batch."""

    def batchable(self, signature: str) -> bool:
        """Whether rows of several requests may be run together."""

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """All outputs."""


@dataclass(slots=True)
class Work:
    """One request's inputs, and the future for its outputs."""

    servable: Runnable
    signature: str
    inputs: Arrays
    until: float
    """Its deadline, in the time of ``time.monotonic``."""
    outputs: Future[Arrays] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        """Its number of rows in a batch."""
        return next((len(a) for a in self.inputs.values()), 0)

    def key(self) -> Hashable:
        """Equal for requests that may be run together."""
        together = self.servable.batchable(self.signature) and len({len(a) for a in self.inputs.values()}) == 1
        if not together:
            return object()
        shapes = tuple(sorted((n, a.dtype.str, a.shape[1:]) for n, a in self.inputs.items()))
        return id(self.servable), self.signature, shapes


class Batcher:
    """Threads that run waiting requests, those of the kind that has waited longest first."""

    def __init__(self, threads: int, most: int) -> None:
        """``most`` rows of a batch, where several requests make one."""
        self._most = most
        self._ready = threading.Condition()
        self._waiting: OrderedDict[Hashable, deque[Work]] = OrderedDict()
        self._closed = False
        self._threads = [threading.Thread(target=self._serve, name=f"run-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> Future[Arrays]:
        """Queue a request; cancel its future to withdraw it."""
        key = work.key()
        with self._ready:
            self._waiting.setdefault(key, deque()).append(work)
            self._ready.notify()
        return work.outputs

    def close(self) -> None:
        """Run the waiting requests, and end."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while (batch := self._next()) is not None:
            if batch:
                run(batch)

    def _next(self) -> list[Work] | None:
        """The requests to run next, without withdrawn ones; None at the end."""
        with self._ready:
            while not self._waiting:
                if self._closed:
                    return None
                self._ready.wait()
            key, waiting = self._waiting.popitem(last=False)
            batch: list[Work] = []
            rows = 0
            while waiting and (not batch or rows + waiting[0].rows <= self._most):
                work = waiting.popleft()
                if work.until <= time.monotonic():
                    late = Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "its turn came too late")
                    _settle(work, late)
                elif work.outputs.set_running_or_notify_cancel():
                    batch.append(work)
                    rows += work.rows
            if waiting:
                self._waiting[key] = waiting
                self._ready.notify()
            return batch


def run(batch: Sequence[Work]) -> None:
    """Run requests of one kind together, and return each one's rows."""
    first = batch[0]
    if len(batch) == 1:
        _settle(first, _outcome(first))
        return
    joined = {name: np.concatenate([work.inputs[name] for work in batch]) for name in first.inputs}
    ends = np.cumsum([work.rows for work in batch])
    try:
        outputs = first.servable.run(first.signature, joined)
    except Exception:  # noqa: BLE001 - one request's fault must not become its neighbours': each for itself
        outputs = {}
    if not outputs or any(len(array) != ends[-1] for array in outputs.values()):
        for work in batch:
            _settle(work, _outcome(work))
        return
    for start, end, work in zip([0, *ends[:-1]], ends, batch, strict=True):
        work.outputs.set_result({name: array[start:end] for name, array in outputs.items()})


def _outcome(work: Work) -> Arrays | Exception:
    try:
        return work.servable.run(work.signature, work.inputs)
    except Exception as problem:  # noqa: BLE001 - it is handed to the one who asked
        return problem


def _settle(work: Work, outcome: Arrays | Exception) -> None:
    if work.outputs.cancelled():
        return
    if isinstance(outcome, Exception):
        work.outputs.set_exception(outcome)
    else:
        work.outputs.set_result(outcome)
