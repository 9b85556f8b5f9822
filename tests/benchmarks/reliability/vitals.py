"""Resident memory, open files and threads of a process, as the kernel counts them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Vitals", "settled", "steady"]


@dataclass(frozen=True)
class Vitals:
    """Of one process, or of several together."""

    rss: float
    """MiB of resident memory."""
    descriptors: int
    threads: int

    @classmethod
    def of(cls, *pids: int) -> Self:
        """Measured now; a process that has just ended counts nothing."""
        rss, descriptors, threads = 0.0, 0, 0
        for pid in pids:
            place = Path(f"/proc/{pid}")
            try:
                said = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line)
                rss += int(said["VmRSS"].split()[0]) / 1024
                threads += int(said["Threads"])
                descriptors += sum(1 for _ in (place / "fd").iterdir())
            except (FileNotFoundError, ProcessLookupError, KeyError):
                continue
        return cls(rss, descriptors, threads)

    def __str__(self) -> str:
        return f"{self.rss:.0f} MiB, {self.descriptors} descriptors, {self.threads} threads"


def settled(pid: int, descriptors: int, threads: int, seconds: float = 20.0) -> Vitals:
    """Wait until a process holds no more than so many descriptors and threads; its vitals then, or at the end."""
    until = time.monotonic() + seconds
    while True:
        found = Vitals.of(pid)
        if (found.descriptors <= descriptors and found.threads <= threads) or time.monotonic() > until:
            return found
        time.sleep(0.1)


def steady(pid: int, seconds: float = 30.0) -> Vitals:
    """Wait until a process's memory stays as it is for a second: what its calls began has ended; its vitals then."""
    until = time.monotonic() + seconds
    found = [Vitals.of(pid)]
    while time.monotonic() < until:
        time.sleep(0.2)
        found = [*found[-5:], Vitals.of(pid)]
        if len(found) > 5 and max(one.rss for one in found) - min(one.rss for one in found) < 5:
            break
    return found[-1]
