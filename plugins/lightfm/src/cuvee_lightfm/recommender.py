"""The ``lightfm`` recommender: products of user and item vectors, where recent events move a user's vector.

A user's vector is a mixture of two::

    (1 - recency) * fitted + recency * folded in

*Fitted* is LightFM's vector of a user, and for an unknown user that of the average user with his features.
*Folded in* is the closed-form solution for his history, weighted by recency, and his declared interests;
without any of these only the first part is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Candidates, Catalog, Dataset, Entities, Nearest, kernels
from cuvee.recommender import Histories, Profile, Progress, Queries, Recommender, Serves
from cuvee.search.nearest import ranked, unlisted

from cuvee_lightfm.config import LightFMConfig
from cuvee_lightfm.factors import Factors, Half
from cuvee_lightfm.features import Features
from cuvee_lightfm.folding import fold_in, stretch, unseen
from cuvee_lightfm.training import train

__all__ = ["LightFMRecommender"]

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[Any]

CELLS = 4_000_000
"""How many float32 values are gathered at a time (16 MB)."""
ASKING = 256
"""How many users of the fit the recall of the index is measured with."""
SERVES = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER | Serves.COLD_ITEM


@dataclass(frozen=True)
class LightFMRecommender(Recommender[LightFMConfig]):
    """Hybrid factors, with fold-in.

    Items without likes in the fit are scored by their features alone, as are those newer than the
    model; without features they get no opinion. An instance whose catalogue has no item features does
    not serve COLD_ITEM.
    """

    Config = LightFMConfig
    serves: ClassVar[Serves] = SERVES  # type: ignore[misc]

    config: LightFMConfig
    factors: Factors
    items: Entities
    """The catalogue's items, for the titles in reasons."""
    index: Nearest | None = None
    """Over the items of the fit, where there are more than ``index_above``."""

    def __post_init__(self) -> None:
        if not len(self.factors.items.features):
            object.__setattr__(self, "serves", SERVES & ~Serves.COLD_ITEM)

    @classmethod
    def fit(cls, data: Dataset, config: LightFMConfig, progress: Progress) -> Self:
        """Train on the likes (events of weight above 0); weights are sample weights."""
        users, items = data.catalog.users, data.catalog.items
        user_features = Features.of(users, config.user_features, "user_features")
        item_features = Features.of(items, config.item_features, "item_features")
        user_rows, item_rows = user_features.of_entities(users), item_features.of_entities(items)
        likes = data.events.matrix(data.n_items)
        of_users, of_items = train(likes, data.matrix(liked_only=False), user_rows, item_rows, config, progress)
        last_seen = np.full(data.n_users, -np.inf)
        active = data.events.lengths > 0
        last_seen[active] = data.events.times[data.events.offsets[1:][active] - 1]
        factors = Factors.of(
            Half.of(of_users, user_rows, np.diff(likes.indptr) > 0, user_features),
            Half.of(of_items, item_rows, np.bincount(likes.indices, minlength=data.n_items) > 0, item_features),
            last_seen,
            data.catalog,
        )
        made = cls(config, factors, items)
        if len(items) <= config.index_above or not likes.nnz:
            return made
        fans = np.flatnonzero(np.diff(likes.indptr))
        sample = np.sort(np.random.default_rng(config.seed).permutation(fans)[:ASKING]).astype(np.int32)
        asking = _with_one(made.user_vectors(Queries.build(data.histories(sample), users=sample)))
        return replace(made, index=Nearest.fit(factors.catalog_items, asking, seed=config.seed))

    def save(self, directory: Path) -> None:
        """Write the factors: npy and json; and the index where there is one."""
        self.factors.save(directory)
        if self.index is not None:
            self.index.save(directory, "index")

    @classmethod
    def load(cls, directory: Path, config: LightFMConfig, catalog: Catalog) -> Self:
        """Map the factors, and compute those of items that are newer than the model."""
        index = Nearest.load(directory, "index") if (directory / "index.items.npy").exists() else None
        return cls(config, Factors.load(directory, catalog), catalog.items, index)

    def figures(self) -> Mapping[str, float]:
        """The recall of the index, where there is one."""
        return {} if self.index is None else {"recall": self.index.cells.recall}

    def candidates(self, queries: Queries, k: int) -> Candidates:
        """The k items of the largest products."""
        if self.index is not None:
            return self._found(self.index, queries, k)
        return Candidates.top(self._everything(queries), k, queries)

    def _found(self, index: Nearest, queries: Queries, k: int) -> Candidates:
        """The k best of those found by the index and the items that are newer than it."""
        users, n, fitted = self._users(queries), len(self.factors.catalog_items), len(self.factors.items.fitted)
        found, _ = index.search(_with_one(users), min(k, n), queries)
        items = np.concatenate([found, unlisted(fitted, n, queries)], axis=1)
        # scored again: a new item's vector is computed at each load, from the catalogue at that time
        return ranked(items, self._at(users, items), min(k, n))

    def score(self, queries: Queries, items: Ints) -> Floats:
        """float32[B, M]: user times item, plus both biases, as ``LightFM.predict`` has it."""
        if self.index is not None:
            return self._at(self._users(queries), items)
        return kernels.take(self._everything(queries), items)

    def _everything(self, queries: Queries) -> Floats:
        """float32[B, N]: the products with all items, made once for a batch."""
        made: Floats = queries.once(self, "scores", lambda: self._products(self._users(queries)))
        return made

    def _users(self, queries: Queries) -> Floats:
        """float32[B, d + 1], made once for a batch."""
        made: Floats = queries.once(self, "users", lambda: self.user_vectors(queries))
        return made

    def _at(self, users: Floats, items: Ints) -> Floats:
        """float32[B, M]: the scores of items for users, float32[B, d + 1]; NaN where there is no such item."""
        table = self.factors.catalog_items
        inside = (items >= 0) & (items < len(table))
        scores = np.full(items.shape, np.nan, np.float32)
        if not inside.any():
            return scores
        block = max(1, CELLS // (table.shape[1] * items.shape[1]))
        for start in range(0, len(users), block):
            rows = slice(start, min(start + block, len(users)))
            vectors = table[np.where(inside[rows], items[rows], 0)]
            scores[rows] = (vectors[:, :, :-1] @ users[rows, :-1, None])[:, :, 0]
            scores[rows] += vectors[:, :, -1] + users[rows, -1:]
        scores[~inside] = np.nan
        return scores

    def explain(self, queries: Queries, rows: Ints, items: Ints) -> Sequence[str | None]:
        """The liked item of the history that is nearest by cosine: "close to Alien, which you liked"."""
        words: list[str | None] = [None] * len(items)
        table, history = self.factors.catalog_items, queries.histories
        asked = np.flatnonzero((items >= 0) & (items < len(table)))
        if self.index is None:
            found = kernels.nearest_liked(
                history.offsets, history.items, history.weights, self._near, rows[asked], items[asked]
            )
        else:
            found = self._nearest(queries, rows[asked], items[asked])
        for at, item in zip(asked.tolist(), found.tolist(), strict=True):
            if item >= 0:
                words[at] = f"close to {self.items.title(item)}, which you liked"
        return words

    @cached_property
    def _near(self) -> Floats:
        """float32[N, d]: the items' factors at length 1."""
        return np.ascontiguousarray(_directions(self.factors.catalog_items[:, :-1]))

    def _nearest(self, queries: Queries, rows: Ints, items: Ints) -> Ints:
        """The same of a large catalogue: only the vectors of these items and of these histories are looked at."""
        mine = np.unique(rows)
        history = queries.histories.select(mine)
        usable = history.items < len(self.factors.catalog_items)
        few, at = np.unique(np.concatenate([items, history.items[usable]]), return_inverse=True)
        near = np.ascontiguousarray(_directions(self.factors.catalog_items[few, :-1]))
        events = np.full(len(history.items), -1, np.int32)
        events[usable] = at[len(items) :]
        places = np.searchsorted(mine, rows).astype(np.int32)
        wanted = at[: len(items)].astype(np.int32)
        found = kernels.nearest_liked(history.offsets, events, history.weights, near, places, wanted)
        return np.where(found >= 0, few[found], -1)

    def item_vectors(self) -> Floats:
        """float32[N, d]: the items' factors, without their biases."""
        return np.nan_to_num(self.factors.catalog_items[:, :-1])

    def user_vectors(self, queries: Queries) -> Floats:
        """float32[B, d + 1]: the users' vectors and biases."""
        vectors = self._base(queries)
        rows = np.arange(len(queries) if len(queries.histories.items) or any(queries.profiles) else 0)
        if self.config.fold_in == "newer" and len(rows):
            rows = np.flatnonzero(~self._fitted(queries.users) | self._newer(queries))
        rows, folded = self._folded(queries, rows) if len(rows) else (rows, np.empty(0))
        if len(rows):
            recency = np.float32(self.config.recency)
            mixed = (1 - recency) * vectors[rows, :-1] + recency * folded
            # the mean of two directions is shorter than either, which would give the biases too much weight
            vectors[rows, :-1] = stretch(mixed, self._fold_in[1])
        return vectors

    def _base(self, queries: Queries) -> Floats:
        """float32[B, d + 1]: the fitted vector, or that of the average user of the profile's features."""
        users = self.factors.users
        fitted = self._fitted(queries.users)
        base = np.empty((len(queries), users.table.shape[1]), np.float32)
        base[fitted] = users.table[queries.users[fitted]]
        if not fitted.all():
            told = [profile.attributes for profile, known in zip(queries.profiles, fitted, strict=True) if not known]
            base[~fitted] = users.newcomers(users.features.matrix(told))
        return base

    def _fitted(self, users: Ints) -> npt.NDArray[np.bool_]:
        """bool[B]: the users that had likes in the fit."""
        known = self.factors.users.fitted
        inside = (users >= 0) & (users < len(known))
        inside[inside] = known[users[inside]]
        return inside

    def _newer(self, queries: Queries) -> npt.NDArray[np.bool_]:
        """bool[B]: for users of the fit, whether the history has an event newer than those of the fit."""
        history, seen = queries.histories, self.factors.last_seen
        newest = np.full(len(queries), -np.inf)
        some = np.flatnonzero(history.lengths)
        newest[some] = history.times[history.offsets[1:][some] - 1]
        inside = np.clip(queries.users, 0, max(len(seen) - 1, 0))
        return newest > seen[inside] if len(seen) else np.zeros(len(queries), np.bool_)

    def _folded(self, queries: Queries, rows: Ints) -> tuple[Ints, Floats]:
        """The given rows that have a history or an interest, int64[b], and their folded-in vectors, float32[b, d]."""
        table, history = self.factors.catalog_items, self._usable(queries.histories)
        interests = {
            int(b): self._interests(queries.profiles[b]) for b in rows.tolist() if queries.profiles[b].interests
        }
        told = history.lengths > 0
        told[[b for b, liked in interests.items() if len(liked)]] = True
        rows = rows[told[rows]]
        if not len(rows):
            return rows, np.empty((0, table.shape[1] - 1), np.float32)
        mine = history if len(rows) == len(history) else history.select(rows)
        weighed = mine.matrix(len(table), self.config.half_life)
        chosen, weights, offsets = table[weighed.indices, :-1], weighed.data, weighed.indptr.astype(np.int64)
        if interests:
            chosen, weights, offsets = _with_interests(
                chosen, weights, offsets, [interests.get(b) for b in rows.tolist()]
            )
        background, length, _ = self._fold_in
        return rows, stretch(fold_in(chosen, weights, offsets, background), length)

    def _usable(self, history: Histories) -> Histories:
        """Without disliked and unknown items: such events do not age the others either."""
        table = self.factors.catalog_items
        inside = (history.weights > 0) & (history.items < len(table))
        inside[inside] = np.isfinite(table[history.items[inside], -1])
        if inside.all():
            return history
        counts = np.bincount(history.rows[inside], minlength=len(history))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        return Histories(offsets, history.items[inside], history.weights[inside], history.times[inside])

    def _interests(self, profile: Profile) -> Floats:
        """float32[h, d]: each liked feature of items, treated like an item with that vector."""
        half = self.factors.items
        if not profile.interests or not len(half.features):
            return np.empty((0, half.table.shape[1] - 1), np.float32)
        chosen = half.embeddings[half.features.matrix([profile.interests]).indices, :-1]
        return stretch(chosen, self._fold_in[2])

    @cached_property
    def _fold_in(self) -> tuple[Floats, float, float]:
        """What the fold-in needs of the fit: the background, and the mean length of users and of items."""
        users, items = self.factors.users, self.factors.items
        fitted = items.table[items.fitted, :-1]
        return unseen(fitted), _length(users.table[users.fitted, :-1]), _length(fitted)

    def _products(self, users: Floats) -> Floats:
        """float32[b, N]: all items for b users."""
        scores: Floats = _with_one(users) @ self.factors.catalog_items.T
        scores += users[:, -1:]
        return scores


def _with_interests(
    vectors: Floats, weights: Floats, offsets: Ints, interests: Sequence[Floats | None]
) -> tuple[Floats, Floats, Ints]:
    """Vectors, weights and offsets with each row's liked features behind its items, each of weight 1."""
    more = [vectors[:0] if liked is None else liked for liked in interests]
    parts = [slice(start, stop) for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    both = [one for part, liked in zip(parts, more, strict=True) for one in (vectors[part], liked)]
    ones = [one for part, liked in zip(parts, more, strict=True) for one in (weights[part], np.ones(len(liked)))]
    added = np.concatenate([[0], np.cumsum([len(liked) for liked in more])])
    return np.concatenate(both), np.concatenate(ones).astype(np.float32), offsets + added


def _with_one(users: Floats) -> Floats:
    """With a 1 in place of the bias, for the items' biases: so one product reads the table once."""
    one = users.copy()
    one[:, -1] = 1
    return one


def _length(vectors: Floats) -> float:
    """The mean length of float32[n, d]; 0 without any."""
    return float(np.linalg.norm(vectors, axis=1).mean()) if len(vectors) else 0.0


def _directions(vectors: Floats) -> Floats:
    """float32[n, d] at length 1; 0 for unknown items, which then are similar to none."""
    known = np.nan_to_num(vectors)
    lengths = np.linalg.norm(known, axis=1, keepdims=True)
    scaled: Floats = np.divide(known, lengths, out=np.zeros_like(known), where=lengths > 0)
    return scaled
