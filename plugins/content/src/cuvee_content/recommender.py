"""The ``content`` recommender: cosines between items and a user's history and interests.

The user's vector is the sum of the vectors of the history, weighted by event and decayed by
recency, and of the vector of the declared interests (Rocchio's profile without negatives), brought
to unit length.
It does not depend on the users and items of the fit: sessions, cold users and cold items are served
like any others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee import Candidates, Catalog, Dataset, Entities, kernels, load_arrays, save_arrays
from cuvee.recommender import Progress, Queries, Recommender, Serves
from cuvee.search.nearest import ranked, unlisted
from scipy import sparse

from cuvee_content.config import ContentConfig
from cuvee_content.index import Index, fit_index, load_index
from cuvee_content.reasons import best_reasons
from cuvee_content.space import Space
from cuvee_content.vectors import ROWS, Vectors

__all__ = ["Content"]

Floats: TypeAlias = npt.NDArray[np.float32]

DIRECTIONS = 256
"""Dimensions of the item vectors for other models; more would make a large dense matrix."""
ASKING = 128
"""How many users of the fit the recall of an index is measured with."""


@dataclass(frozen=True)
class Content(Recommender[ContentConfig]):
    """Items by their words, labels, numbers and ready-made vectors."""

    Config = ContentConfig
    serves = Serves.SESSION | Serves.COLD_USER | Serves.COLD_ITEM

    config: ContentConfig
    space: Space
    vectors: Vectors
    """One per item of the catalogue; zero where nothing of an item is known."""
    known: npt.NDArray[np.bool_]
    """bool[n]: the items whose vector is not zero."""
    catalog: Entities
    """For the titles in explanations."""
    fitted: int = 0
    """How many items the fit had; later items are not in the index."""
    index: Index | None = None
    """Over the items of the fit, where there are more than ``index_above``."""

    @classmethod
    def fit(cls, data: Dataset, config: ContentConfig, progress: Progress) -> Self:
        """Learn the features of the catalogue's items; events are not used."""
        space = Space.learn(data.catalog.items, config)
        progress(1, 2, f"{sum(space.size)} features")
        vectors = space.items(data.catalog.items)
        progress(2, 2, f"{len(vectors)} vectors")
        made = cls(config, space, vectors, vectors.lengths > 0, data.catalog.items, len(vectors))
        if len(vectors) <= config.index_above or not made.known.any():
            return made
        return replace(made, index=fit_index(vectors, made._asking(data)))

    def _asking(self, data: Dataset) -> tuple[Floats, Floats]:
        """Sample queries, float32[q, F] and float32[q, D]: users by their histories, or items where there are none."""
        active = np.flatnonzero(data.events.lengths)
        asking = self.users(
            Queries.build(data.histories(np.sort(np.random.default_rng(0).permutation(active)[:ASKING])))
        )
        if asking[1].any():
            return asking[0][0][asking[1]], asking[0][1][asking[1]]
        some = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(self.known))[:ASKING])
        return self.vectors.sparse[some].toarray(), self.vectors.dense[some]

    def figures(self) -> Mapping[str, float]:
        """The recall of the index, where there is one."""
        return {} if self.index is None else {"recall": self.index.recall}

    def save(self, directory: Path) -> None:
        """Write the space, and the vectors of the items of the fit."""
        self.space.save(directory)
        rows = self.vectors.sparse
        save_arrays(
            directory,
            {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, "dense": self.vectors.dense},
        )
        if self.index is not None:
            self.index.save(directory)

    @classmethod
    def load(cls, directory: Path, config: ContentConfig, catalog: Catalog) -> Self:
        """Map the vectors, and encode the items that were added since the fit.

        Where there are any, all vectors are copied into memory; otherwise the mapped ones are used.
        """
        space = Space.load(directory)
        width, thick = space.size
        arrays = load_arrays(directory, ROWS, width=width, thick=thick)
        shape = (len(arrays["indptr"]) - 1, width)
        rows = sparse.csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
        fitted = Vectors(rows, arrays["dense"])
        vectors = fitted.append(space.items(catalog.items, len(fitted)))
        return cls(
            config, space, vectors, vectors.lengths > 0, catalog.items, len(fitted), load_index(directory, fitted)
        )

    def candidates(self, queries: Queries, k: int) -> Candidates:
        """The items of the highest cosines: by an exact product with all of them, or by the index."""
        if self.index is not None:
            return self._found(self.index, queries, k)
        return Candidates.top(self._everything(queries), k, queries)

    def _found(self, index: Index, queries: Queries, k: int) -> Candidates:
        """The k best of those found by the index and the items that are newer than it."""
        n, fitted = len(self.vectors), self.fitted
        users, _ = self._who(queries)
        found = index.search(users, min(k, n), queries)
        items = np.concatenate([found.items, unlisted(fitted, n, queries)], axis=1)
        # scored again, so that the scores equal those of score()
        return ranked(items, self._at(queries, items), min(k, n))

    def score(self, queries: Queries, items: npt.NDArray[np.int32]) -> Floats:
        """float32[B, M]: cosines; NaN for a user or an item without any features."""
        return self._at(queries, items) if self.index is not None else kernels.take(self._everything(queries), items)

    def _everything(self, queries: Queries) -> Floats:
        """float32[B, n]: the cosines of all items, made once for a batch."""
        return queries.once(self, "scores", lambda: self._scored(queries))

    def _scored(self, queries: Queries) -> Floats:
        users, told = self._who(queries)
        scores = self.vectors.products(users)
        np.copyto(scores, np.float32(np.nan), where=~self.known)
        scores[~told] = np.nan
        return scores

    def _at(self, queries: Queries, items: npt.NDArray[np.int32]) -> Floats:
        """float32[B, M]: the cosines of given items, where the catalogue is large."""
        users, told = self._who(queries)
        inside = (items >= 0) & (items < len(self.vectors))
        at = np.where(inside, items, 0)
        found = inside & self.known[at] & told[:, None]
        return np.where(found, self.vectors.products_at(users, at), np.float32(np.nan))

    def _who(self, queries: Queries) -> tuple[tuple[Floats, Floats], npt.NDArray[np.bool_]]:
        """The result of :meth:`users`, computed once for a batch."""
        return queries.once(self, "users", lambda: self.users(queries))

    def explain(
        self, queries: Queries, rows: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
    ) -> Sequence[str | None]:
        """Say "like Alien, which you watched", or "genre: Film-Noir"."""
        words: list[str | None] = [None] * len(items)
        inside = (items >= 0) & (items < len(self.vectors))
        inside[inside] = self.known[items[inside]]
        for b in np.unique(rows[inside]).tolist():
            at = np.flatnonzero(inside & (rows == b))
            one = queries.select([b])
            said = best_reasons(self.space, self.vectors, self.catalog, self.config, one, items[at])
            for j, word in zip(at.tolist(), said, strict=True):
                words[j] = word
        return words

    def item_vectors(self) -> Floats:
        """float32[N, d]: words, labels and numbers reduced to 256 dimensions, then the dense columns."""
        return self.vectors.thinned(DIRECTIONS)

    def users(self, queries: Queries) -> tuple[tuple[Floats, Floats], npt.NDArray[np.bool_]]:
        """Unit vectors in two parts, float32[B, F] and float32[B, D]; bool[B]: which users have any features."""
        weights = queries.histories.matrix(len(self.vectors), self.config.half_life)
        thin, thick = self.vectors.mean(weights)
        declared_thin, declared_thick = self.space.profiles(queries.profiles)
        strength = np.float32(self.config.interests_weight)
        thin += strength * declared_thin
        thick += strength * declared_thick
        lengths = np.hypot(np.linalg.norm(thin, axis=1), np.linalg.norm(thick, axis=1)).astype(np.float32)
        scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)[:, None]
        return (thin * scale, thick * scale), lengths > 0
