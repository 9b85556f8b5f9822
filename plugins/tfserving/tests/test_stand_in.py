"""The client has TensorFlow Serving's messages, and none of TensorFlow."""

import json
import subprocess
import sys

MEASURE = """
import json, sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
import cuvee.serving.server
before, began = resident(), time.perf_counter()
import cuvee_tfserving.plugin
seconds, after = time.perf_counter() - began, resident()
print(json.dumps({
    "seconds": seconds, "mib": after - before, "all": after,
    "tensorflow": [m for m in sys.modules if m.split(".")[0] == "tensorflow" and not m.endswith("_pb2")],
    "mapped": "libtensorflow" in open("/proc/self/maps").read(),
}))
"""

REAL_AFTERWARDS = """
import sys
from cuvee_tfserving.protos import PredictRequest, TensorProto
assert "tensorflow" not in sys.modules
import tensorflow as tf
assert tf.__version__ and int(tf.constant(1) + 1) == 2
from tensorflow.core.framework import tensor_pb2
assert tensor_pb2.TensorProto is TensorProto
request = PredictRequest()
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0, 2.0]))
assert tf.make_ndarray(request.inputs["x"]).tolist() == [1.0, 2.0]
"""

REAL_BEFORE = """
import sys
import tensorflow as tf
from cuvee_tfserving.stand_in import without_tensorflow
with without_tensorflow() as put:
    assert put is False
    assert sys.modules["tensorflow"] is tf
from cuvee_tfserving.protos import TensorProto
assert sys.modules["tensorflow"] is tf
assert tf.make_tensor_proto(1.0).__class__ is TensorProto
"""

NOT_INSTALLED = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "tensorflow" else find(name, *more)
from cuvee_tfserving.stand_in import without_tensorflow
try:
    with without_tensorflow():
        raise SystemExit("the context was entered")
except ModuleNotFoundError as problem:
    assert "pip install tensorflow-serving-api" in str(problem)
assert "tensorflow" not in sys.modules
"""

BROKEN_WITHIN = """
import sys
from cuvee_tfserving.stand_in import without_tensorflow
try:
    with without_tensorflow() as put:
        assert put
        raise OSError
except OSError:
    pass
assert "tensorflow" not in sys.modules
"""


def run(*codes):
    """What the codes print, each in a process of its own, all at once."""
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for code in codes
    ]
    ends = [one.communicate(timeout=120) for one in running]
    for one, (_, said) in zip(running, ends, strict=True):
        assert one.returncode == 0, said[-3000:]
    return [out for out, _ in ends]


def test_the_plugin_costs_little_and_maps_no_tensorflow(record_property):
    runs = [json.loads(run(MEASURE)[0]) for _ in range(2)]
    found = min(runs, key=lambda one: one["seconds"])
    record_property("import", found)
    print(f"\nimport of the plugin: {found['seconds']:.2f} s, {found['mib']:.0f} MiB more, {found['all']:.0f} in all")
    assert found["tensorflow"] == []
    assert found["mapped"] is False
    assert found["mib"] < 80
    assert found["seconds"] < 1.0


def test_the_real_tensorflow_can_come_later_and_is_used_where_it_is():
    run(REAL_AFTERWARDS, REAL_BEFORE)


def test_says_what_to_install():
    run(NOT_INSTALLED)


def test_is_taken_away_when_an_import_fails():
    run(BROKEN_WITHIN)
