"""A multinomial variational autoencoder of the history.

After Liang et al., *Variational Autoencoders for Collaborative Filtering*, WWW 2018: the history as a
bag of items, half of it dropped, is encoded as a Gaussian code and decoded to all of its items. The weight
of the divergence from the prior grows slowly. The last layer is a product of the network's output for
the history and a vector of each item, so candidates are found by vectors; an item's bias is one more
dimension of both.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
from cuvee import Histories
from cuvee.recommender import Ints
from keras import ops

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.networks.network import Network, Tensor
from cuvee_tfserving.training.sequences import count_windows, windows

__all__ = ["Autoencoder"]

MOST_DIVERGENCE = 0.2
"""The final weight of the divergence, and the number of steps until it is reached."""
ANNEALING = 2000


class Autoencoder(Network):
    """The network; see the module. ``layers`` dense layers on each side of a code of ``dimensions``."""

    factorises = True

    def __init__(self, config: TrainingConfig, n_items: int, events: Histories) -> None:
        super().__init__(config, n_items)
        d, wide = config.dimensions, 2 * config.dimensions
        trained = np.zeros(n_items, np.float32)
        trained[np.unique(events.items)] = 1
        # an item without events looks like one that nobody wants, so it is left out of the loss
        self.barred = ops.convert_to_tensor((trained - 1) * 1e9)
        near = keras.initializers.RandomNormal(stddev=wide**-0.5)
        self.read = self.add_weight(shape=(n_items + 1, wide), name="read", initializer=near)
        self.named = self.add_weight(shape=(n_items, wide), name="named", initializer=near)
        self.bias = self.add_weight(shape=(n_items,), name="bias", initializer="zeros")
        self.done = self.add_weight(shape=(), name="done", initializer="zeros", trainable=False)
        self.encoder = [keras.layers.Dense(wide, activation="tanh") for _ in range(config.layers)]
        self.decoder = [keras.layers.Dense(wide, activation="tanh") for _ in range(config.layers)]
        self.mean, self.spread = keras.layers.Dense(d), keras.layers.Dense(d, kernel_initializer="zeros")
        for layer in (*self.encoder, self.mean, self.spread):
            layer.build((None, wide))
        for n, layer in enumerate(self.decoder):
            layer.build((None, wide if n else d))

    def batches(self, events: Histories, epoch: int) -> Iterator[tuple[Ints, ...]]:
        """Windows of ``max_history``."""
        config = self.config
        for window in windows(events, config.max_history, config.batch_size, config.seed, epoch):
            yield (window,)

    def steps(self, events: Histories) -> int:
        """The number of batches of non-overlapping windows."""
        return -(-count_windows(events, self.config.max_history) // self.config.batch_size)

    def encode(self, there: Tensor, tokens: Tensor) -> Tensor:
        """Tokens int32[B, L] and their weights float32[B, L] -> float32[B, wide]."""
        bag = ops.einsum("bl,bld->bd", there, ops.take(self.read, tokens, axis=0))
        x = bag / ops.sqrt(ops.maximum(ops.sum(ops.square(there), axis=1, keepdims=True), 1e-9))
        for layer in self.encoder:
            x = layer(x)
        return x

    def decode(self, code: Tensor) -> Tensor:
        """float32[B, d] -> float32[B, wide]."""
        for layer in self.decoder:
            code = layer(code)
        return code

    def cost(self, window: Tensor) -> Tensor:
        """The multinomial negative log-likelihood of each window's items by half of them, plus the divergence."""
        there = ops.cast(window > 0, "float32")
        kept = ops.cast(keras.random.uniform(ops.shape(window), seed=self.seeds) < 0.5, "float32") * there
        x = self.encode(kept, window)
        mean, log_variance = self.mean(x), self.spread(x)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        state = self.decode(mean + ops.exp(0.5 * log_variance) * noise)
        logits = ops.matmul(state, ops.transpose(self.named)) + self.bias + self.barred
        named = ops.take_along_axis(ops.log_softmax(logits), ops.maximum(window - 1, 0), axis=1)
        likelihood = ops.sum(named * there, axis=1)
        divergence = 0.5 * ops.sum(ops.exp(log_variance) + ops.square(mean) - 1 - log_variance, axis=1)
        weight = MOST_DIVERGENCE * ops.minimum(1.0, self.done / ANNEALING)
        self.done.assign_add(1.0)
        rows = ops.cast(ops.any(window > 0, axis=1), "float32")
        return ops.sum((weight * divergence - likelihood) * rows) / ops.maximum(ops.sum(there), 1.0)

    def user_vectors(self, history: Tensor) -> Tensor:
        """The decoded mean code, and a 1 for the bias; zeros where the history is empty."""
        there = ops.cast(history > 0, "float32")
        state = self.decode(self.mean(self.encode(there, history)))
        vectors = ops.concatenate([state, ops.ones_like(state[:, :1])], axis=1)
        return vectors * ops.cast(ops.max(history, axis=1, keepdims=True) > 0, "float32")

    def item_vectors(self) -> Tensor:
        """Each item's column of the last layer, and its bias."""
        return ops.concatenate([self.named, self.bias[:, None]], axis=1)

    def scores(self, history: Tensor, items: Tensor) -> Tensor:
        """The products of user and item vectors: logits of the multinomial."""
        rows = ops.take(self.item_vectors(), ops.maximum(items - 1, 0), axis=0)
        return ops.einsum("bd,bmd->bm", self.user_vectors(history), rows)
