"""What counting and tracing cost: ``python tests/benchmarks/telemetry.py``. Processor time, of this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, cast

import numpy as np
from cuvee import tracing
from cuvee.artifacts.snapshot import Snapshot
from cuvee.config.telemetry import Traces as TracesConfig
from cuvee.ranking.ask import Report, Status
from cuvee.ranking.fallback import Filled
from cuvee.ranking.pipeline import Answer, Scored
from cuvee.serving.telemetry.exposition import packed
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.telemetry.rpcs import Rpc
from cuvee.serving.telemetry.shown import Shown
from cuvee.serving.tracing.calls import asked_in
from cuvee.serving.tracing.traces import Traces

SOURCES, CANDIDATES, K = 6, 500, 10
METHOD = "/cuvee.v1.RecommendationService/Recommend"
STEPS = 20
"""Spans of a run of six sources."""


class _Context:
    """What the guard reads of a call."""

    @staticmethod
    def invocation_metadata() -> tuple[tuple[str, str], ...]:
        return (("user-agent", "grpc-python"),)


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name


class _Plan:
    sources = tuple(_Named(f"source-{s}") for s in range(SOURCES))
    fallback: tuple[_Named, ...] = ()


LEVELS = np.linspace(0.01, 0.99, 99).tolist()


class _Entry:
    calibration: ClassVar = {"quantile": {"levels": LEVELS, "quantiles": LEVELS}}


class _Manifest:
    models: ClassVar = {source.name: _Entry for source in _Plan.sources}


class _Snapshot:
    plan, manifest, version = _Plan, _Manifest, "1"


def answer_of(b: int) -> Answer:
    """A finished batch of b lists."""
    rng = np.random.default_rng(b)
    shown = rng.random((SOURCES, b, K), np.float32)
    items = np.tile(np.arange(K, dtype=np.int32), (b, 1))
    ones = np.ones((SOURCES, b), np.float32)
    return Answer(
        Scored(items, shown.sum(axis=0), shown, shown, shown, np.ones((SOURCES, b, K), np.int32)),
        np.zeros((b, K), np.bool_), ones, ones, np.zeros(b, np.int32), Filled.none(b),
        [Report(source.name, Status.LIVE, latency=0.002) for source in _Plan.sources],
        np.full((SOURCES, b), CANDIDATES, np.int32), np.ones((SOURCES, b), np.bool_),
        rng.random((SOURCES, b, CANDIDATES), np.float32),
    )  # fmt: skip


def seconds(work: Callable[[], object], times: int) -> float:
    """Processor seconds of one call, the best of five tries."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - began) / times)
    return best


def traced(figures: Figures) -> None:
    """What traces cost: off, a call that is not sampled, one that is, and the steps of a run."""

    def call_of(traces: Traces) -> Callable[[], None]:
        def call() -> None:
            asked = asked_in(_Context, METHOD, traces)
            with tracing.span("admission"):
                pass
            if asked.span is not None:
                asked.span.end("OK")

        return call

    def steps() -> None:
        for _ in range(STEPS):
            with tracing.span("a step"):
                pass

    print(f"traces off: a call {seconds(call_of(Traces(TracesConfig(), figures)), 20_000) * 1e6:.1f} us")
    print(f"  ... and the {STEPS} steps of a run {seconds(steps, 5_000) * 1e6:.1f} us")
    address = "http://127.0.0.1:9"  # nobody is there: spans are made, and lost
    for sample in (0.0, 1.0):
        traces = Traces(TracesConfig(endpoint=address, sample=sample), figures)
        print(f"a call, {sample:.0%} sampled: {seconds(call_of(traces), 2_000) * 1e6:.1f} us")
        span = traces.call(METHOD, None, "", "")
        with tracing.inside(span):
            if span is not None:
                print(f"  ... and the {STEPS} steps of a run {seconds(steps, 200) * 1e6:.0f} us")
        traces.close()
    tracing.begin(None)


def main() -> None:
    """Print what a request costs in batches of several sizes, and what a scrape's note costs each second."""
    figures = Figures()
    off = Traces(TracesConfig(), figures)
    rpc, shown = Rpc(figures, "/cuvee.v1.RecommendationService/Recommend"), Shown(figures, "movies")

    def one() -> None:
        rpc.answered(time.perf_counter())
        asked_in(_Context, METHOD, off)

    call = seconds(one, 20_000)
    print(f"a call (how it ended, its time, its request id): {call * 1e6:.1f} us")
    for b in (1, 8, 64):
        answer, troubled = answer_of(b), [False] * b
        run = seconds(lambda: shown.note(cast(Snapshot, _Snapshot), answer, troubled, shows=True, usual=True), 1024)  # noqa: B023
        print(f"a run of {b} lists: {run * 1e6:.1f} us, {(call + run / b) * 1e6:.1f} us a request with the call")
    traced(figures)
    print(f"the note of all figures, once a second: {seconds(lambda: packed(figures.samples()), 100) * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
