"""The blocks of the transformer: attention and a feed-forward network, each normalised before and added after.

Attention is a softmax, or pointwise: SiLU of each product by itself, as in HSTU (Zhai et al., Actions Speak Louder
than Words, ICML 2024), which keeps how many events speak for something. Gates (LiGR, Borisyuk et al., 2025;
SwiGLU, Shazeer, 2020) let a block say how much of what it found is to be added. What is nearer, in places or in
time, may count more: a bias for each distance in places (Raffel et al., T5, 2020), and a sum of decays with the
time between two events, from a minute to a year, whose weights are learnt for each head. Buckets of time, as HSTU
has them, say the same; their gradient is a sum into few places, which is slow.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.networks.network import Tensor

__all__ = ["Block", "decays"]

SPANS = tuple(60.0 * 6.0**n for n in range(8))
"""Seconds in which the influence of an event falls to 1/e: a minute, six minutes, ... three months and more."""


def decays(ages: Tensor) -> Tensor:
    """Seconds before the newest event, float32[B, L] -> float32[B, L, L, 8]: how near each event is to each in time."""
    apart = ops.abs(ages[:, :, None] - ages[:, None, :])
    return ops.exp(-apart[..., None] / np.asarray(SPANS, np.float32))


class Block(keras.layers.Layer):  # type: ignore[misc]  # keras ships no types
    """One block."""

    def __init__(self, config: TrainingConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        d = config.dimensions
        self.config, self.heads, self.size = config, config.heads, d // config.heads
        self.before = keras.layers.LayerNormalization(epsilon=1e-6)
        self.projection = keras.layers.Dense((4 if config.gated else 3) * d, use_bias=False)
        self.inside = keras.layers.LayerNormalization(epsilon=1e-6)
        self.out = keras.layers.Dense(d)
        self.between = keras.layers.LayerNormalization(epsilon=1e-6)
        self.wide = keras.layers.Dense((2 if config.gated else 1) * config.feedforward * d)
        self.narrow = keras.layers.Dense(d)
        self.drop = keras.layers.Dropout(config.dropout)

    def build(self, _shape: tuple[int | None, ...]) -> None:
        """Make the weights of all parts; they do not depend on the shape of the input."""
        config, d, length = self.config, self.heads * self.size, self.config.max_history
        parts = [(self.before, d), (self.projection, d), (self.out, d), (self.between, d), (self.wide, d)]
        parts += [(self.narrow, config.feedforward * d)] + ([(self.inside, d)] if config.gated else [])
        for layer, width in parts:
            layer.build((None, None, width))
        if config.relative:
            self.apart = np.maximum(np.arange(length)[:, None] - np.arange(length), 0)
            self.near = self.add_weight(shape=(self.heads, length), name="near", initializer="zeros")
            self.recent = self.add_weight(shape=(len(SPANS), self.heads), name="recent", initializer="zeros")
        self.built = True

    def call(
        self, x: Tensor, bias: Tensor, near: Tensor | None = None, training: bool = False, newest: bool = False
    ) -> Tensor:
        """The next states.

        float32[B, L, d], what is added to attention, float32[B, 1, L, L], and nearness in time, float32[B, L, L, 8],
        to float32[B, L, d]. With ``newest`` only for the last place, float32[B, 1, d]: the others are read, and not
        computed.
        """
        config, d, length = self.config, self.heads * self.size, ops.shape(x)[1]
        before, kernel = self.before(x), self.projection.kernel  # query, gate, key and value lie side by side
        own = d * (2 if config.gated else 1)
        if newest:
            x, bias, near = x[:, -1:], bias[:, :, -1:], None if near is None else near[:, -1:]
        asking = ops.matmul(before[:, -1:] if newest else before, kernel[:, :own])
        (query,) = self._split(asking[..., :d], 1)
        key, value = self._split(ops.matmul(before, kernel[:, own:]), 2)
        products = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / math.sqrt(self.size)
        if config.relative:
            apart = ops.take(self.near, self.apart, axis=1)[:, :length, :length]
            products = products + (apart[:, -1:] if newest else apart)
        if near is not None:
            products = products + ops.transpose(ops.matmul(near, self.recent), (0, 3, 1, 2))
        if config.attention == "softmax":
            weights = ops.softmax(products + bias)
        else:
            weights = ops.silu(products) * ops.cast(bias > -1.0, "float32") / config.max_history
        seen = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        seen = ops.reshape(seen, (-1, ops.shape(x)[1], d))
        if config.gated:
            seen = self.inside(seen) * ops.silu(asking[..., d:])
        x = x + self.drop(self.out(seen), training=training)
        wide = self.wide(self.between(x))
        if config.gated:
            wide = wide[..., : config.feedforward * d] * ops.silu(wide[..., config.feedforward * d :])
        else:
            wide = ops.relu(wide)
        return x + self.drop(self.narrow(wide), training=training)

    def _split(self, mixed: Tensor, parts: int) -> list[Tensor]:
        """float32[B, L, parts * d] to as many float32[B, heads, L, size]."""
        apart = ops.reshape(mixed, (-1, ops.shape(mixed)[1], parts, self.heads, self.size))
        return [ops.transpose(apart[:, :, n], (0, 2, 1, 3)) for n in range(parts)]
