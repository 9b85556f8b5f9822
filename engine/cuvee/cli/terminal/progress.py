"""Progress of ``fit`` as bars on stderr, one per recommender."""

from __future__ import annotations

import json
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cuvee import Progress as Told

__all__ = ["Bars"]

FILE = "CUVEE_PROGRESS_FILE"
SELDOM = 0.2
"""Seconds between two writes of the file."""


class Bars(AbstractContextManager["Bars"]):
    """A context that returns a progress bar for a name; a new name ends the bar before.

    Shows nothing where stderr is not a terminal. Where the environment names a file by CUVEE_PROGRESS_FILE,
    ``{"step", "done", "total"}`` is written there, for the server that has started the command.
    """

    def __init__(self, *, hidden: bool = False) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=console,
            transient=True,
            disable=hidden or not console.is_terminal,
        )
        self._current: TaskID | None = None
        named = os.environ.get(FILE)
        self._file = Path(named) if named else None
        self._written = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_current()
        self._bars.stop()

    def __call__(self, name: str) -> Told:
        """Begin a bar."""
        self._end_current()
        task = self._current = self._bars.add_task(name, total=None, note="")

        def told(done: float, total: float, note: str = "") -> None:
            self._bars.update(task, completed=done, total=total, note=note)
            self._write(name, done, total)

        self._write(name, 0, 1, at_once=True)
        return told

    def _write(self, step: str, done: float, total: float, *, at_once: bool = False) -> None:
        if self._file is None or not (at_once or time.monotonic() > self._written + SELDOM):
            return
        self._written = time.monotonic()
        aside = self._file.with_suffix(".next")
        aside.write_text(json.dumps({"step": step, "done": done, "total": total}))
        aside.replace(self._file)

    def _end_current(self) -> None:
        if self._current is None:
            return
        total = self._bars.tasks[self._current].total or 1
        self._bars.update(self._current, total=total, completed=total)
        self._bars.stop_task(self._current)
        self._current = None
