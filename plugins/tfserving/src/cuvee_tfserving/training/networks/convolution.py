"""One-dimensional convolutions over the embedded history, a sigmoid at the end, binary cross-entropy.

Causal, dilated convolutions with residual connections (Yuan et al., NextItNet, WSDM 2019; the idea of
convolving a history is that of Tang and Wang, Caser, WSDM 2018). Their output and the item's embedding
are the input of a small network whose sigmoid is the score, a probability. It is not a product of two
vectors, so candidates are found by scoring.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
from cuvee import Histories
from cuvee.recommender import Ints
from keras import ops

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.networks.network import Network, Tensor, draw_negatives, logistic_cost
from cuvee_tfserving.training.sequences import count_windows, lead, lessons

__all__ = ["Convolution"]


class Convolution(Network):
    """The network; see the module. ``layers`` convolutions of three events, each reaching twice as far back."""

    factorises = False

    def __init__(self, config: TrainingConfig, n_items: int, events: Histories) -> None:
        super().__init__(config, n_items)
        d = config.dimensions
        self.choices = np.unique(events.items)
        near = keras.initializers.RandomNormal(stddev=d**-0.5)
        self.read = self.add_weight(shape=(n_items + 1, d), name="read", initializer=near)
        self.wanted = self.add_weight(shape=(n_items + 1, d), name="wanted", initializer=near)
        self.bias = self.add_weight(shape=(n_items + 1,), name="bias", initializer="zeros")
        self.norms = [keras.layers.LayerNormalization(epsilon=1e-6) for _ in range(config.layers + 1)]
        self.convolutions = [
            keras.layers.Conv1D(d, 3, padding="causal", dilation_rate=2**n, activation="relu")
            for n in range(config.layers)
        ]
        for layer in (*self.norms, *self.convolutions):
            layer.build((None, config.max_history, d))
        self.meet = keras.layers.Dense(1)
        self.meet.build((None, None, None, d))
        self.drop = keras.layers.Dropout(config.dropout)

    def batches(self, events: Histories, epoch: int) -> Iterator[tuple[Ints, ...]]:
        """Histories, what comes next at each place, and for each next item its own negatives."""
        config = self.config
        rng = np.random.default_rng((config.seed, epoch, 1))
        shape = (config.batch_size, config.max_history, config.negatives or 4)
        for inputs, _, labels in lessons(
            events, config.max_history, config.batch_size, config.seed, epoch, config.look_ahead
        ):
            yield inputs, labels, draw_negatives(rng, self.choices, shape)

    def steps(self, events: Histories) -> int:
        """The number of batches that the windows of an epoch fill."""
        length = self.config.max_history
        return -(-count_windows(events, length + 1, lead(length)) // self.config.batch_size)

    def states(self, tokens: Tensor, training: bool = False) -> Tensor:
        """int32[B, L] -> float32[B, L, d]: the convolutions' output at each event."""
        there = ops.cast(tokens > 0, "float32")[..., None]
        x = self.drop(ops.take(self.read, tokens, axis=0), training=training) * there
        for norm, convolve in zip(self.norms, self.convolutions, strict=False):
            x = (x + self.drop(convolve(norm(x) * there), training=training)) * there
        return self.norms[-1](x)

    def logits(self, states: Tensor, items: Tensor) -> Tensor:
        """States float32[B, T, d], tokens int32[B, T, M] -> log-odds float32[B, T, M]."""
        met = states[:, :, None] * ops.take(self.wanted, items, axis=0)
        return self.meet(met)[..., 0] + ops.sum(met, axis=-1) + ops.take(self.bias, items, axis=0)

    def cost(self, inputs: Tensor, labels: Tensor, negatives: Tensor) -> Tensor:
        """Binary cross-entropy of each next item and of its negatives."""
        asked = ops.concatenate([labels[..., None], negatives], axis=-1)
        return logistic_cost(self.logits(self.states(inputs, training=True), asked), labels, negatives)

    def scores(self, history: Tensor, items: Tensor) -> Tensor:
        """Probabilities, 0 to 1."""
        return ops.sigmoid(self.logits(self.states(history)[:, -1:], items[:, None])[:, 0])
