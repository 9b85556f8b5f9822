"""The interface of every architecture for the training loop, the validation and the export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import keras
import numpy as np
from cuvee import Histories
from cuvee.recommender import Floats, Ints
from keras import ops

from cuvee_tfserving.training.config import TrainingConfig

__all__ = ["Network", "Tensor", "draw_negatives", "logistic_cost"]

Tensor = Any
"""A tensor of the back end: Keras gives it no type of its own."""


class Network(keras.Model):  # type: ignore[misc]  # keras ships no types
    """A network over histories of tokens (positions + 1, 0 pads at the left, oldest first)."""

    factorises: ClassVar[bool]
    """Whether a score is the product of a user vector and an item vector."""
    has_tower: ClassVar[bool] = False
    """Whether features alone give an item vector."""

    timed: bool = False
    """Whether a history is a pair: tokens, and how many seconds before the newest each event was, float32[B, L]."""

    def __init__(self, config: TrainingConfig, n_items: int) -> None:
        super().__init__(name=config.architecture)
        self.config = config
        self.n_items = n_items
        self.seeds = keras.random.SeedGenerator(config.seed)
        self.built = True

    @abstractmethod
    def batches(self, events: Histories, epoch: int) -> Iterator[tuple[Ints | Floats, ...]]:
        """The arrays of each step, as :meth:`cost` takes them; equal shapes throughout."""

    @abstractmethod
    def steps(self, events: Histories) -> int:
        """About how many batches an epoch has, for the estimate of the time left."""

    @abstractmethod
    def cost(self, *batch: Tensor) -> Tensor:
        """The loss of one batch, a scalar."""

    def user_vectors(self, history: Tensor) -> Tensor:
        """int32[B, L] -> float32[B, d], where the network factorises."""
        raise NotImplementedError

    def item_vectors(self) -> Tensor:
        """float32[N, d]: of every item; the tokens 1 ... N."""
        raise NotImplementedError

    def tower_vectors(self, features: Tensor) -> Tensor:
        """float32[n, F] -> float32[n, d], where the network has a tower."""
        raise NotImplementedError

    def scores(self, history: Tensor, items: Tensor) -> Tensor:
        """int32[B, L], int32[B, M] of tokens -> float32[B, M]; scores at token 0 have no meaning."""
        raise NotImplementedError

    def freeze(self) -> None:
        """Prepare for serving: after this no step follows."""

    def call(self, history: Tensor, items: Tensor) -> Tensor:
        """As :meth:`scores`."""
        return self.scores(history, items)

    def state(self) -> list[Any]:
        """Every variable that a step may change, seeds included: what a checkpoint holds."""
        return list(self.variables)


def draw_negatives(rng: np.random.Generator, choices: Ints, shape: tuple[int, ...]) -> Ints:
    """Uniform tokens out of ``choices`` (positions)."""
    return (choices[rng.integers(0, len(choices), shape)] + 1).astype(np.int32)


def logistic_cost(logits: Tensor, labels: Tensor, negatives: Tensor) -> Tensor:
    """Mean binary cross-entropy of float32[B, L, 1 + K]: the next item first, then K negatives.

    A negative that equals the next item does not count, nor does a place without a label (0).
    """
    targets = ops.one_hot(ops.zeros(ops.shape(labels), "int32"), logits.shape[-1])
    losses = ops.relu(logits) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
    real = ops.cast(labels > 0, "float32")[..., None]
    apart = ops.cast(negatives != labels[..., None], "float32")
    counted = ops.concatenate([real, apart * real], axis=-1)
    return ops.sum(losses * counted) / ops.maximum(ops.sum(real), 1.0)
