"""Several products over one store, while some are still being loaded."""

from __future__ import annotations

from pathlib import Path

from cuvee.testing import run_server

from ..catalog_calls import get, item, upsert
from ..conftest import ENVIRONMENT, fitted


def test_products_that_answer_and_those_that_are_loaded_are_not_in_each_others_way(tmp_path: Path):
    """Both products need the thread in which models are loaded: one waits for the other, and both are served."""
    products = {
        "aaa": 'dataset = "toy"\nsources = [{{ use = "counted" }}]',
        "news": 'dataset = "toy"\nsources = [{{ use = "slow_load" }}]',
    }
    config = fitted(tmp_path, products)
    with run_server(config, environment=ENVIRONMENT) as server:
        upsert(server.client, item("lighthouse", "The Lighthouse"))  # so that models are made anew at start
    with run_server(config, environment=ENVIRONMENT) as server:
        assert get(server.client, "lighthouse").title == "The Lighthouse"
        warnings = [line for line in server.log.splitlines() if '"level": "warning"' in line or "AllTaken" in line]
    assert warnings == []
