"""The ``tfserving`` recommender: a deep model on a model server, asked once for each batch.

The model turns a history into a user's vector. The items with the nearest vectors, which are in this
process, are proposed, and scores are the same products. A model without vectors (its signature scores
pairs) is asked for scores instead. The model's only input is the history, so unknown users are served
like any others.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from cuvee import Catalog, Dataset, Entities
from cuvee.kernels import take
from cuvee.recommender import (
    Candidates,
    DegradedReason,
    Floats,
    Ints,
    Offsets,
    Progress,
    Queries,
    Recommender,
    Serves,
    SourceFailure,
)

from cuvee_tfserving.client import Asked, ModelClient, Predicted, Status
from cuvee_tfserving.config import EMBEDDED, TfServingConfig
from cuvee_tfserving.failures import invalid
from cuvee_tfserving.fitting.artefact import Artefact, beside
from cuvee_tfserving.fitting.embedded import Embedded
from cuvee_tfserving.fitting.publishing import newest, publish
from cuvee_tfserving.fitting.trainer import train
from cuvee_tfserving.fitting.trial import serve_own, served_for_fit
from cuvee_tfserving.memory import Memory
from cuvee_tfserving.products import gathered, scored_all
from cuvee_tfserving.sequences import sequences
from cuvee_tfserving.versions import Versions

__all__ = ["TfServing"]

T = TypeVar("T")
Inputs = dict[str, Ints | Floats]
"""A signature's inputs by their names."""

MOST_SCORED = 20_000
"""Up to this many items a model without vectors scores all to propose some; beyond, it only scores."""
ROWS = 64
"""The number of rows that the deadline is for, the engine's largest online batch; more rows get more time."""
MOST_KEPT = 1 << 23
"""How many scores of a batch are kept from its candidates to its scores, 32 MiB; beyond, they are computed again."""
LOOP_FLOPS = 1 << 23
"""How many multiplications are done on the event loop, about a millisecond; more are done in a thread."""


@dataclass(slots=True)
class _Said:
    """The model's answer for a batch."""

    rows: Offsets
    """int64[b]: the rows of the batch with a history that the model can read."""
    vectors: Floats | None
    """float32[b, d]: the users' vectors."""
    scores: Floats | None
    """float32[b, n]: the scores of every item; with vectors made when candidates are asked for."""
    model: Artefact


