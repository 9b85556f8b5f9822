"""On what a model is trained: a GPU where one is found, else the processor."""

from __future__ import annotations

import os
from importlib.util import find_spec

__all__ = ["backend", "device"]


def backend() -> str:
    """The Keras back end: the one that KERAS_BACKEND names, JAX where it sees a GPU, else TensorFlow."""
    named = os.environ.get("KERAS_BACKEND")
    if named in {"jax", "tensorflow"}:
        return named
    if find_spec("jax") is not None:
        import jax  # noqa: PLC0415 - it takes a second, and is rarely there

        if jax.default_backend() == "gpu":
            return "jax"
    return "tensorflow"


def device(backend: str) -> str:
    """The name of the device that a back end trains on, for people to read."""
    if backend == "jax":
        import jax  # noqa: PLC0415

        return str(jax.devices()[0].device_kind)
    import tensorflow as tf  # noqa: PLC0415

    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")) if gpus else "cpu"
