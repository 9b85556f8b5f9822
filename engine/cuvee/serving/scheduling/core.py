"""The core: one run computes at a time, and what waits meanwhile is the next batch.

Python computes in one thread at a time however many there are, so several runs at once would only be
smaller batches that hinder each other. A thread that takes the core makes a batch of whatever waits
at that moment, computes it to the end, and takes the next. Where a run waits for something else (a model
server), it gives the core away and comes back before new work begins.

A source that computes runs in that thread, without a hop. Should it not come back, a watchdog takes the core
from the thread and lets the run go on in another one; the lost thread ends when its call does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from cuvee.serving.workers.suspects import Board, Marks

__all__ = ["Core", "Hold", "Lost", "Offer"]

log = structlog.get_logger(__name__)

TICK = 0.01
"""Seconds between two looks of the watchdog."""
MOST_THREADS = 64
"""Runs that wait for something at the same time, and threads that were lost."""


IDLE = 10.0
"""Seconds after which a thread without work ends, where another is idle as well."""


class Lost(BaseException):
    """Raised in a thread from which the core was taken, so that it ends its run. Not for plugins to catch."""


def _everyone(_at: int) -> bool:
    return True


def _nothing() -> None:
    """Nothing takes the place of the work."""


class Hold:
    """A thread's hold of the core, for one piece of work."""

    def __init__(self) -> None:
        self.lost = False
        self.wants: Callable[[int], bool] = _everyone
        """Whether somebody still waits for the answer to a row of the run."""
        self.overdue_at = float("inf")
        """When (``time.monotonic``) the watchdog takes the core away; infinity while nothing can hang."""
        self.looks = 0
        """How many looks the watchdog must have had at the block until then."""
        self.overdue: Callable[[], Offer | None] = _nothing
        """Called by the watchdog when it does; gives the work that takes this one's place."""
        self._taken = time.monotonic()
        self._before = 0.0
        self.processor = 0.0
        """Processor seconds that the thread had used when it took the core."""
        self.ends = float("inf")
        """When the watchdog takes the core away whatever the thread is at: nobody waits for its answer any more."""

    @property
    def seconds(self) -> float:
        """For how long the core was held; while this is asked for, it is."""
        return self._before + time.monotonic() - self._taken

    def pause(self) -> None:
        """The core is given away for a while."""
        self._before = self.seconds

    def go_on(self) -> None:
        """It has come back."""
        self._taken = time.monotonic()


Offer = Callable[[Hold], None]
"""Work that is done by the thread that takes the core."""


class Core:
    """A lock on this process's computing, with the threads that take it in turn."""

    def __init__(self, marks: Marks | None = None) -> None:
        self.marks = marks or Board().marks()
        """Where calls of sources are marked, for the supervisor of this process, if it has one."""
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._back = threading.Condition(self._lock)
        self._offers: deque[Offer] = deque()
        self._holder: Hold | None = None
        self._returning = 0
        self._idling = 0
        self._threads = 0
        self._watching = False
        self._closed = False

    def offer(self, work: Offer) -> None:
        """Have work done when its turn comes. From any thread."""
        with self._lock:
            self._offers.append(work)
            self._hand_on()

    @contextmanager
    def released(self, hold: Hold) -> Iterator[None]:
        """Give the core to others while this thread waits for something else."""
        with self._lock:
            if hold.lost:
                raise Lost
            hold.pause()
            self._holder = None
            self._hand_on()
        try:
            yield
        finally:
            with self._lock:
                self._returning += 1
                while self._holder is not None:
                    self._back.wait()
                self._returning -= 1
                self._holder = hold
                hold.go_on()

    @contextmanager
    def watched(self, hold: Hold, seconds: float, overdue: Callable[[], Offer | None]) -> Iterator[None]:
        """Let the watchdog take the core away if this block takes longer; ``overdue`` gives what goes on then.

        Raises:
            Lost: at the end of the block, when that happened.
        """
        hold.overdue = overdue
        hold.looks = int(seconds / TICK / 2)
        hold.overdue_at = time.monotonic() + seconds
        try:
            yield
        finally:
            with self._lock:
                hold.overdue_at, hold.overdue = float("inf"), _nothing
                lost = hold.lost
            if lost:
                raise Lost

    def close(self) -> None:
        """Let idle threads end."""
        with self._lock:
            self._closed = True
            self._idle.notify_all()

    def _hand_on(self) -> None:
        """With the lock: wake whoever may take the core."""
        if self._holder is not None:
            return
        if self._returning:
            self._back.notify()
        elif self._offers:
            if self._idling:
                self._idle.notify()
            elif self._threads < MOST_THREADS:
                self._start()

    def _start(self) -> None:
        """One more thread. Where there can be none, those that there are do the work; without any it is an error."""
        try:
            if not self._watching:
                threading.Thread(target=self._watch, name="core-watchdog", daemon=True).start()
                self._watching = True
            threading.Thread(target=self._serve, name=f"core-{self._threads + 1}", daemon=True).start()
        except RuntimeError:
            if not self._threads:
                raise
        else:
            self._threads += 1

    def _serve(self) -> None:
        hold: Hold | None = None
        while True:
            with self._lock:
                if hold is not None:
                    if hold.lost:
                        self._threads -= 1
                        self._hand_on()
                        return
                    self._holder = None
                    if self._returning:
                        self._back.notify()
                    # what is offered this thread takes itself: to wake another would cost two switches for nothing
                while self._holder is not None or self._returning or not self._offers:
                    if self._closed:
                        self._threads -= 1
                        return
                    self._idling += 1
                    called = self._idle.wait(IDLE)
                    self._idling -= 1
                    if not called and self._idling and not self._offers:  # one stays, so that the next batch has it
                        self._threads -= 1
                        return
                work = self._offers.popleft()
                hold = self._holder = Hold()
            hold.processor = time.thread_time()
            try:
                work(hold)
            except Lost:
                hold.lost = True
            except BaseException:  # a rule's sys.exit(), too: the core goes on
                log.exception("a run failed in an unforeseen way")
            del work

    def _watch(self) -> None:
        before: tuple[Hold | None, float] = None, 0.0
        looks = 0
        while not self._closed:
            time.sleep(TICK)
            hold = self._holder
            if hold is None:
                continue
            # where this thread gets no turns, neither does the one that is watched: that is no fault of its own
            block = hold, hold.overdue_at
            looks, before = (looks + 1 if block == before else 0), block
            if time.monotonic() < min(hold.overdue_at, hold.ends):
                continue
            with self._lock:
                now = time.monotonic()
                late = now >= hold.overdue_at and looks >= hold.looks and block == (hold, hold.overdue_at)
                if self._holder is not hold or not (late or now >= hold.ends):
                    continue
                hold.lost = True
                instead = hold.overdue() if late else None
                if instead is not None:
                    self._offers.appendleft(instead)
                self._holder = None
                self._hand_on()