class TfServing(Recommender[TfServingConfig]):
    """A deep model behind TensorFlow Serving's gRPC API."""

    Config = TfServingConfig
    serves = Serves.SESSION | Serves.COLD_ITEM
    needs_server = True

    def __init__(
        self,
        config: TfServingConfig,
        fitted: Artefact,
        items: Entities,
        embedded: Embedded | None = None,
        asked: Asked | None = None,
    ) -> None:
        """``items`` is the catalogue; server and model are the configured ones, if not given.

        An embedded server ends with this instance, or with the process.
        """
        address = embedded.address if embedded else config.address
        self._stop = weakref.finalize(self, embedded.stop) if embedded else None
        self._config = config
        self._fitted = fitted
        self._items = items
        self._asked = asked or _configured(config, fitted.version)
        self._client = ModelClient(address, config.deadline)
        self._status = Status(address, self._asked)
        self._versions = Versions(fitted, config.model_root, self._asked, config.item_signature, self._client, items)
        self._memory: Memory[_Said] = Memory()
        self._answered = fitted.version
        self._in_doubt = False
        self.serves = Serves.SESSION if fitted.features is None else Serves.SESSION | Serves.COLD_ITEM

    @property
    def model_version(self) -> str:
        """The version that answered last; before the first answer, the one of the fit."""
        return str(self._answered) if self._answered else ""

    @classmethod
    def fit(cls, data: Dataset, config: TfServingConfig, progress: Progress) -> Self:
        """Train in a process of its own, and publish the SavedModel for the model server.

        The server swaps to the new version while it serves; recommenders loaded from the artefact
        before follow it, as its item vectors lie beside it. Where no model server runs, an
        embedded one serves the new version for as long as this instance lives, so that it can be calibrated.

        Raises:
            RuntimeError: the training failed, or its model cannot be served or asked.
        """
        if config.train:
            with train(data, config.training, config.unfinished, progress) as trained:
                version = publish(trained, config.model_root, config.model)
        else:
            version = newest(config.model_root, config.model)
        fitted = Artefact.read(beside(config.model_root, config.model, version), version, data.n_items)
        embedded = served_for_fit(config, fitted)
        return cls(config, fitted, data.catalog.items, embedded, Asked(config.model))

    def save(self, directory: Path) -> None:
        """Write the items' vectors and features, and their version."""
        self._fitted.save(directory)

    @classmethod
    def load(cls, directory: Path, config: TfServingConfig, catalog: Catalog) -> Self:
        """Map the items' vectors. The model server is not asked yet: it may come up later.

        Raises:
            RuntimeError: an embedded server is configured, and it cannot serve the fitted version.
        """
        fitted = Artefact.load(directory)
        if config.address != EMBEDDED:
            return cls(config, fitted, catalog.items)
        return cls(config, fitted, catalog.items, serve_own(config, fitted), Asked(config.model, fitted.version))

    async def candidates(self, queries: Queries, k: int) -> Candidates:
        """The items with the largest products, exactly; one Predict."""
        said = await self._said(queries)
        scores = said.scores
        if scores is None and said.vectors is not None and said.model.vectors is not None:
            vectors, items = said.vectors, said.model.vectors
            scores = await _computed(lambda: scored_all(vectors, items), vectors.size * len(items))
            if scores.size <= MOST_KEPT:
                said.scores = scores
        if scores is None:
            return Candidates.empty(len(queries), min(k, len(self._items)))
        return Candidates.top(scores, k, queries, None if len(said.rows) == len(queries) else said.rows)

    async def score(self, queries: Queries, items: Ints) -> Floats:
        """Products with the given items' vectors; no Predict after :meth:`candidates` of the same queries."""
        said = await self._said(queries, items)
        everyone = len(said.rows) == len(queries)
        wanted = items if everyone else items[said.rows]
        if not wanted.size:
            found = np.full(wanted.shape, np.nan, np.float32)
        elif said.scores is not None:
            found = take(said.scores, wanted)
        elif said.vectors is not None and said.model.vectors is not None:
            vectors, known = said.vectors, said.model.vectors
            found = await _computed(lambda: gathered(vectors, known, wanted), wanted.size * known.shape[1])
        else:
            found = await self._score(queries, said, wanted)
        if everyone:
            return found
        scores = np.full(items.shape, np.nan, np.float32)
        scores[said.rows] = found
        return scores

    def item_vectors(self) -> Floats | None:
        """float32[n, d]: those of the fitted version; None for a model without any."""
        return self._fitted.vectors

    def health(self) -> bool:
        """Whether the model server has the model, by its last status (at most some seconds old)."""
        return self._status.healthy

    def close(self) -> None:
        """Close the connections, and end an embedded server."""
        self._client.close()
        self._status.close()
        if self._stop is not None:
            self._stop()  # a finalizer runs only once

    async def _said(self, queries: Queries, only: Ints | None = None) -> _Said:
        """The model's answer for a batch, from the cache where it was asked before.

        Models without vectors score all items, or, with ``only``, none yet.
        """
        said = self._memory.recall(queries.histories)
        if said is not None:
            return said
        model = await self._model()
        history, rows = self._read(queries, model)
        if not len(rows):
            return _Said(rows, None, None, model)
        if model.vectors is None:
            if only is not None or model.n_items > MOST_SCORED:
                return _Said(rows, None, None, model)
            every = np.broadcast_to(np.arange(model.n_items, dtype=np.int32), (len(rows), model.n_items))
            scores = await self._scored(history, every)
            said = _Said(rows, None, scores, self._versions.current)
        else:
            predicted = await self._predict(self._config.user_signature, history)
            model = await self._versions.of(predicted.version)
            if model.vectors is None:
                raise invalid("the model has no item vectors any more")
            vectors = predicted.floats("vector", (len(rows), model.vectors.shape[1]))
            said = _Said(rows, vectors, None, model)
        self._memory.keep(queries.histories, said)
        return said

    async def _model(self) -> Artefact:
        """The model to whose items a history is limited: the one that answered last.

        After an error the server is asked for its version, with a history that every version can read: it
        may have gone back to a version with fewer items, for which a newer item is an error.
        """
        if not self._in_doubt:
            return self._versions.current
        one = np.ones((1, 1), np.int32)
        padded = np.pad(one, ((0, 0), (self._config.length - 1, 0)))
        history = self._inputs(padded, np.zeros(padded.shape, np.float32))
        if self._fitted.vectors is None:
            predicted = await self._predict(self._config.score_signature, {**history, "items": one})
        else:
            predicted = await self._predict(self._config.user_signature, history)
        model = await self._versions.of(predicted.version)
        self._in_doubt = False
        return model

    async def _score(self, queries: Queries, said: _Said, wanted: Ints) -> Floats:
        history, _ = self._read(queries, said.model)
        return await self._scored(history, wanted)

    def _read(self, queries: Queries, model: Artefact) -> tuple[Inputs, Offsets]:
        """The histories as the model's inputs, and the rows that have any, int64[b]."""
        history, ages, rows = sequences(queries.histories, model.n_items, self._config.length)
        return self._inputs(history, ages), rows

    def _inputs(self, history: Ints, ages: Floats) -> Inputs:
        return {"history": history, "ages": ages} if self._config.training.relative else {"history": history}

    async def _scored(self, history: Inputs, items: Ints) -> Floats:
        """float32[b, M] by the scoring signature; NaN where the model does not know an item."""
        known = (items >= 0) & (items < self._versions.current.n_items)
        inputs = {**history, "items": np.where(known, items + 1, 0).astype(np.int32)}
        predicted = await self._predict(self._config.score_signature, inputs)
        await self._versions.of(predicted.version)
        scores = predicted.floats("scores", items.shape, where=known)
        return np.where(known, scores, np.float32(np.nan))

    async def _predict(self, signature: str, inputs: Inputs) -> Predicted:
        rows = len(next(iter(inputs.values())))
        try:
            predicted = await self._client.predict(self._asked, signature, inputs, max(1.0, rows / ROWS))
        except SourceFailure as failure:
            self._in_doubt |= failure.degraded is DegradedReason.ERROR
            raise
        self._answered = predicted.version or self._answered
        return predicted


def _configured(config: TfServingConfig, fitted: int) -> Asked:
    if config.version == "latest":
        return Asked(config.model, label=config.version_label)
    return Asked(config.model, fitted if config.version == "fitted" else config.version)


async def _computed(work: Callable[[], T], multiplications: int) -> T:
    """The result of some work: done here where it is little, else in a thread, to keep the event loop free."""
    return work() if multiplications <= LOOP_FLOPS else await asyncio.to_thread(work)
