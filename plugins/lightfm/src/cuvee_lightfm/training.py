"""The one place where LightFM runs: events and features in, plain arrays out.

Kula 2015, "Metadata embeddings for user and item cold-start recommendations": a user is the sum of
the embeddings of his own id and of his features, an item likewise, and a score is the product of
the two and both biases. The losses are WARP (Weston et al. 2011), BPR (Rendle et al. 2009),
k-OS WARP (Weston et al. 2013) and logistic.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from cuvee.recommender import Progress
from lightfm import LightFM
from scipy import sparse

from cuvee_lightfm.config import LightFMConfig

__all__ = ["Side", "epochs_of", "threads_of", "train"]

Floats: TypeAlias = npt.NDArray[np.float32]
Matrix: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"

EPOCHS = 20
"""Passes over few likes."""
FEWEST = 5
"""Passes over very many: after so many, a sparse catalogue's lists were as good as after 20."""
MANY = 1_000_000
"""Likes above which a fit uses all cores and makes fewer passes."""


def epochs_of(likes: int, config: LightFMConfig) -> int:
    """Passes over so many likes: the setting, or so that about as many samples are drawn as by 20 over ``MANY``."""
    return config.epochs or max(FEWEST, min(EPOCHS, -(-EPOCHS * MANY // max(likes, 1))))


def threads_of(likes: int, config: LightFMConfig) -> int:
    """Threads of a fit on so many likes: the setting, or by default all cores where there are many."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return config.threads or (1 if likes <= MANY else cores)


@dataclass(frozen=True)
class Side:
    """LightFM's embeddings of the users, or of the items: n of them with F features, d dimensions.

    Vector and bias are in one row, the bias last, so that a sum of features sums both.
    """

    own: Floats
    """float32[n, d + 1]: the embedding of each id."""
    features: Floats
    """float32[F, d + 1]: the embedding of each feature."""

    def represent(self, features: Matrix) -> Floats:
        """float32[n, d + 1]: own and features' embeddings, summed as LightFM sums them."""
        whole: Floats = self.own + np.asarray(features @ self.features, np.float32)
        return whole


def train(
    likes: Matrix, seen: Matrix, user_features: Matrix, item_features: Matrix, config: LightFMConfig, progress: Progress
) -> tuple[Side, Side]:
    """Fit.

    Args:
        likes: float32[U, N], above 0 where a user likes an item, and how much.
        seen: float32[U, N], above 0 where a user has any event; used by the logistic loss alone.
        user_features: float32[U, F].
        item_features: float32[N, G].
        config: of the recommender.
        progress: updated after every epoch.

    Returns:
        The embeddings of the users, and those of the items.
    """
    model = LightFM(
        no_components=config.components,
        loss=config.loss,
        learning_rate=config.learning_rate,
        item_alpha=config.item_alpha,
        user_alpha=config.user_alpha,
        random_state=config.seed,
    )
    positive = likes.tocoo()
    weights = positive.data / positive.data.mean() if positive.nnz else positive.data
    rng = np.random.default_rng(config.seed)
    epochs, threads = epochs_of(positive.nnz, config), threads_of(positive.nnz, config)
    users_by, items_by = _with_identity(user_features), _with_identity(item_features)
    for epoch in range(epochs):
        values, where, weight = np.ones(positive.nnz, np.float32), (positive.row, positive.col), weights
        if config.loss == "logistic":
            values, where, weight = _with_negatives(values, where, weight, seen, rng)
        interactions = _int32(values, where, likes.shape)
        # k-OS does not support weights
        weighed = None if config.loss == "warp-kos" or (weight == 1).all() else _int32(weight, where, likes.shape)
        model.fit_partial(
            interactions,
            user_features=users_by,
            item_features=items_by,
            sample_weight=weighed,
            num_threads=threads,
        )
        progress(epoch + 1, epochs, f"epoch {epoch + 1}")
    users = np.column_stack([model.user_embeddings, model.user_biases])
    items = np.column_stack([model.item_embeddings, model.item_biases])
    n_users, n_items = likes.shape
    return Side(users[:n_users], users[n_users:]), Side(items[:n_items], items[n_items:])


def _with_identity(features: Matrix) -> Any:
    """LightFM's input: one column for each id, then the features."""
    identity = sparse.eye_array(features.shape[0], dtype=np.float32, format="csr")
    return sparse.csr_matrix(sparse.hstack([identity, features], format="csr", dtype=np.float32))


def _int32(values: Floats, where: tuple[Any, Any], shape: tuple[int, int]) -> Any:
    """A COO matrix with the index type that LightFM's compiled loops take."""
    rows, columns = (index.astype(np.int32) for index in where)
    return sparse.coo_matrix((values.astype(np.float32), (rows, columns)), shape=shape)


def _with_negatives(
    values: Floats, where: tuple[Any, Any], weights: Floats, seen: Matrix, rng: np.random.Generator
) -> tuple[Floats, tuple[Any, Any], Floats]:
    """The likes, and as -1 for each of them one item drawn from all that the user has not seen."""
    rows, columns = where
    drawn = rng.integers(0, seen.shape[1], len(rows))
    free = np.asarray(seen[rows, drawn]).ravel() == 0
    return (
        np.concatenate([values, np.full(free.sum(), -1, np.float32)]),
        (np.concatenate([rows, rows[free]]), np.concatenate([columns, drawn[free]])),
        np.concatenate([weights, np.ones(free.sum(), np.float32)]),
    )
