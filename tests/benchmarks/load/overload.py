"""The section overload: what far too many calls do to a server, and to those who ask it beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import grpc
import numpy as np
from cuvee.client import Client
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from reliability.callers import workers

from load.bench import Asked, Bench
from load.driving import Run, drive
from load.processes import CORES, echo, memory_of
from load.report import Row, in_words

__all__ = ["overload"]

EVERY = 0.02
"""Seconds between two checks of health, and between two calls after the storm."""
MB = 1e6
PATIENCE = 20.0


def overload(bench: Bench) -> None:
    """Open loop at a multiple of the peak, for a minute unless quick; the ratio is of goodput to the peak.

    Beside it, how soon a server refuses that does nothing else, on the same core at the same rate. One worker has a
    core of its own; several share all cores with their callers.
    """
    label = bench.product or ("four" if bench.quick else "six")
    cores = (CORES.server, CORES.callers) if bench.workers == 1 else (CORES.all, CORES.all)
    with bench.asked(label, workers=bench.workers, cores=cores[0], callers_on=cores[1]) as asked:
        peak = asked.cuvee(callers=64)
        seconds, bench.seconds = bench.seconds, bench.seconds if bench.quick else 60.0
        try:
            for times in bench.times:
                _storm(bench, asked, peak, times, cores[0])
        finally:
            bench.seconds = seconds


def _resident(asked: Asked) -> int:
    """Bytes of all processes that answer; pages that they share count once for each."""
    pid = asked.server.process.pid
    return sum(memory_of(one).rss for one in workers(asked.server) or [pid])


def _storm(bench: Bench, asked: Asked, peak: Run, times: float, cores: frozenset[int]) -> None:
    """One row."""
    before = _resident(asked)
    with _health(asked.server.address) as took:
        run = asked.cuvee(rate=times * peak.rate)
    recovery = _recovery(asked)
    with echo(0, "refusing", cores) as address:
        floor = drive(
            replace(asked.empty, address=address),
            rate=times * peak.rate, seconds=2.0, processes=asked.processes, cores=asked.callers_on,
        )  # fmt: skip
    grown = _resident(asked) - before
    health = float(np.percentile(took, 99)) * 1e3 if took else float("nan")
    named = {code.value[0]: code.name for code in grpc.StatusCode}
    statuses = ", ".join(f"{n} {named.get(status, status)}" for status, n in sorted(run.statuses.items()))
    note = (
        f"refusals p50 {run.refused_p50:.1f}, p99 {run.refused_p99:.1f} ms (of a server that only refuses "
        f"{floor.refused_p50:.1f}, {floor.refused_p99:.1f}), health p99 {health:.1f} ms, "
        f"RSS {grown / MB:+.0f} MB, well after {recovery:.1f} s; {statuses}; callers {run.busy:.0%} busy"
    )
    figures = {
        "goodput": run.rate, "peak": peak.rate, "refused_p50_ms": run.refused_p50, "refused_p99_ms": run.refused_p99,
        "floor_p50_ms": floor.refused_p50, "floor_p99_ms": floor.refused_p99, "health_p99_ms": health,
        "rss_bytes": grown, "recovery_s": recovery, "statuses": run.statuses, "times": times, "busy": run.busy,
    }  # fmt: skip
    ratio = run.rate / peak.rate
    bench.told(
        Row(
            "overload",
            f"{asked.product.label}, {bench.workers} worker(s), {times:g} x the peak",
            in_words(peak),
            in_words(run),
            ratio,
            note,
            figures,
        )
    )


@contextmanager
def _health(address: str) -> Iterator[list[float]]:
    """Seconds that health took to answer meanwhile, each second of which is asked fifty times."""
    took: list[float] = []
    over = threading.Event()

    def ask() -> None:
        with Client(address) as client:
            while not over.wait(EVERY):
                began = time.perf_counter()
                try:
                    client.health(timeout=PATIENCE)
                except grpc.RpcError:
                    took.append(PATIENCE)
                else:
                    took.append(time.perf_counter() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


def _recovery(asked: Asked) -> float:
    """Seconds until ten calls in a row are OK, without a retry."""
    request = pb.RecommendRequest(product=asked.product.name, user_id="1", page_size=10)
    began, row = time.monotonic(), 0
    with grpc.insecure_channel(asked.server.address, [("grpc.enable_retries", 0)]) as channel:
        stub = rpc.RecommendationServiceStub(channel)
        while row < 10 and time.monotonic() < began + PATIENCE:
            try:
                stub.Recommend(request, timeout=1)
                row += 1
            except grpc.RpcError:
                row = 0
            time.sleep(EVERY)
    return time.monotonic() - began - 10 * EVERY
