"""The client imports TensorFlow Serving's messages without importing TensorFlow."""

import json
import subprocess
import sys
from types import ModuleType

from cuvee_tfserving.stand_in import without_tensorflow

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


def run(code):
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_plugin_costs_little_and_maps_no_tensorflow(record_property):
    runs = [json.loads(run(MEASURE)) for _ in range(2)]
    found = min(runs, key=lambda one: one["seconds"])
    record_property("import", found)
    print(f"\nimport of the plugin: {found['seconds']:.2f} s, {found['mib']:.0f} MiB more, {found['all']:.0f} in all")
    assert found["tensorflow"] == []
    assert found["mapped"] is False
    assert found["mib"] < 80
    assert found["seconds"] < 1.0


def test_the_real_tensorflow_can_come_later(made):
    """The process that makes the models begins with the stand-in, and checks what it gets afterwards."""
    assert (made["one"] / "saved_model.pb").exists()


def test_the_real_tensorflow_is_used_where_it_is(monkeypatch):
    real = ModuleType("tensorflow")
    monkeypatch.setitem(sys.modules, "tensorflow", real)
    with without_tensorflow() as put:
        assert put is False
        assert sys.modules["tensorflow"] is real
    assert sys.modules["tensorflow"] is real


def test_says_what_to_install():
    run(NOT_INSTALLED)


def test_is_taken_away_when_an_import_fails():
    run(BROKEN_WITHIN)
