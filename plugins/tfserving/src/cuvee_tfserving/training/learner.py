"""What a training run changes: weights, the optimiser's state and the running mean of the weights.

The mathematics is the network's and is written in Keras, which runs on TensorFlow or on JAX. What differs
between the two, how gradients are taken and a step is compiled, is in one class for each.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from cuvee.recommender import Floats, Ints

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.networks.network import Network, Tensor

__all__ = ["Learner", "learner_of"]

Arrays = list[npt.NDArray[Any]]


class Learner(ABC):
    """A network while it learns."""

    def __init__(self, network: Network, config: TrainingConfig) -> None:
        self.network, self.config = network, config
        self.weights = list(network.trainable_variables)
        self.optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        self.optimizer.build(self.weights)
        self.steps = 0
        """Steps done. Counted here: to read the optimiser's own count, each step would wait for the one before."""
        self.best: Arrays = self.mean_weights()

    @abstractmethod
    def step(self, batch: Sequence[Ints | Floats]) -> Any:
        """Learn from one batch; its loss, a scalar that need not have been computed yet."""

    @abstractmethod
    def scores(self, inputs: Sequence[Ints | Floats]) -> Floats:
        """float32[B, N]: the scores of all items for histories, int32[B, L], by the present weights."""

    @abstractmethod
    def mean_weights(self) -> Arrays:
        """The running mean of the weights."""

    @abstractmethod
    def arrays(self) -> dict[str, Arrays]:
        """Everything that a later run needs to continue, on either back end."""

    @abstractmethod
    def restore(self, arrays: dict[str, Arrays]) -> None:
        """Continue from :meth:`arrays`."""

    def pace(self, share: float) -> None:
        """Set the rate of the next step, when a share of the run is done.

        It rises over the first steps. Annealed, it then falls along a cosine to a hundredth of it (Loshchilov and
        Hutter, SGDR, ICLR 2017), otherwise it stays.
        """
        self.steps += 1
        rising = min(1.0, self.steps / max(self.config.warmup_steps, 1))
        falling = 0.505 + 0.495 * math.cos(math.pi * min(share, 1.0)) if self.config.annealed else 1.0
        self.optimizer.learning_rate.assign(self.config.learning_rate * rising * falling)

    def put(self, values: Arrays) -> None:
        """Set the weights."""
        for weight, value in zip(self.weights, values, strict=True):
            weight.assign(value)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Use the means in place of the weights."""
        now = [np.asarray(weight) for weight in self.weights]
        self.put(self.mean_weights())
        yield
        self.put(now)

    def decay(self, done: Tensor) -> Tensor:
        """Of the running mean, after so many steps: with a constant one the first would have too much weight."""
        done = keras.ops.cast(done, "float32")
        return keras.ops.minimum(self.config.averaging, (1.0 + done) / (10.0 + done))

    def score_all(self, *inputs: Tensor) -> Tensor:
        """The scores of all items, as tensors."""
        network, ops = self.network, keras.ops
        history = inputs if network.timed else inputs[0]
        if network.factorises:
            return ops.matmul(network.user_vectors(history), ops.transpose(network.item_vectors()))
        items = ops.tile(ops.arange(1, network.n_items + 1)[None], (ops.shape(inputs[0])[0], 1))
        return network.scores(history, items)


def learner_of(network: Network, config: TrainingConfig) -> Learner:
    """The learner for the back end that Keras runs on."""
    if keras.backend.backend() == "jax":
        from cuvee_tfserving.training.on_jax import OnJax  # noqa: PLC0415 - only one of the two is installed

        return OnJax(network, config)
    from cuvee_tfserving.training.on_tensorflow import OnTensorFlow  # noqa: PLC0415

    return OnTensorFlow(network, config)
