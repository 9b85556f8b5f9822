"""Neural collaborative filtering: generalised matrix factorisation beside a multi-layer perceptron.

After He et al., *Neural Collaborative Filtering*, WWW 2017, with one deviation: the published network
looks a user up in a table, so it cannot serve new users. Here a user is represented by his history:
several weighted means of item embeddings, with learned weights by the age of an event. The served
signature takes the history, so one click changes the answer, and a new user is served.

Scores are log-odds; a score is not a product of two vectors, so candidates are found by scoring.
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

__all__ = ["NeuMF"]


class NeuMF(Network):
    """The network; see the module. ``heads`` means of the history, ``layers`` hidden layers."""

    factorises = False

    def __init__(self, config: TrainingConfig, n_items: int, events: Histories) -> None:
        super().__init__(config, n_items)
        d, length = config.dimensions, config.max_history
        self.choices = np.unique(events.items)
        self.embeddings = [
            self.add_weight(
                shape=(n_items + 1, d), name=name, initializer=keras.initializers.RandomNormal(stddev=d**-0.5)
            )
            for name in ("read", "wanted_product", "wanted_perceptron")
        ]
        self.bias = self.add_weight(shape=(n_items + 1,), name="bias", initializer="zeros")
        # initial half-lives from one event to all of them, for recent and for lasting interests
        halves = np.geomspace(1, 2 * length, config.heads)[:, None]
        self.ages = self.add_weight(shape=(config.heads, length), name="ages", initializer="zeros")
        self.ages.assign((-np.arange(length) * np.log(2) / halves).astype(np.float32))
        self.product_user = keras.layers.Dense(d)
        self.perceptron_user = keras.layers.Dense(d)
        for layer in (self.product_user, self.perceptron_user):
            layer.build((None, None, config.heads * d))
        widths = [2 * d] + [max(2 * d >> n, 8) for n in range(1, config.layers + 1)]
        self.hidden = [keras.layers.Dense(width, activation="relu") for width in widths[1:]]
        for layer, width in zip(self.hidden, widths, strict=False):
            layer.build((None, None, None, width))
        self.out_product = keras.layers.Dense(1, use_bias=False)
        self.out_product.build((None, None, None, d))
        self.out_perceptron = keras.layers.Dense(1, use_bias=False)
        self.out_perceptron.build((None, None, None, widths[-1]))
        self.drop = keras.layers.Dropout(config.dropout)
        at = np.arange(length)
        self.back = ops.convert_to_tensor(np.clip(at[:, None] - at[None, :], 0, None), "int32")
        self.past = ops.convert_to_tensor((at[:, None] >= at[None, :]).astype(np.float32))

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

    def users(self, tokens: Tensor, newest_only: bool) -> Tensor:
        """int32[B, L] -> the heads' means after each event float32[B, L, heads * d], or after the last, L = 1."""
        there = ops.cast(tokens > 0, "float32")
        read = ops.take(self.embeddings[0], tokens, axis=0) * there[..., None]
        weights = ops.exp(ops.take(self.ages, self.back, axis=1)) * self.past
        if newest_only:
            weights = weights[:, -1:]
        sums = ops.einsum("hts,bsd->bthd", weights, read)
        totals = ops.einsum("hts,bs->bth", weights, there)
        means = sums / ops.maximum(totals, 1e-9)[..., None]
        return ops.reshape(means, (-1, means.shape[1], self.config.heads * self.config.dimensions))

    def logits(self, users: Tensor, items: Tensor, training: bool = False) -> Tensor:
        """Users float32[B, T, heads * d], tokens int32[B, T, M] -> log-odds float32[B, T, M]."""
        users = self.drop(users, training=training)
        wanted = ops.take(self.embeddings[1], items, axis=0)
        product = self.out_product(self.product_user(users)[:, :, None] * wanted)
        deep_items = ops.take(self.embeddings[2], items, axis=0)
        deep = ops.broadcast_to(self.perceptron_user(users)[:, :, None], ops.shape(deep_items))
        deep = ops.concatenate([deep, deep_items], axis=-1)
        for layer in self.hidden:
            deep = layer(deep)
        return (product + self.out_perceptron(deep))[..., 0] + ops.take(self.bias, items, axis=0)

    def cost(self, inputs: Tensor, labels: Tensor, negatives: Tensor) -> Tensor:
        """Binary cross-entropy of each next item and of its negatives."""
        asked = ops.concatenate([labels[..., None], negatives], axis=-1)
        return logistic_cost(self.logits(self.users(inputs, False), asked, training=True), labels, negatives)

    def scores(self, history: Tensor, items: Tensor) -> Tensor:
        """The log-odds."""
        return self.logits(self.users(history, True), items[:, None])[:, 0]
