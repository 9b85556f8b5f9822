"""A product that cannot be served leaves the others alone, says why, and is served as soon as it can be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cuvee.client import failure_of
from cuvee.testing import RunningServer, run_server
from grpc_health.v1 import health_pb2

from .catalog_calls import soon
from .conftest import ENVIRONMENT, fitted, migrated

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
PRODUCT = 'dataset = "{dataset}"\nsources = [{{{{ use = "popular" }}}}]\n'
BAD = {
    "never_fitted": "ARTIFACT_INVALID",
    "no_data": "DATA_INVALID",
    "damaged_data": "DATA_INVALID",
    "damaged_models": "ARTIFACT_INVALID",
    "wrong_rule": "CONFIG_INVALID",
    "raises": "INTERNAL",
}


def fit(config: Path, product: str) -> None:
    command = [sys.executable, "-m", "cuvee.cli", "fit", product, "--config", str(config)]
    subprocess.run(command, env={**os.environ, **ENVIRONMENT}, check=True, capture_output=True)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All products are fitted, and then something is done to all but one."""
    folder = tmp_path_factory.mktemp("bad-products")
    products = {name: PRODUCT.format(dataset="toy") for name in ("good", *BAD)}
    found = fitted(folder, products)
    for name in ("no_data", "damaged_data"):
        shutil.copytree(folder / "var/data/toy", folder / "var/data" / name)
        (folder / f"products/{name}.toml").write_text(PRODUCT.format(dataset=name).format())
    shutil.rmtree(folder / "var/data/no_data")
    (folder / "var/data/damaged_data/items.arrow").write_bytes(b"garbage" * 100)
    shutil.rmtree(folder / "var/artifacts/never_fitted")
    for path in (folder / "var/artifacts/damaged_models").glob("*/*/*"):
        path.write_bytes(b"garbage")
    with (folder / "products/wrong_rule.toml").open("a") as file:
        file.write('[[rules]]\nuse = "filter"\nwhere = "price < 5"\n')
    with (folder / "products/raises.toml").open("a") as file:
        file.write('rules = [{ use = "explodes_at_once" }]\n')
    found.write_text(f'[store]\nurl = "{migrated(f"sqlite:///{folder}/store.db")}"\n' + found.read_text())
    return found


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


def test_the_others_are_served(server: RunningServer):
    assert server.client.health("").status == SERVING
    assert server.client.health("cuvee.v1.RecommendationService").status == SERVING
    assert server.client.health("good").status == SERVING
    assert server.client.recommend("good", "viewer-001").items
    assert server.events("ready")[0]["products"] == ["good"]


@pytest.mark.parametrize("product", BAD)
def test_it_says_why_to_balancers_callers_and_operators(server: RunningServer, product: str):
    assert server.client.health(product).status == NOT_SERVING
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as problem:
        recommend(channel, product)
    failure = failure_of(problem.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
    assert f"cannot be served now ({BAD[product]})" in failure.message
    assert "/" not in failure.message
    told = [line for line in server.events("product not serving") if line["product"] == product]
    assert len(told) == 1
    assert told[0]["problem"]


def recommend(channel: grpc.Channel, product: str) -> None:
    from cuvee.v1 import recommendation_pb2, recommendation_pb2_grpc  # noqa: PLC0415

    stub = recommendation_pb2_grpc.RecommendationServiceStub(channel)
    stub.Recommend(recommendation_pb2.RecommendRequest(product=product, user_id="u"), timeout=2)


def test_it_is_served_when_it_can_be(server: RunningServer, config: Path):
    fit(config, "never_fitted")
    folder = config.parent / "var/data"
    shutil.copytree(folder / "toy", folder / "no_data")
    for name in ("never_fitted", "no_data"):
        soon(lambda name=name: server.client.health(name).status == SERVING, 60)
        assert server.client.recommend(name, "viewer-001").items
        assert name in [line["product"] for line in server.events("product ready")]
    assert server.client.health("damaged_data").status == NOT_SERVING
    assert server.client.recommend("good", "viewer-001").items
    # what does not change is told once, however often it is tried
    assert len([e for e in server.events("product not serving") if e["product"] == "damaged_data"]) == 1
