"""Leaves this process's figures where they are exported from, every few seconds."""

from __future__ import annotations

import asyncio

from cuvee.serving.telemetry.board import Slot
from cuvee.serving.telemetry.exposition import packed
from cuvee.serving.telemetry.figures import Figures

__all__ = ["publish"]

EVERY = 1.0
"""Seconds."""


async def publish(figures: Figures, slot: Slot | None) -> None:
    """Until cancelled, and once more then; nothing without a slot."""
    if slot is None:
        return
    try:
        while True:
            slot.write(packed(figures.samples()))
            await asyncio.sleep(EVERY)
    finally:
        slot.write(packed(figures.samples()))
