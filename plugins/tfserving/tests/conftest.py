import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cuvee import Entities, Histories, Queries
from cuvee.testing import two_tribes
from cuvee_tfserving import TfServing, TfServingConfig
from cuvee_tfserving.client import ModelClient
from cuvee_tfserving.fitting.artefact import Artefact, beside
from cuvee_tfserving.fitting.embedded import start
from cuvee_tfserving.training.features import ItemFeatures

HERE = Path(__file__).parent
N, FEW, D, LENGTH = 30, 20, 4, 8
TOY_D = 8


def vectors(seed, n=N):
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def toy_model(folder):
    """A model that knows the toy data: vectors by factorisation, and an item tower from features to them."""
    data = two_tribes().data
    _, values, right = np.linalg.svd(data.matrix().toarray(), full_matrices=False)
    found = (right[:TOY_D].T * np.sqrt(values[:TOY_D])).astype(np.float32)
    features = ItemFeatures.learn(data.catalog.items, 16, 50)
    tower = np.linalg.lstsq(features.matrix(data.catalog.items), found, rcond=None)[0].astype(np.float32)
    np.save(folder / "toy.npy", found)
    np.save(folder / "tower.npy", tower)
    return features


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Folders of SavedModels by name: made once, in a process that has TensorFlow."""
    root = tmp_path_factory.mktemp("made")
    kinds = {
        "one": ("deep", 1, 0), "two": ("deep", 2, 0), "scoring": ("scoring", 1, 0), "slow": ("deep", 1, 700),
        "few": ("deep", 1, 0), "few_scoring": ("scoring", 1, 0),
        "shape": ("shape", 1, 0), "nan": ("nan", 1, 0), "dtype": ("dtype", 1, 0), "name": ("name", 1, 0),
    }  # fmt: skip
    specifications = []
    for name, (kind, seed, work) in kinds.items():
        np.save(root / f"{name}.npy", vectors(seed)[: FEW if name.startswith("few") else N])
        one = {"kind": kind, "vectors": str(root / f"{name}.npy"), "length": LENGTH, "work": work}
        specifications.append({**one, "out": str(root / name)})
    features = toy_model(root)
    tower = {"vectors": str(root / "toy.npy"), "tower": str(root / "tower.npy"), "length": LENGTH}
    specifications.append({"kind": "deep", "out": str(root / "toy"), **tower})
    for spoilt in ("shape", "nan"):
        one = {"kind": spoilt, "vectors": str(root / "toy.npy"), "length": LENGTH}
        specifications.append({**one, "out": str(root / f"toy_{spoilt}")})
    script = HERE.parent / "conformance" / "models.py"
    specifications.append({"kind": "conformance", "out": str(root / "conforming"), "script": str(script)})
    (root / "specification.json").write_text(json.dumps(specifications))
    command = [sys.executable, str(HERE / "models.py"), str(root / "specification.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    features.save(root / "toy" / "assets.extra" / "item_features.json")
    return {name: root / name for name in (*kinds, "toy", "toy_shape", "toy_nan", "conforming")}


@pytest.fixture(scope="session")
def publish():
    """Put a made SavedModel where servers look, by one rename."""

    def put(made, root, version, model="deep"):
        folder = root / model
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder / f".aside-{version}"
        shutil.copytree(made, aside)
        aside.rename(folder / str(version))

    return put


MODELS = ("one", "scoring", "shape", "nan", "dtype", "name", "toy")


@pytest.fixture(scope="session")
def shared(made, publish, tmp_path_factory):
    """A server for all tests that leave it running, and its folder: MODELS, "swap" (all versions), "conformance"."""
    root = tmp_path_factory.mktemp("models")
    for model in MODELS:
        publish(made[model], root, 1, model)
    publish(made["one"], root, 1, "swap")
    configured = [f'config {{ name: "{m}" base_path: "{root / m}" model_platform: "tensorflow" }}' for m in MODELS]
    configured.append(
        f'config {{ name: "swap" base_path: "{root / "swap"}" model_platform: "tensorflow" '
        "model_version_policy { all {} } }"
    )
    conformance = (made["conforming"] / "models.config").read_text()
    ours = f"model_config_list {{ {' '.join(configured)} "
    (root / "models.config").write_text(conformance.replace("model_config_list {", ours, 1))
    options = ["--model_config_file", str(root / "models.config"), "--file_system_poll_wait_seconds", "0.05"]
    running = start(["--port", "0", *options], seconds=90)
    try:
        running.wait_for("version available", model="conformance", version=1)
        yield running, root
    finally:
        running.stop()


@pytest.fixture
def recommender(shared):
    """Open recommenders of the shared server's models, and close them after the test."""
    running, root = shared
    opened = []

    def make(model="one", published=1, items=None, fitted=None, **settings):
        config = TfServingConfig(
            **{"address": running.address, "model": model, "model_root": root, "max_history": LENGTH, **settings}
        )
        fitted = fitted or Artefact.read(beside(config.model_root, model, published), published, N)
        opened.append(TfServing(config, fitted, items or Entities.of_ids(map(str, range(N)))))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def predicts(monkeypatch):
    """Every Predict that is made: (signature, rows)."""
    asked = []
    predict = ModelClient.predict

    async def counted(self, model, signature, inputs, patience=1.0):
        asked.append((signature, len(next(iter(inputs.values())))))
        return await predict(self, model, signature, inputs, patience)

    monkeypatch.setattr(ModelClient, "predict", counted)
    return asked


@pytest.fixture(scope="session")
def ask():
    """Queries with the given histories."""

    def build(*rows, weights=None, **more):
        return Queries.build(Histories.build(rows, weights), **more)

    return build


@pytest.fixture(scope="session")
def every():
    """The first n items, for each query."""

    def listed(queries, n=N):
        return np.tile(np.arange(n, dtype=np.int32), (len(queries), 1))

    return listed


@pytest.fixture(scope="session")
def expected(made):
    """The scores that a made model should give for histories, float32[rows, N]."""

    def scores(name, *rows):
        vectors = np.load(made[name] / "assets.extra" / "item_vectors.npy")
        return np.stack([vectors[list(row)].mean(axis=0) @ vectors.T for row in rows])

    return scores


@pytest.fixture
def serving():
    """Start embedded servers, and stop them after the test."""
    started = []

    def begin(*arguments, port=0, poll=0.05):
        server = start(
            ["--port", str(port), "--file_system_poll_wait_seconds", str(poll), *map(str, arguments)], seconds=90
        )
        started.append(server)
        return server

    yield begin
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def free_port():
    def find():
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            return one.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def cuvee_command():
    """Run the command, in a process of its own; it must succeed."""

    def run(*arguments):
        command = [sys.executable, "-m", "cuvee.cli", *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(autouse=True, scope="session")
def quiet():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
