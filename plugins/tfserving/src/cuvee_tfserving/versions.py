"""The item vectors of the version that answers.

User and item vectors only fit together when one model made both. When the server swaps models, the
answer names the new version; its item vectors, which are beside the new SavedModel, are then read.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
from cuvee import Entities
from cuvee.recommender import DegradedReason, Floats, SourceFailure

from cuvee_tfserving import checksums
from cuvee_tfserving.client import Asked, ModelClient
from cuvee_tfserving.fitting.artefact import EXTRA, FILES, Artefact, beside

__all__ = ["Versions"]

KEPT = 2
"""How many versions' vectors are kept: during a swap answers of both arrive."""
BATCH = 4096
"""How many new items are encoded at once."""
AGAIN_AFTER = 5.0
"""Seconds until new items are tried again, when the model could not encode them."""


class Versions:
    """Version -> its artefact, with vectors for newer items."""

    def __init__(
        self, fitted: Artefact, root: Path, asked: Asked, signature: str, client: ModelClient, items: Entities
    ) -> None:
        self._fitted = fitted
        self._root = root
        self._asked = asked
        self._signature = signature
        self._client = client
        self._items = items
        self._ready: dict[int, Artefact] = {}
        self._again: dict[int, float] = {}
        self._loading: dict[tuple[int, int], asyncio.Task[Artefact]] = {}
        self.current = fitted
        """The artefact of the version that answered last."""

    async def of(self, version: int) -> Artefact:
        """The artefact of a version that answered (0: the server does not say which).

        Raises:
            SourceFailure: ERROR, if its item vectors are not at hand.
        """
        ready = self._ready.get(version)
        if ready is None or self._again.get(version, time.monotonic()) < time.monotonic():
            # one load for all waiting calls, finished even when the first caller is cancelled
            key = id(asyncio.get_running_loop()), version
            if key not in self._loading:
                task = asyncio.ensure_future(self._load(version))
                self._loading[key] = task
                task.add_done_callback(lambda done: self._loaded(key, done))
            ready = await asyncio.shield(self._loading[key])
        self.current = ready
        return ready

    def _loaded(self, key: tuple[int, int], task: asyncio.Task[Artefact]) -> None:
        self._loading.pop(key, None)
        if not task.cancelled():
            task.exception()  # the exception is retrieved, so that asyncio does not warn where nobody waits any more

    async def _load(self, version: int) -> Artefact:
        base = self._fitted if version in {0, self._fitted.version} else await asyncio.to_thread(self._read, version)
        self._again.pop(version, None)
        ready = base
        if base.vectors is not None and base.features is not None and len(self._items) > len(base.vectors):
            try:
                new = await self._encode(base, version)
                ready = base.with_vectors(np.concatenate([base.vectors, new]))
            except SourceFailure:
                # known items are still scored; new items get no opinion until the next try
                self._again[version] = time.monotonic() + AGAIN_AFTER
        self._ready[version] = ready
        for old in list(self._ready)[:-KEPT]:
            del self._ready[old]
        return ready

    def _read(self, version: int) -> Artefact:
        """The published version's artefact, cut to this catalogue."""
        missing = f"the model server answers with version {version}, whose item vectors are not at hand"
        try:
            folder = beside(self._root, self._asked.name, version)
            there = [f"{EXTRA}/{name}" for name in FILES if (folder / name).exists()]
            if there:
                checksums.check(folder.parent, *there)
            found = Artefact.read(folder, version, self._fitted.n_items)
        except Exception as problem:
            raise SourceFailure(DegradedReason.ERROR, missing) from problem
        if (found.vectors is None) != (self._fitted.vectors is None):
            raise SourceFailure(DegradedReason.ERROR, missing)
        return found if found.vectors is None else found.with_vectors(found.vectors[: len(self._items)])

    async def _encode(self, base: Artefact, version: int) -> Floats:
        """float32[N - n, d]: the item tower's vectors for items newer than the model."""
        if base.features is None or base.vectors is None:
            raise ValueError("only a model with an item tower encodes items")
        features = await asyncio.to_thread(base.features.matrix, self._items, len(base.vectors))
        asked = Asked(self._asked.name, version) if version else self._asked
        parts = []
        for at in range(0, len(features), BATCH):
            part = features[at : at + BATCH]
            predicted = await self._client.predict(asked, self._signature, {"features": part})
            parts.append(predicted.floats("vector", (len(part), base.vectors.shape[1])))
        return np.concatenate(parts)
