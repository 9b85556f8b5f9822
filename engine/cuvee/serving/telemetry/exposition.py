"""From the workers' notes to what Prometheus reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cuvee.serving.telemetry.board import Board
from cuvee.serving.telemetry.figures import Labels, Sample
from cuvee.serving.telemetry.named import NAMED, Named

__all__ = ["Exposition", "packed"]

STALE = 5.0
"""Seconds after which a worker that leaves no notes counts as down: it hangs, or it is gone."""
WORKER = "worker"


def packed(samples: Iterable[Sample]) -> bytes:
    """A note that holds the samples."""
    return json.dumps(list(samples), separators=(",", ":")).encode()


class Exposition(Collector):
    """All workers' figures, each with the worker's number as a label.

    They are not added up here: a worker that takes another's place begins at 0, which Prometheus understands of a
    series of its own, and not of a sum. Of a worker that is down its counters stay, its gauges do not.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is is known when it is asked for."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One family for each name that any worker has a value of."""
        families: dict[str, Metric] = {}
        for number, slot in enumerate(self._board.slots, start=1):
            note = slot.read()
            up = note is not None and note.age < STALE
            _add(families, Sample("cuvee_worker_up", (), float(up)), number)
            for name, labels, value, buckets in json.loads(note.payload) if note else ():
                if name in NAMED and (up or NAMED[name].kind != "gauge"):
                    _add(families, Sample(name, tuple(labels), value, tuple(buckets)), number)
        yield from families.values()


def _add(families: dict[str, Metric], sample: Sample, worker: int) -> None:
    named = NAMED[sample.name]
    if sample.name not in families:
        families[sample.name] = _family(sample.name, named)
    family, labels = families[sample.name], (*sample.labels, str(worker))
    if isinstance(family, HistogramMetricFamily):
        family.add_metric(labels, _cumulated(named.bounds, sample.buckets), sample.value)
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily):
        family.add_metric(labels, sample.value)


def _family(name: str, named: Named) -> Metric:
    labels: Labels = (*named.labels, WORKER)
    if named.kind == "counter":
        return CounterMetricFamily(name, named.text, labels=labels)
    if named.kind == "gauge":
        return GaugeMetricFamily(name, named.text, labels=labels)
    return HistogramMetricFamily(name, named.text, labels=labels)


def _cumulated(bounds: Sequence[float], buckets: Sequence[int]) -> list[tuple[str, float]]:
    names = [*(repr(bound) for bound in bounds), "+Inf"]
    return list(zip(names, (float(n) for n in accumulate(buckets)), strict=True))
