"""Deadlines: points in the time of ``time.monotonic``."""

from __future__ import annotations

import time

__all__ = ["BULK_PATIENCE", "left_until"]

BULK_PATIENCE = 4
"""By what factor a batch's deadline is longer than a single call's: it is larger, and no person waits for it."""


def left_until(deadline: float) -> float:
    """Seconds until a deadline; below 0 when it has passed."""
    return deadline - time.monotonic()
