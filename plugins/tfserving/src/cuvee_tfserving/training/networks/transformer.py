"""A transformer over the newest events, tied to an item tower over id and features.

Causal self-attention with learned positions (Kang and McAuley, SASRec, ICDM 2018), pre-normalised
blocks, trained at every position to name the next item by a softmax over all items or over many
shared negatives: the loss, more than the network, makes this family accurate (Klenitskiy and
Vasilev, RecSys 2023; Petrov and Macdonald, gSASRec, RecSys 2023).

An item's vector is its id embedding plus the tower's output for its features. In training, the id
embeddings of a share of the items are dropped in each step (Volkovs et al., DropoutNet, NeurIPS 2017), so
that the tower learns to work alone, as it must for items newer than the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras
import numpy as np
from cuvee import Histories
from cuvee.recommender import Floats, Ints
from keras import ops

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.networks.blocks import Block, decays
from cuvee_tfserving.training.networks.network import Network, Tensor, draw_negatives
from cuvee_tfserving.training.sequences import count_windows, lead, lessons

__all__ = ["Transformer"]

SHAPES = 8
"""The places with labels of a batch are filled up to one of so many lengths: each is compiled once."""


class Transformer(Network):
    """The network; see the module."""

    factorises = True
    has_tower = True

    def __init__(
        self, config: TrainingConfig, features: Floats, events: Histories, initial: Floats | None = None
    ) -> None:
        super().__init__(config, len(features))
        d, length = config.dimensions, config.max_history
        # constants that no step changes: token 0 has no features
        self.features = ops.convert_to_tensor(np.concatenate([np.zeros((1, features.shape[1])), features]), "float32")
        self.choices = np.unique(events.items)
        trained = np.zeros(self.n_items + 1, np.float32)
        trained[self.choices + 1] = 1
        # an item without events only has its features, and is never a negative
        self.trained = ops.convert_to_tensor(trained)
        start = np.random.default_rng(config.seed).normal(size=(self.n_items + 1, d)) * 0.5
        if initial is not None:
            start[1:] = np.where(initial.any(axis=1, keepdims=True), initial, start[1:])
        self.embedding = self.add_weight(shape=start.shape, name="ids", initializer="zeros")
        self.embedding.assign((start * trained[:, None] / math.sqrt(d)).astype(np.float32))
        self.places = self.add_weight(
            shape=(length, d), name="places", initializer=keras.initializers.RandomNormal(stddev=0.02)
        )
        self.tower_in = keras.layers.Dense(2 * d, activation="relu")
        self.tower_out = keras.layers.Dense(d, kernel_initializer="zeros")
        self.tower_in.build((None, features.shape[1]))
        self.tower_out.build((None, 2 * d))
        self.timed = config.relative
        self.drop = keras.layers.Dropout(config.dropout)
        self.blocks = [Block(config, name=f"block_{n}") for n in range(config.layers)]
        for block in self.blocks:
            block.build((None, length, d))
        self.frozen: Tensor | None = None
        self.last = keras.layers.LayerNormalization(epsilon=1e-6)
        self.last.build((None, None, d))
        self.future = ops.convert_to_tensor(np.triu(np.full((1, 1, length, length), -1e9, np.float32), 1))

    def batches(self, events: Histories, epoch: int) -> Iterator[tuple[Ints | Floats, ...]]:
        """Histories, what comes next at each place, and the negatives of the batch where they are sampled."""
        config = self.config
        rng = np.random.default_rng((config.seed, epoch, 1))
        step = max(config.batch_size * config.max_history // SHAPES, 1)
        for inputs, ages, labels in lessons(
            events, config.max_history, config.batch_size, config.seed, epoch, config.look_ahead
        ):
            # only places with a label are scored: in a batch of short histories most have none
            counted = np.flatnonzero(labels).astype(np.int32)
            room = -len(counted) % step
            places, targets = np.pad(counted, (0, room)), np.pad(labels.reshape(-1)[counted], (0, room))
            drawn = (draw_negatives(rng, self.choices, (config.negatives,)),) if config.negatives else ()
            yield (inputs, ages, places, targets, *drawn) if self.timed else (inputs, places, targets, *drawn)

    def steps(self, events: Histories) -> int:
        """The number of batches that the windows of an epoch fill."""
        length = self.config.max_history
        return -(-count_windows(events, length + 1, lead(length)) // self.config.batch_size)

    def tower_vectors(self, features: Tensor) -> Tensor:
        """float32[n, F] -> float32[n, d]: an item's vector by its features alone."""
        return self.tower_out(self.tower_in(features))

    def vectors(self, tokens: Tensor, known: Tensor | None = None) -> Tensor:
        """The vectors of tokens, float32[..., d]; ``known`` marks, by token, whose id embedding counts."""
        ids = ops.take(self.embedding * (self.trained if known is None else known)[:, None], tokens, axis=0)
        return ids + self.tower_vectors(ops.take(self.features, tokens, axis=0))

    def all_vectors(self, known: Tensor | None = None) -> Tensor:
        """float32[N + 1, d], the row of token 0 included."""
        ids = self.embedding * (self.trained if known is None else known)[:, None]
        return ids + self.tower_vectors(self.features)

    def encode(
        self, tokens: Tensor, x: Tensor, ages: Tensor | None = None, training: bool = False, newest: bool = False
    ) -> Tensor:
        """A state after each event, float32[B, L, d]; with ``newest`` after the last alone, float32[B, 1, d].

        Of tokens int32[B, L], their vectors, float32[B, L, d], and how many seconds before the newest each event was,
        float32[B, L].
        """
        there = ops.cast(tokens > 0, "float32")
        length = ops.shape(tokens)[1]
        bias = self.future[:, :, :length, :length] + (1 - there[:, None, None, :]) * -1e9
        # places are counted from the first event on: a new user's few events, though they are at the
        # right, look as the beginnings of histories did in training
        places = ops.cast(ops.maximum(ops.cumsum(there, axis=1) - 1, 0), "int32")
        x = (x + ops.take(self.places, places, axis=0)) * math.sqrt(self.config.dimensions)
        x = self.drop(x * there[..., None], training=training)
        near = None if ages is None else decays(ages)
        for block in self.blocks[:-1]:
            x = block(x, bias, near, training=training)
        return self.last(self.blocks[-1](x, bias, near, training=training, newest=newest))

    def user_vectors(self, history: Tensor) -> Tensor:
        """The state after the newest event; zeros where the history is empty.

        Columns that are padding in all rows are cut off: few histories are as long as the model can read.
        """
        tokens, ages = history if self.timed else (history, None)
        there = ops.cast(tokens > 0, "int32")
        if keras.backend.backend() == "tensorflow":  # JAX compiles for one length
            first = ops.argmax(ops.max(there, axis=0))
            tokens, ages = tokens[:, first:], None if ages is None else ages[:, first:]
        state = self.encode(tokens, ops.take(self.table(), tokens, axis=0), ages, newest=True)[:, -1]
        return state * ops.cast(ops.max(there, axis=1, keepdims=True), "float32")

    def item_vectors(self) -> Tensor:
        """Id embedding and tower of each item; only the tower for items without events."""
        return self.table()[1:]

    def scores(self, history: Tensor, items: Tensor) -> Tensor:
        """The products of user and item vectors."""
        return ops.einsum("bd,bmd->bm", self.user_vectors(history), ops.take(self.table(), items, axis=0))

    def freeze(self) -> None:
        """Compute the vectors of all items once, for serving."""
        table = ops.convert_to_numpy(self.all_vectors())
        self.frozen = self.add_weight(shape=table.shape, name="frozen", initializer="zeros", trainable=False)
        self.frozen.assign(table)

    def table(self) -> Tensor:
        """float32[N + 1, d]: by token, recomputed unless frozen."""
        return self.all_vectors() if self.frozen is None else ops.convert_to_tensor(self.frozen)

    def cost(self, inputs: Tensor, *rest: Tensor) -> Tensor:
        """The weighted mean cross-entropy of the next items.

        ``inputs`` are int32[B, L] of tokens; ``targets`` int32[C] are the tokens that follow the events at
        ``places``, int32[C] in the flattened inputs; a target of 0 only fills the array, and does not count.
        Against all items, or against ``negatives`` int32[S]: uniform draws shared by the batch. The
        draws stand for the rest of the catalogue, so they are weighed up to its size.
        """
        config = self.config
        ages, (places, targets, *drawn) = (rest[0], rest[1:]) if self.timed else (None, rest)
        negatives = drawn[0] if drawn else None
        known = None
        if config.id_dropout:
            chance = keras.random.uniform((self.n_items + 1,), seed=self.seeds)
            known = self.trained * ops.cast(chance >= config.id_dropout, "float32")
        nth = ops.maximum(ops.cumsum(ops.cast(inputs > 0, "float32"), axis=1), 1.0)
        weights = ops.take(ops.reshape(ops.maximum(config.newcomers / nth, 1.0), (-1,)), places)
        weights = weights * ops.cast(targets > 0, "float32")
        if negatives is None:
            table = self.all_vectors(known)
            states = self.encode(inputs, ops.take(table, inputs, axis=0), ages, training=True)
            states = ops.take(ops.reshape(states, (-1, config.dimensions)), places, axis=0)
            logits = ops.matmul(states, ops.transpose(ops.take(table, self.choices + 1, axis=0)))
            # log-sum-exp and indexing: a one-hot array as large as the logits would double the memory
            own = ops.sum(states * ops.take(table, targets, axis=0), axis=-1)
            losses = ops.logsumexp(logits, axis=-1) - own
        else:
            states = self.encode(inputs, self.vectors(inputs, known), ages, training=True)
            states = ops.take(ops.reshape(states, (-1, config.dimensions)), places, axis=0)
            own = ops.sum(states * self.vectors(targets, known), axis=-1)
            logits = ops.matmul(states, ops.transpose(self.vectors(negatives, known)))
            logits = ops.where(targets[:, None] == negatives, -1e9, logits)
            logits = logits + math.log(max(1.0, (len(self.choices) - 1) / negatives.shape[0]))
            losses = ops.logaddexp(ops.logsumexp(logits, axis=-1), own) - own
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)
