"""A trained network as a SavedModel with the documented signatures, and the files that go with it.

====================  =======================================  =================================
signature             inputs                                   outputs
====================  =======================================  =================================
``serving_default``,  ``history`` int32[B, L],                 ``scores`` float32[B, M]
``score``             ``items`` int32[B, M]
``user_vector``       ``history`` int32[B, L]                  ``vector`` float32[B, d]
``item_vector``       ``features`` float32[M, F]               ``vector`` float32[M, d]
====================  =======================================  =================================

Items are positions + 1. A history is padded with 0 at the *left*, oldest first, L is always ``max_history``;
``items`` may be padded with 0 anywhere, and scores there have no meaning. Networks with ``relative`` have one
more input beside ``history``: ``ages`` float32[B, L], how many seconds before the newest each event was. A number
above ``n_items`` is an error of the whole batch. ``user_vector`` exists where a score is the product
of the user's vector and row ``position`` of ``item_vectors.npy`` (an item's bias is one more
dimension of both); ``item_vector`` where features alone give an item its vector: those that
``item_features.json`` describes (:mod:`cuvee_tfserving.training.features`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from cuvee.recommender import Floats, Ints
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from cuvee_tfserving.training.config import TrainingConfig
from cuvee_tfserving.training.fit import Trained
from cuvee_tfserving.training.networks.network import Network
from cuvee_tfserving.training.sequences import age_rows, token_rows

__all__ = ["export"]

SAVED_MODEL = "saved_model"
VECTORS, FEATURES, META = "item_vectors.npy", "item_features.json", "meta.json"
_WARM_ROWS = (1, 32)
_WARM_ITEMS = 100


def export(trained: Trained, config: TrainingConfig, out: Path) -> dict[str, Any]:
    """Write ``saved_model/``, ``item_vectors.npy``, ``item_features.json`` and ``meta.json``; gives the last."""
    network, length, width = trained.network, config.max_history, trained.features.width
    network.freeze()
    endpoints = _endpoints(network, length, width)
    archive = keras.export.ExportArchive()
    archive.track(network)
    for name, (function, signature) in endpoints.items():
        archive.add_endpoint(name, function, input_signature=signature)
    saved = out / SAVED_MODEL
    shutil.rmtree(saved, ignore_errors=True)
    archive.write_out(str(saved), verbose=False)
    _write_warmup(saved, _questions(trained, list(endpoints), length, width))
    for name in (VECTORS, FEATURES):
        (out / name).unlink(missing_ok=True)
    vectors: Floats | None = None
    if network.factorises:
        vectors = np.asarray(network.item_vectors(), np.float32)
        np.save(out / VECTORS, vectors)
    if network.has_tower:
        trained.features.save(out / FEATURES)
    standing = trained.standing
    best = next((point for point in standing.curve if point["epoch"] == standing.best_epoch), {})
    meta = {
        "architecture": config.architecture,
        "signatures": sorted(endpoints),
        "user_vectors": network.factorises,
        "item_tower": network.has_tower,
        "max_history": length,
        "n_items": network.n_items,
        "n_features": width if network.has_tower else 0,
        "d": 0 if vectors is None else vectors.shape[1],
        "metrics": {name: best[name] for name in ("ndcg", "hr", "loss") if name in best},
        "epochs": standing.epoch,
        "best_epoch": standing.best_epoch,
        "seconds": round(standing.seconds, 1),
        "curve": standing.curve,
        "config": config.model_dump(mode="json"),
        "versions": {"keras": keras.__version__, "tensorflow": tf.__version__},
    }
    (out / META).write_text(json.dumps(meta, indent=1))
    return meta


def _endpoints(network: Network, length: int, width: int) -> dict[str, tuple[Any, list[Any]]]:
    """Name -> function and the specification of its inputs."""
    history = tf.TensorSpec((None, length), tf.int32, "history")
    ages = [tf.TensorSpec((None, length), tf.float32, "ages")] if network.timed else []
    items = tf.TensorSpec((None, None), tf.int32, "items")
    features = tf.TensorSpec((None, width), tf.float32, "features")

    def score(*inputs: Any) -> dict[str, Any]:
        *history, items = inputs
        return {"scores": network.scores(history if network.timed else history[0], items)}

    def user_vector(*history: Any) -> dict[str, Any]:
        return {"vector": network.user_vectors(history if network.timed else history[0])}

    def item_vector(features: Any) -> dict[str, Any]:
        return {"vector": network.tower_vectors(features)}

    found: dict[str, tuple[Any, list[Any]]] = {
        "serving_default": (score, [history, *ages, items]),
        "score": (score, [history, *ages, items]),
    }
    if network.factorises:
        found["user_vector"] = (user_vector, [history, *ages])
    if network.has_tower:
        found["item_vector"] = (item_vector, [features])
    return found


def _questions(
    trained: Trained, names: list[str], length: int, width: int
) -> Iterator[tuple[str, Mapping[str, Ints | Floats]]]:
    """A signature and its inputs, for each signature and the batch sizes that warm a server up."""
    events = trained.held.train
    first = np.flatnonzero(events.lengths)[: max(_WARM_ROWS)]
    rows, ages = token_rows(events.select(first), length), age_rows(events.select(first), length)
    items = np.arange(1, min(_WARM_ITEMS, trained.network.n_items) + 1, dtype=np.int32)
    for n in _WARM_ROWS:
        history = np.resize(rows, (n, length)).astype(np.int32)
        asked: dict[str, Ints | Floats] = {"history": history}
        if trained.network.timed:
            asked["ages"] = np.resize(ages, (n, length)).astype(np.float32)
        inputs: dict[str, Mapping[str, Ints | Floats]] = {
            "user_vector": asked,
            "item_vector": {"features": np.zeros((n, width), np.float32)},
        }
        for name in names:
            yield name, inputs.get(name, {**asked, "items": np.tile(items, (n, 1))})


def _write_warmup(saved: Path, questions: Iterator[tuple[str, Mapping[str, Ints | Floats]]]) -> None:
    """The requests that a server runs before a version goes live: ``assets.extra/tf_serving_warmup_requests``."""
    folder = saved / "assets.extra"
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as records:
        for signature, inputs in questions:
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = signature
            for name, array in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            records.write(log.SerializeToString())
