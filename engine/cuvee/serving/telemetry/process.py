"""What this process takes of the machine."""

from __future__ import annotations

import os
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cuvee.serving.telemetry.figures import Figures, Readings

__all__ = ["watch_process"]

SELF = Path("/proc/self")


def watch_process(figures: Figures) -> None:
    """Have the process's own figures read; those that this system does not tell are left out."""
    try:
        found = version("cuvee")
    except PackageNotFoundError:  # run from a checkout that is not installed
        found = "unknown"
    began = time.time()
    figures.watch("cuvee_build_info", lambda: {(found,): 1})
    figures.watch("cuvee_process_start_timestamp_seconds", lambda: {(): began})
    figures.watch("cuvee_process_cpu_seconds_total", lambda: {(): time.process_time()})
    if SELF.is_dir():
        figures.watch("cuvee_process_resident_memory_bytes", _memory)
        figures.watch("cuvee_process_open_fds", lambda: {(): _entries("fd")})
        figures.watch("cuvee_process_threads", lambda: {(): _entries("task")})


def _memory() -> Readings:
    pages = int((SELF / "statm").read_text().split()[1])
    return {(): pages * os.sysconf("SC_PAGE_SIZE")}


def _entries(folder: str) -> int:
    return sum(1 for _ in (SELF / folder).iterdir())
