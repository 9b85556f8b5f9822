"""Sections that ask: throughput, open-loop, goodput, size, history, workers."""

from __future__ import annotations

import os

from load.bench import Bench
from load.driving import Run
from load.processes import CORES
from load.report import Curve, Row, in_words, plot
from load.requests import Answers
from load.synthetic import LONG, SHORT

__all__ = ["goodput", "history", "open_loop", "size", "throughput", "workers"]

CALLERS = (1, 8, 32, 64, 256)
OF_PEAK = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1)


def _figures(**runs: Run) -> dict[str, object]:
    return {
        name: {"rate": run.rate, "p50_ms": run.p50, "p99_ms": run.p99, "statuses": run.statuses, "busy": run.busy}
        | (_looked_at(run.answers) if run.answers else {})
        for name, run in runs.items()
    }


def _looked_at(answers: Answers) -> dict[str, object]:
    """Shares of those that were looked at."""
    n = max(answers.n, 1)
    return {"looked_at": answers.n, "whole": answers.whole / n, "degraded": answers.degraded / n}


def _callers(n: int) -> str:
    return "1 caller" if n == 1 else f"{n} callers"


def _note(run: Run) -> str:
    """What the figures alone do not say."""
    said = []
    if run.ok < 0.995:
        said.append(f"{run.ok:.0%} OK")
    if run.answers and run.answers.degraded:
        said.append(f"{run.answers.degraded / run.answers.n:.0%} degraded")
    return ", ".join(said)


def throughput(bench: Bench) -> None:
    """Closed loop: the demo's product with six sources, and with four."""
    for label in ("four",) if bench.quick else ("six", "four"):
        with bench.asked(label) as asked:
            for callers in (1, 32) if bench.quick else CALLERS:
                empty, real = asked.pair(callers=callers)
                note = _note(real) or (f"p50 {real.p50 - empty.p50:+.2f} ms" if callers == 1 else "")
                measure = f"{label}, {_callers(callers)}"
                figures = _figures(echo=empty, cuvee=real) | {"product": label, "callers": callers}
                ratio = real.rate / empty.rate
                bench.told(Row("throughput", measure, in_words(empty), in_words(real), ratio, note, figures))


def open_loop(bench: Bench) -> None:
    """Fixed rates, up to what the server can do and above; the ratio is of p99."""
    label = "four" if bench.quick else "six"
    with bench.asked(label) as asked:
        peak = asked.cuvee(callers=32).rate
        found = []
        for share in (0.5, 0.9) if bench.quick else OF_PEAK:
            rate = share * peak
            empty, real = asked.pair(rate=rate)
            found.append((rate, empty, real))
            figures = _figures(echo=empty, cuvee=real) | {"rate": rate, "of_peak": share}
            measure = f"{label}, {share:.0%} of peak"
            ratio = real.p99 / empty.p99
            bench.told(Row("open-loop", measure, in_words(empty), in_words(real), ratio, _note(real), figures))
    curves = [
        Curve(f"Cuvée, {label} sources", [(rate, real) for rate, _, real in found]),
        Curve("an echo", [(rate, empty) for rate, empty, _ in found]),
    ]
    plot(f"Recommend, {label} sources, one core: latency against rate", curves, bench.plot)


def goodput(bench: Bench) -> None:
    """OK within a second, with far more callers than can be served, against a few."""
    label = "four" if bench.quick else "six"
    with bench.asked(label) as asked:
        few, many = (asked.cuvee(callers=callers) for callers in (16, 400))
        note = _note(many) + " " + ", ".join(f"{n} x {s}" for s, n in sorted(many.statuses.items()) if s)
        ratio = many.rate / max(few.rate, 1e-9)
        figures = _figures(few=few, many=many)
        measure = f"{label}, 400 callers beside 16"
        bench.told(Row("goodput", measure, in_words(few), in_words(many), ratio, note.strip(), figures))


def size(bench: Bench) -> None:
    """Three sources over more and more items; the ratio is of p50 alone, to the smallest catalogue."""
    smallest = 0.0
    for label in ("20k", "100k") if bench.quick else ("20k", "100k", "1M"):
        with bench.asked(label) as asked:
            empty, alone = asked.pair()
            smallest = smallest or alone.p50
            figures = _figures(echo=empty, cuvee=alone) | {"product": label, "callers": 1}
            measure, note = f"{label}, {_callers(1)}, to the smallest", _note(alone)
            bench.told(Row("size", measure, in_words(empty), in_words(alone), alone.p50 / smallest, note, figures))
            empty, many = asked.pair(callers=32)
            figures = _figures(echo=empty, cuvee=many) | {"product": label, "callers": 32}
            measure = f"{label}, {_callers(32)}, to the echo"
            ratio = many.rate / empty.rate
            bench.told(Row("size", measure, in_words(empty), in_words(many), ratio, _note(many), figures))


def history(bench: Bench) -> None:
    """Users with ten events and with a thousand, of the same product; the ratio is of p50."""
    found: dict[str, list[Run]] = {}
    for name, users in (("10", range(LONG, LONG + SHORT)), ("1,000", range(LONG))):
        with bench.asked("20k", users=users) as asked:
            found[name] = [asked.cuvee(), asked.cuvee(callers=32)]
    for at, callers in enumerate((1, 32)):
        short, long = found["10"][at], found["1,000"][at]
        ratio = long.p50 / short.p50
        figures = _figures(short=short, long=long) | {"callers": callers}
        measure = f"1,000 events beside 10, {_callers(callers)}"
        bench.told(Row("history", measure, in_words(short), in_words(long), ratio, _note(long), figures))


def workers(bench: Bench) -> None:
    """One worker and two, on all cores, with the callers beside them; the ratio is of rates."""
    found = []
    for n in (1, 2):
        with bench.asked("four", workers=n, cores=CORES.all, callers_on=CORES.all) as asked:
            found.append(asked.cuvee(callers=32, connections=32))
    one, two = found
    note = f"{os.cpu_count()} cores, callers beside"
    ratio = two.rate / one.rate
    figures = _figures(one=one, two=two)
    bench.told(Row("workers", "four, 2 workers beside 1", in_words(one), in_words(two), ratio, note, figures))
