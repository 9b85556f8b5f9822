"""Counters, gauges and histograms of one process, kept in plain numbers until somebody asks.

The names are those of :mod:`cuvee.serving.telemetry.named`. Rare things are counted by :meth:`Figures.count`, from any
thread. What happens in each request holds on to its counter or histogram and adds to it without a lock, in one thread.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import structlog

from cuvee.serving.telemetry.named import NAMED

__all__ = ["Counter", "Figures", "Histogram", "Readings", "Sample"]

log = structlog.get_logger(__name__)

MOST_SERIES = 2000
"""Combinations of labels of one name; further ones are left out and counted, so that memory stays bounded."""
LEFT_OUT = "cuvee_series_left_out_total"

T = TypeVar("T")
Labels = tuple[str, ...]
Readings = Mapping[Labels, float]
"""Values of labels -> a gauge or counter."""


class Sample(NamedTuple):
    """One series at one moment."""

    name: str
    labels: Labels
    value: float
    """Of a counter or gauge; the sum of a histogram's observations."""
    buckets: tuple[int, ...] = ()
    """A histogram's observations per bucket, the one without an upper bound last; not cumulated."""


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, by: float = 1.0) -> None:
        """Without a lock: for the one thread that adds to this counter."""
        self.value += by


class Histogram:
    """Observations, counted in buckets."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Without a lock: for the one thread that adds to this histogram."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Figures:
    """The figures of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[Labels, Counter]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        self._read: dict[str, list[Callable[[], Readings]]] = {}
        self._before: list[Callable[[], None]] = []

    def count(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Add to a counter, from any thread.

        Raises:
            KeyError: no counter of this name is declared.
            ValueError: it has other labels.
        """
        counter = self.counter(name, *labels)
        with self._lock:
            counter.value += by

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add an observation to a histogram, from any thread; errors as in :meth:`count`."""
        histogram = self.histogram(name, *labels)
        with self._lock:
            histogram.add(value)

    def counter(self, name: str, *labels: str) -> Counter:
        """The counter itself; errors as in :meth:`count`."""
        found = self._counters.get(name, {}).get(labels)
        return found or self._made(self._counters, "counter", name, labels, Counter)

    def histogram(self, name: str, *labels: str) -> Histogram:
        """The histogram itself; errors as in :meth:`count`."""
        found = self._histograms.get(name, {}).get(labels)
        return found or self._made(self._histograms, "histogram", name, labels, lambda: Histogram(NAMED[name].bounds))

    def watch(self, name: str, read: Callable[[], Readings]) -> None:
        """Have a gauge (or a counter that is kept elsewhere) read whenever somebody asks.

        ``read`` is called on the event loop. Several may give one name's values; of equal labels the later one's hold.

        Raises:
            KeyError: the name is not declared.
        """
        if NAMED[name].kind == "histogram":
            raise KeyError(name)
        with self._lock:
            self._read.setdefault(name, []).append(read)

    def before(self, call: Callable[[], None]) -> None:
        """Have this called, on the event loop, before anything is read: what was put aside is counted then."""
        self._before.append(call)

    def samples(self) -> Iterator[Sample]:
        """Everything at this moment; on the event loop."""
        for call in list(self._before):
            try:
                call()
            except Exception:
                log.exception("figures cannot be counted")
        with self._lock:
            counters = {name: list(series.items()) for name, series in self._counters.items()}
            histograms = {name: list(series.items()) for name, series in self._histograms.items()}
            read = {name: list(readers) for name, readers in self._read.items()}
        for name, plain in counters.items():
            for labels, counter in plain:
                yield Sample(name, labels, counter.value)
        for name, series in histograms.items():
            for labels, one in series:
                yield Sample(name, labels, one.sum, tuple(one.buckets))
        for name, readers in read.items():
            values: dict[Labels, float] = {}
            for reader in readers:
                try:
                    values.update(reader())
                except Exception:
                    log.exception("a figure cannot be read", name=name)
            for labels, value in values.items():
                yield Sample(name, labels, float(value))

    def _made(self, kept: dict[str, dict[Labels, T]], kind: str, name: str, labels: Labels, make: Callable[[], T]) -> T:
        named = NAMED[name]
        if named.kind != kind:
            raise KeyError(f"{name} is a {named.kind}, not a {kind}")
        if len(labels) != len(named.labels):
            raise ValueError(f"{name} has the labels {named.labels}, not {labels}")
        with self._lock:
            series = kept.setdefault(name, {})
            if labels not in series and len(series) >= MOST_SERIES:
                self._counters.setdefault(LEFT_OUT, {}).setdefault((name,), Counter()).value += 1
                return make()
            return series.setdefault(labels, make())
