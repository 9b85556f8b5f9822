"""Makes the SavedModel that the conformance cases ask: ``python models.py FOLDER [BASE]``.

Writes FOLDER/conformance/1, 2 and 3 and FOLDER/models.config, whose base path is BASE (by default
/models, where TensorFlow Serving's image looks). Version v computes y = v x, n = the sum of y.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

CONFIG = """\
model_config_list {{
  config {{
    name: "conformance"
    base_path: "{base}/conformance"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
}}
"""


class Model(tf.Module):
    """One version."""

    def __init__(self, version):
        super().__init__()
        self.factor = tf.Variable(float(version))
        self.table = tf.Variable([10.0, 11.0, 12.0, 13.0, 14.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def scale(self, x):
        """Y = v x, and its sum over each row."""
        y = x * self.factor
        return {"y": y, "n": tf.reduce_sum(y, 1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "ids")])
    def lookup(self, ids):
        """Five numbers, by index."""
        return {"values": tf.gather(self.table, ids)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "s"), tf.TensorSpec([None], tf.int64, "times")])
    def text(self, s, times):
        """Strings in capitals, whole numbers twice."""
        return {"upper": tf.strings.upper(s), "twice": 2 * times}


def main(folder, base="/models"):
    """Write the versions and the configuration."""
    for version in (1, 2, 3):
        model = Model(version)
        signatures = {"serving_default": model.scale, "lookup": model.lookup, "text": model.text}
        tf.saved_model.save(model, str(folder / "conformance" / str(version)), signatures)
    (folder / "models.config").write_text(CONFIG.format(base=base))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
