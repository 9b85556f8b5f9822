"""What one Predict adds to a request: ``python plugins/tfserving/tests/benchmark_predict.py``.

A transformer of the default size (100 events, 64 dimensions, 2 layers; trained for one epoch on a
toy, which changes nothing about the time) on an embedded server, asked by the bare stub and by the
recommender, one call after another, for batches of 1 and 32. Both processes share the machine.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import grpc
import numpy as np
from cuvee import Entities, Histories, Queries
from cuvee.testing import two_tribes
from cuvee_tfserving import TfServing, TfServingConfig
from cuvee_tfserving.client import OPTIONS, Asked
from cuvee_tfserving.fitting.artefact import Artefact, beside
from cuvee_tfserving.fitting.embedded import start
from cuvee_tfserving.fitting.publishing import publish
from cuvee_tfserving.fitting.trainer import train
from cuvee_tfserving.protos import PredictionServiceStub, PredictRequest
from cuvee_tfserving.sequences import sequences
from cuvee_tfserving.tensors import tensor_of
from cuvee_tfserving.training.config import TrainingConfig

BATCHES = (1, 32)


def questions(rng, batch, n_items, length):
    return Queries.build(Histories.build(rng.integers(0, n_items, (batch, length)).tolist()))


def told(name, batch, seconds):
    p50, p99 = np.percentile(np.asarray(seconds) * 1e3, [50, 99])
    print(f"{name:<46} batch {batch:>2}   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms", flush=True)
    return p50, p99


async def asked(address, config, fitted, n_items, calls):
    """Each question once by the official stub with nothing of ours, and once by the recommender."""
    model = TfServing(config, fitted, Entities.of_ids(map(str, range(n_items))))
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = PredictionServiceStub(channel)
        for batch in BATCHES:
            rng = np.random.default_rng(batch)
            seconds = []
            for _ in range(calls + 50):
                queries = questions(rng, batch, fitted.n_items, config.length)
                request = Asked(config.model).spec(PredictRequest(), config.user_signature)
                request.inputs["history"].CopyFrom(tensor_of(sequences(queries.histories, n_items, config.length)[0]))
                moments = [time.perf_counter()]
                await stub.Predict(request, timeout=10)
                moments.append(time.perf_counter())
                proposed = await model.candidates(queries, 200)
                moments.append(time.perf_counter())
                await model.score(queries, np.resize(proposed.items, (batch, 500)))
                moments.append(time.perf_counter())
                seconds.append(np.diff(moments))
            stubs, proposing, scoring = np.array(seconds[50:]).T
            base = told("bare stub, one Predict", batch, stubs)
            found = told(f"candidates(k = 200 of {n_items})", batch, proposing)
            told("score(500 items) after it, no Predict", batch, scoring)
            print(f"{'candidates less the stub':<46} batch {batch:>2}   p50 {found[0] - base[0]:6.2f} ms", flush=True)
    model.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--items", type=int, default=3706, help="items whose vectors lie in the recommender")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config = TrainingConfig(epochs=1)
        with train(two_tribes().data, config, root, lambda done, total, note="": None) as trained:
            publish(trained, root, "deep")
        server = start(["--port", "0", "--model_base_path", str(root / "deep")])
        try:
            server.wait_for("version available")
            settings = TfServingConfig(address=server.address, model_root=root, training=config, deadline=10)
            fitted = Artefact.read(beside(root, "deep", 1), 1, 0)
            vectors = np.resize(np.asarray(fitted.vectors), (given.items, np.asarray(fitted.vectors).shape[1]))
            asyncio.run(asked(server.address, settings, fitted.with_vectors(vectors), given.items, given.calls))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
