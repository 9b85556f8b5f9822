"""TfServing keeps the contract, asked over the wire.

The model is made by the fixtures (vectors by factorisation), not trained: what a trained one is
worth is the training's own business.
"""

import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from cuvee.testing import RecommenderContract
from cuvee_tfserving import TfServing
from cuvee_tfserving.embedded import start

ROOT = Path(tempfile.mkdtemp(prefix="cuvee-contract-"))
with socket.socket() as _one:
    _one.bind(("127.0.0.1", 0))
    PORT = _one.getsockname()[1]
SETTINGS = {"address": f"127.0.0.1:{PORT}", "model_root": str(ROOT), "train": False, "max_history": 8}


@pytest.fixture(scope="module", autouse=True)
def server(made, publish):
    configs = []
    for model in ("toy", "scoring"):
        publish(made[model], ROOT, 1, model)
        configs.append(f'config {{ name: "{model}" base_path: "{ROOT / model}" model_platform: "tensorflow" }}')
    (ROOT / "models.config").write_text(f"model_config_list {{ {' '.join(configs)} }}")
    running = start(["--port", str(PORT), "--model_config_file", str(ROOT / "models.config")], 90)
    running.wait_for("version available", model="scoring")
    yield
    running.stop()
    shutil.rmtree(ROOT)


class TestVectors(RecommenderContract):
    recommender = TfServing
    configs = ({**SETTINGS, "model": "toy"},)


class TestScoring(RecommenderContract):
    """A model that knows the first thirty items alone, at random: right only by the contract's letter."""

    recommender = TfServing
    configs = ({**SETTINGS, "model": "scoring"},)
    margin = -1.0

    @pytest.mark.skip(reason="its vectors are random")
    def test_better_than_random(self, trial):
        """Nothing to be right about."""
