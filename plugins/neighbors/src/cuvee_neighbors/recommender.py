"""The ``neighbors`` recommender: items that are similar to, or follow, a history weighted by recency.

Every model here answers from the history alone, so one click changes the answer, and users who are new
to the model are served.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Candidates, Catalog, Dataset, Entities, kernels, load_arrays, save_arrays
from cuvee.recommender import Histories, Progress, Queries, Recommender, Serves
from scipy import sparse

from cuvee_neighbors.config import NeighborsConfig
from cuvee_neighbors.ease import fit_ease, nearby, together
from cuvee_neighbors.ease_pruned import fit_ease_pruned
from cuvee_neighbors.features import likeness
from cuvee_neighbors.item_knn import fit_item_knn
from cuvee_neighbors.item_weights import ItemWeights
from cuvee_neighbors.on_vectors import VectorUsers, as_known, fit_item_knn_on_vectors
from cuvee_neighbors.pruned import keep_largest
from cuvee_neighbors.similarity import narrow
from cuvee_neighbors.sparse_scores import best, looked_up
from cuvee_neighbors.transitions import fit_transitions
from cuvee_neighbors.user_knn import UserNeighbours

__all__ = ["Neighbors"]

Bools: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

REASONS = {
    "ease": "because you liked {}",
    "item_knn": "because you liked {}",
    "user_knn": "liked by others who liked {}",
    "transitions": "often chosen after {}",
}
ALIKE = "like {}, which you liked"
"""The reason of item-kNN on vectors, which do not come from likes."""


class Model(Protocol):
    """The interface of the models; histories are sparse float32[B, N], with rows that add up to 1."""

    @property
    def n_items(self) -> int:
        """N."""

    def scores(self, history: Matrix, users: Ints) -> Floats:
        """float32[B, N]: the scores of all items."""

    def sparse_scores(self, history: Matrix, users: Ints) -> Matrix | None:
        """The same, sparse, where absent items score 0; None for dense models and small catalogues."""

    def strongest(self, history: Matrix, users: Ints, rows: Ints, items: Ints) -> Ints:
        """int[P]: for pairs of a row and an item, the item of the row's history that contributes most; -1 for none."""

    def save(self, directory: Path, name: str) -> None:
        """Write the model under a name."""


@dataclass(frozen=True)
class Neighbors(Recommender[NeighborsConfig]):
    """Item-kNN, user-kNN, EASE or transitions, by its config.

    An item without likes in the fit gets no opinion, like one newer than the model, since nothing was
    learnt about it (in item-kNN on vectors: an item without a vector). Every other item has a score,
    which is 0 where the history contributes nothing.
    """

    Config = NeighborsConfig
    serves: ClassVar[Serves] = Serves.SESSION  # type: ignore[misc]

    config: NeighborsConfig
    model: Model
    known: Bools
    """bool[N]: the items with likes in the fit; for item-kNN on vectors, those with a vector."""
    items: Entities
    """The catalogue's items, for the titles in reasons."""

    @classmethod
    def fit(cls, data: Dataset, config: NeighborsConfig, progress: Progress) -> Self:
        """Learn from the likes (events of weight above 0) and their order."""
        n = data.n_items
        known = np.zeros(n, np.bool_)
        known[data.events.items[data.events.weights > 0]] = True
        progress(0, 1)
        if config.vectors_of is None:
            model = _fit_model(data, config, known, progress)
        else:
            vectors = as_known(data.vectors[config.vectors_of], n)
            if config.model == "item_knn":
                known = np.asarray(vectors.any(axis=1))
            model = _fit_on_vectors(data, config, vectors, progress)
        progress(1, 1, config.model)
        return cls(config, model, known, data.catalog.items)

    def save(self, directory: Path) -> None:
        """Write ``known.npy`` and the model, under its name."""
        save_arrays(directory, {"known": self.known})
        self.model.save(directory, self.config.model)

    @classmethod
    def load(cls, directory: Path, config: NeighborsConfig, catalog: Catalog) -> Self:
        """Map what was saved. The half-life and user_knn's settings for finding neighbours are the given config's."""
        model: Model
        if config.model == "user_knn" and config.vectors_of is not None:
            model = VectorUsers.load_on(directory, config.model, config.neighbours)
        elif config.model == "user_knn":
            settings = (config.neighbours, config.similarity, config.shrink)
            model = UserNeighbours.load(directory, config.model, *settings)
        else:
            model = ItemWeights.load(directory, config.model)
        return cls(config, model, load_arrays(directory, {"known": "bool[n]"}, n=model.n_items)["known"], catalog.items)

    def candidates(self, queries: Queries, k: int) -> Candidates:
        """The k items with the highest scores, only those to which the history contributes."""
        rows, scores = self._everything(queries)
        if not isinstance(scores, np.ndarray):
            answer = Candidates.empty(len(queries), min(k, len(self.known)))
            found = best(scores, k, queries.select(rows), self.known)
            answer.items[rows], answer.scores[rows] = found.items, found.scores
            return answer
        return Candidates.top(scores, k, queries, None if len(rows) == len(queries) else rows, above=0)

    def score(self, queries: Queries, items: Ints) -> Floats:
        """float32[B, M]: the mean of the history items' contributions, weighted by recency."""
        rows, scores = self._everything(queries)
        found = np.full(items.shape, np.nan, np.float32)
        if isinstance(scores, np.ndarray):
            found[rows] = kernels.take(scores, items[rows])
        elif len(rows):
            inside = (items[rows] >= 0) & (items[rows] < len(self.known))
            at = np.where(inside, items[rows], 0)
            found[rows] = np.where(inside & self.known[at], looked_up(scores, at), np.float32(np.nan))
        return found

    def explain(self, queries: Queries, rows: Ints, items: Ints) -> Sequence[str | None]:
        """The history's item that contributes most, as in "because you liked Alien"."""
        words: list[str | None] = [None] * len(items)
        on_vectors = self.config.model == "item_knn" and self.config.vectors_of is not None
        phrase = ALIKE if on_vectors else REASONS[self.config.model]
        served, history = self._histories(queries)
        place = np.full(len(queries), -1)
        place[served] = np.arange(len(served))
        inside = (items >= 0) & (items < len(self.known)) & (place[rows] >= 0)
        inside[inside] = self.known[items[inside]]
        asked = np.flatnonzero(inside)
        best = self.model.strongest(history, queries.users[served], place[rows[asked]].astype(np.int32), items[asked])
        for at, item in zip(asked.tolist(), best.tolist(), strict=True):
            if item >= 0:
                words[at] = phrase.format(self.items.title(item))
        return words

    def _everything(self, queries: Queries) -> tuple[Ints, Floats | Matrix]:
        """The rows that can be served, int64[b], and the scores of all items, float32[b, N]; made once for a batch.

        Sparse where the model is sparse and the catalogue large; an absent item has the score 0.
        """
        return queries.once(self, "scores", lambda: self._scored(queries))

    def _scored(self, queries: Queries) -> tuple[Ints, Floats | Matrix]:
        rows, history = self._histories(queries)
        few = self.model.sparse_scores(history, queries.users[rows])
        if few is not None:
            return rows, few
        scores = self.model.scores(history, queries.users[rows])
        # ten times as fast as naming the columns
        np.copyto(scores, np.float32(np.nan), where=self._unknown)
        return rows, scores

    def _histories(self, queries: Queries) -> tuple[Ints, Matrix]:
        """The rows that can be served, int64[b], and their histories, float32[b, N]; made once for a batch.

        Each row adds up to 1, so that scores of long and short histories are comparable.
        """
        return queries.once(self, "histories", lambda: self._weighed(queries))

    def _weighed(self, queries: Queries) -> tuple[Ints, Matrix]:
        history = queries.histories.matrix(len(self.known), self.config.half_life, self._readable, shares=True)
        rows = np.flatnonzero(history.indptr[1:] > history.indptr[:-1])
        if len(rows) < len(queries):
            history = sparse.csr_array(
                (history.data, history.indices, np.concatenate([history.indptr[rows], history.indptr[-1:]])),
                shape=(len(rows), history.shape[1]),
            )
        return rows, history

    @cached_property
    def _unknown(self) -> Bools:
        """bool[N]: the items about which nothing was learnt."""
        return np.asarray(~self.known)

    @cached_property
    def _readable(self) -> Bools:
        """bool[N]: the items that contribute in a history; on vectors also items without likes."""
        return np.asarray(self.model.vectors.any(axis=1)) if isinstance(self.model, VectorUsers) else self.known


