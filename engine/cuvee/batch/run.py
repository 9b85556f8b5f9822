"""Carrying a job out: in this process, or in several. Who makes which part is decided here, and nowhere else.

A place to run (:data:`Place`) is a function that gets the job and the numbers of the parts, and yields each part as it
is done, in any order. What it runs is ``Worker(job).make(number)``, on whatever machine: a job is plain values, and
everything else lies in its target.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeAlias

import structlog

from cuvee.batch.job import Job
from cuvee.batch.worker import Done, Worker
from cuvee.errors import CuveeError, OperatorError, UnavailableError

__all__ = ["Place", "here", "in_processes"]

Place: TypeAlias = Callable[[Job, Sequence[int]], Iterator[Done]]


def here(job: Job, numbers: Sequence[int]) -> Iterator[Done]:
    """In this process, one part after another."""
    with Worker(job) as worker:
        for number in numbers:
            yield worker.make(number)


def in_processes(count: int) -> Place:
    """In so many processes of this machine, each with models of its own that it maps from the same files."""

    def run(job: Job, numbers: Sequence[int]) -> Iterator[Done]:
        context = multiprocessing.get_context("spawn")  # a fork would copy threads and gRPC
        with ProcessPoolExecutor(min(count, len(numbers)), context, initializer=_begin, initargs=(job,)) as pool:
            running = [pool.submit(_make, number) for number in numbers]
            try:
                for done in as_completed(running):
                    yield done.result()
            except BrokenProcessPool:
                raise UnavailableError(
                    "a process ended (was it killed, or out of memory?); the same command goes on with what is missing"
                ) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    return run


_WORKERS: list[Worker | CuveeError] = []
"""This process's own, once it is begun: a pool calls plain functions."""


def _begin(job: Job) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for the command's output
    try:
        _WORKERS.append(Worker(job))
    except CuveeError as problem:  # a pool would only say that it is broken: the first part tells it
        _WORKERS.append(_plain(problem))


def _make(number: int) -> Done:
    worker = _WORKERS[0]
    if isinstance(worker, CuveeError):
        raise worker
    try:
        return worker.make(number)
    except CuveeError as problem:
        raise _plain(problem) from None


def _plain(problem: CuveeError) -> CuveeError:
    """The same as an error that passes from process to process: some have constructors of their own."""
    kind = UnavailableError if isinstance(problem, UnavailableError) else OperatorError
    return kind(str(problem))
