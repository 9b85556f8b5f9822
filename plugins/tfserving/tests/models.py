"""Makes small SavedModels for the tests, in a process of its own: ``python models.py SPECIFICATION``.

The specification is a JSON list: {"kind", "out", "vectors", "tower"}, the last two naming npy files.
"""

import json
import os
import runpy
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from cuvee_tfserving.protos import PredictionLog, PredictRequest, TensorProto

assert "tensorflow" not in sys.modules

# ruff: noqa: E402 - in this order on purpose
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import prediction_log_pb2

# after the stand-in comes the real one, with the very same message classes
assert int(tf.constant(1) + 1) == 2
assert tensor_pb2.TensorProto is TensorProto
assert prediction_log_pb2.PredictionLog is PredictionLog

INT, FLOAT = tf.int32, tf.float32


class Deep(tf.Module):
    """A user is the mean of the vectors of the history."""

    def __init__(self, vectors, tower=None, length=None, spoil="", work=0):
        super().__init__()
        self.vectors = tf.Variable(np.concatenate([np.zeros((1, vectors.shape[1]), np.float32), vectors]))
        self.tower = None if tower is None else tf.Variable(tower)
        self.length = length
        self.spoil = spoil
        self.heavy = tf.Variable(np.eye(work, dtype=np.float32)) if work else None

    def mean(self, history):
        known = tf.cast(history > 0, FLOAT)[:, :, None]
        found = tf.gather(self.vectors, history)
        vector = tf.reduce_sum(found * known, 1) / tf.maximum(tf.reduce_sum(known, 1), 1)
        if self.heavy is not None:
            product = self.heavy.value()
            for _ in tf.range(tf.shape(history)[0]):
                product = tf.linalg.matmul(product, self.heavy)
            vector += 0 * tf.reduce_sum(product)
        return vector

    def signatures(self, scoring_only=False):
        history = tf.TensorSpec([None, self.length], INT, "history")

        @tf.function(input_signature=[history])
        def user_vector(history):
            vector = self.mean(history)
            if self.spoil == "shape":
                vector = tf.concat([vector, vector], 1)
            if self.spoil == "nan":
                vector += np.nan
            if self.spoil == "dtype":
                vector = tf.cast(vector, tf.float64)
            if self.spoil == "name":
                return {"embedding": vector}
            return {"vector": vector}

        @tf.function(input_signature=[history, tf.TensorSpec([None, None], INT, "items")])
        def score(history, items):
            scores = tf.einsum("bd,bmd->bm", self.mean(history), tf.gather(self.vectors, items))
            return {"scores": scores + np.nan if self.spoil == "nan" else scores}

        made = {"score": score, "serving_default": score}
        if not scoring_only:
            made["user_vector"] = user_vector
        if self.tower is not None:

            @tf.function(input_signature=[tf.TensorSpec([None, self.tower.shape[0]], FLOAT, "features")])
            def item_vector(features):
                return {"vector": features @ self.tower}

            made["item_vector"] = item_vector
        return made


def warm_up(folder, name, length):
    request = PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = "user_vector"
    request.inputs["history"].CopyFrom(tf.make_tensor_proto(np.ones((1, length or 3), np.int32)))
    log = PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    extra = folder / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def make(kind, out, vectors, tower=None, length=None, work=0):
    folder = Path(out)
    loaded = np.load(vectors)
    spoil = kind if kind in {"shape", "nan", "dtype", "name"} else ""
    model = Deep(loaded, None if tower is None else np.load(tower), length, spoil, work)
    tf.saved_model.save(model, str(folder), model.signatures(scoring_only=kind == "scoring"))
    if kind == "scoring":
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra" / "meta.json").write_text(json.dumps({"n_items": len(loaded)}))
        return
    warm_up(folder, "deep", length)
    np.save(folder / "assets.extra" / "item_vectors.npy", loaded)


for one in json.loads(Path(sys.argv[1]).read_text()):
    if one["kind"] == "conformance":
        runpy.run_path(one["script"])["main"](Path(one["out"]), one["out"])
    else:
        make(**one)