def _usable(histories: Histories, known: Bools) -> Histories:
    """Without disliked and unknown items: such events do not age the others either."""
    inside = (histories.weights > 0) & (histories.items < len(known))
    inside[inside] = known[histories.items[inside]]
    if inside.all():
        return histories
    counts = np.bincount(histories.rows[inside], minlength=len(histories))
    return replace(
        histories,
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        items=histories.items[inside],
        weights=histories.weights[inside],
        times=histories.times[inside],
    )


def _fit_on_vectors(data: Dataset, config: NeighborsConfig, vectors: Floats, progress: Progress) -> Model:
    n = data.n_items
    if config.model == "user_knn":
        history = narrow(_usable(data.events, np.asarray(vectors.any(axis=1))).matrix(n, config.half_life))
        liked = narrow(data.events.matrix(n, config.likes_half_life))
        return VectorUsers.on(liked, history, vectors, config.neighbours)
    done = lambda items: progress(items / max(n, 1), 1)  # noqa: E731 (one line, said where it is used)
    return ItemWeights(narrow(fit_item_knn_on_vectors(vectors, config.neighbours, done)))


def _fit_model(data: Dataset, config: NeighborsConfig, known: Bools, progress: Progress) -> Model:
    n = data.n_items
    if config.model == "transitions":
        weights = fit_transitions(
            _usable(data.events, known),
            n,
            window=config.window,
            power=config.power,
            smoothing=config.smoothing,
            damping=config.damping,
            neighbours=config.neighbours,
        )
        return ItemWeights(narrow(weights))
    liked = narrow(data.matrix())
    if config.model == "user_knn":
        liked = narrow(data.events.matrix(n, config.likes_half_life))
        return UserNeighbours.fit(liked, config.neighbours, config.similarity, config.shrink)
    if config.model == "item_knn":
        done = lambda items: progress(items / n, 1)  # noqa: E731 (one line, said where it is used)
        alike = fit_item_knn(liked, config.neighbours, config.similarity, config.shrink, done)
        return ItemWeights(narrow(keep_largest(alike, config.spoken_for)))
    if n > config.exact_items:
        if config.near is not None or config.features:
            raise ValueError(
                f"near and features need all pairs of {n} items ({n * n * 4 / 1e9:.1f} GB); raise exact_items to {n}, "
                "or leave them out"
            )
        done = lambda items: progress(items / n, 1)  # noqa: E731 (one line, said where it is used)
        return ItemWeights(narrow(fit_ease_pruned(liked, config.l2, config.rank, config.neighbours, done)))
    pairs = together(liked) if config.near is None else nearby(data.events, n, config.near)
    if config.features:
        pairs += likeness(data.catalog.items, config.features)
    return ItemWeights(fit_ease(pairs, config.l2))
