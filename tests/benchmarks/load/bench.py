"""What every section needs: how long, how many, and a server that is asked beside the echo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cuvee.testing.server import RunningServer

from load import echo as echo_server
from load.driving import Run, Target, drive
from load.processes import CORES, echo, serving
from load.products import KEPT, Fitted, fitted
from load.report import Row, console
from load.requests import METHOD, write_requests

__all__ = ["Asked", "Bench"]

BUSY = 0.7
"""A process of callers that is busier than this is not trusted to be faster than what it asks."""


@dataclass
class Bench:
    """One run of the benchmark."""

    quick: bool
    seconds: float
    """For which one figure is counted."""
    plot: Path
    times: Sequence[float] = (3, 10)
    """Multiples of the peak, for overload."""
    workers: int = 1
    """For overload."""
    product: str = ""
    """For overload (six, or four with ``quick``, where none is named) and for fit."""
    members: Sequence[str] = ()
    """For fit; all where none is named."""
    rows: list[Row] = field(default_factory=list)

    def told(self, row: Row) -> None:
        """Keep a row for the table, and say it at once."""
        self.rows.append(row)
        ratio = "" if row.ratio is None else f"  ratio {row.ratio:.3f}"
        beside = f", beside {row.beside}" if row.beside else ""
        console.print(f"{row.section}: {row.measure}: {row.found}{beside}{ratio}  {row.note}", soft_wrap=True)

    @contextmanager
    def asked(
        self,
        label: str,
        *,
        users: range | None = None,
        workers: int = 1,
        cores: frozenset[int] = CORES.server,
        callers_on: frozenset[int] = CORES.callers,
    ) -> Iterator[Asked]:
        """A product's server beside an echo that answers as many bytes, each on the server's core, in turns."""
        product = fitted(label)
        bodies = KEPT / "requests" / f"{label}.bin"
        write_requests(product, bodies, users=users, n=5_000 if self.quick else 50_000)
        options = ("--workers", str(workers))
        ready = "ready" if workers == 1 else "workers ready"
        with serving(product, cores=cores, options=options, until=ready) as server:
            real = Target(server.address, METHOD, bodies)
            first = drive(real, callers=2, seconds=1, warm_up=2, cores=callers_on, look=True)
            with echo(round(first.n_bytes) or 2500, cores=cores) as address:
                empty = replace(real, address=address, path=echo_server.METHOD)
                yield Asked(self, product, server, real, empty, first.n_bytes, callers_on)


@dataclass
class Asked:
    """A server and its echo."""

    bench: Bench
    product: Fitted
    server: RunningServer
    real: Target
    empty: Target
    n_bytes: float
    callers_on: frozenset[int]
    processes: int = 0
    """Of callers; found by asking the echo."""
    best: float = 0.0
    """The highest rate of the echo so far."""

    def echo(self, *, callers: int = 1, rate: float = 0.0, connections: int = 0) -> Run:
        """What the echo does with the same load."""
        return self._drive(self.empty, callers, rate, connections)

    def cuvee(self, *, callers: int = 1, rate: float = 0.0, connections: int = 0) -> Run:
        """What Cuvée does with it."""
        return self._drive(self.real, callers, rate, connections)

    def pair(self, *, callers: int = 1, rate: float = 0.0) -> tuple[Run, Run]:
        """The echo, then Cuvée."""
        return self.echo(callers=callers, rate=rate), self.cuvee(callers=callers, rate=rate)

    def _drive(self, target: Target, callers: int, rate: float, connections: int) -> Run:
        self.processes = self.processes or self._enough()
        run = drive(
            target,
            callers=callers,
            rate=rate,
            seconds=self.bench.seconds,
            connections=connections,
            processes=self.processes,
            cores=self.callers_on,
            look=target is self.real,
        )
        if target is self.real and run.answers and run.answers.n and run.answers.whole < run.answers.n:
            console.print(f"  {run.answers.n - run.answers.whole} of {run.answers.n} answers looked at are not whole")
        return run

    def _enough(self) -> int:
        """The fewest processes of callers that are faster than the echo, and what they could do, said aloud."""
        processes = 1
        while True:
            run = drive(self.empty, callers=32, seconds=1, warm_up=0.5, processes=processes, cores=self.callers_on)
            if run.busy < BUSY or processes >= len(self.callers_on):
                break
            processes += 1
        console.print(
            f"{self.product.label}: answers have {self.n_bytes:,.0f} bytes; {processes} process(es) of callers, "
            f"{run.busy:.0%} busy at {run.rate:,.0f} echoes a second: they could take in {run.ceiling:,.0f}",
            soft_wrap=True,
        )
        return processes
