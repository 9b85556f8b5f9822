"""Models that were replaced are closed when no request can be using them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from cuvee.recommender import Recommender
from cuvee.serving.deadline import BULK_PATIENCE

__all__ = ["Retiring"]

LINGER = 5.0
"""Seconds for which a replaced model is kept for running requests, on top of the longest call."""


class Retiring:
    """Of one server process."""

    def __init__(self, deadline: float) -> None:
        """``deadline``: seconds that a call takes at most."""
        self._longest = BULK_PATIENCE * deadline + LINGER
        self._waiting: list[list[Recommender[Any]]] = []

    def later(self, models: Iterable[Recommender[Any]]) -> None:
        """Close models, once no request can be using them any more."""
        those = list(models)
        self._waiting.append(those)

        def close() -> None:
            if those in self._waiting:
                self._waiting.remove(those)
                _close(those)

        asyncio.get_running_loop().call_later(self._longest, close)

    def close(self) -> None:
        """Close all of them now: the server has ended."""
        waiting, self._waiting = self._waiting, []
        for those in waiting:
            _close(those)


def _close(models: Iterable[Recommender[Any]]) -> None:
    for model in models:
        model.close()
