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
from cuvee.v1 import admin_pb2
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
    for name, text in BROKEN_FILES.items():
        (folder / f"products/{name}.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    found.write_text(f'[store]\nurl = "{migrated(f"sqlite:///{folder}/store.db")}"\n' + found.read_text())
    return found


BROKEN_FILES = {
    "no_toml": "[blend",
    "no_text": b"\xff\xfe\x00",
    "empty": "",
    "unknown_key": 'colour = 1\nsources = [{ use = "popular" }]\ndataset = "toy"\n',
    "unknown_source": 'dataset = "toy"\nsources = [{ use = "pears" }]\n',
    "unknown_rule": 'dataset = "toy"\nsources = [{ use = "popular" }]\nrules = [{ use = "magic" }]\n',
}
"""Files that cannot be used from the start."""


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


BAD_OR_BROKEN = {**BAD, **dict.fromkeys(BROKEN_FILES, "CONFIG_INVALID")}


@pytest.mark.parametrize("product", BAD_OR_BROKEN)
def test_it_says_why_to_balancers_callers_and_operators(server: RunningServer, product: str):
    assert server.client.health(product).status == NOT_SERVING
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as problem:
        recommend(channel, product)
    failure = failure_of(problem.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
    assert f"cannot be served now ({BAD_OR_BROKEN[product]})" in failure.message
    assert "/" not in failure.message
    told = [line for line in server.events("product not serving") if line["product"] == product]
    assert len(told) == 1
    assert told[0]["problem"]


@pytest.mark.parametrize("product", BROKEN_FILES)
def test_operators_see_what_is_wrong_with_a_file(server: RunningServer, product: str):
    steering = server.client.admin
    got = steering.GetProduct(admin_pb2.GetProductRequest(product=product), timeout=10).product
    assert got.state == admin_pb2.Product.STATE_NOT_SERVING
    assert got.refused_problems
    assert {one.file for one in got.refused_problems} == {f"products/{product}.toml"}
    file = steering.GetConfig(admin_pb2.GetConfigRequest(product=product), timeout=10)
    assert list(file.refused_problems) == list(got.refused_problems)
    assert file.effective_toml == ""


def test_broken_files_are_in_no_list_s_way(server: RunningServer):
    steering = server.client.admin
    listed = steering.ListProducts(admin_pb2.ListProductsRequest(), timeout=10).products
    assert {one.product for one in listed} == {"good", *BAD_OR_BROKEN}
    assert steering.ListRecommenders(admin_pb2.ListRecommendersRequest(), timeout=10).recommenders
    whole = steering.GetConfigRevision(admin_pb2.GetConfigRevisionRequest(), timeout=10)
    assert {one.file for one in whole.refused_problems} >= {f"products/{name}.toml" for name in BROKEN_FILES}


def recommend(channel: grpc.Channel, product: str) -> None:
    from cuvee.v1 import recommendation_pb2, recommendation_pb2_grpc  # noqa: PLC0415

    stub = recommendation_pb2_grpc.RecommendationServiceStub(channel)
    stub.Recommend(recommendation_pb2.RecommendRequest(product=product, user_id="u"), timeout=2)


def test_a_broken_file_is_served_when_it_is_right_and_forgotten_when_it_is_gone(server: RunningServer, config: Path):
    folder = config.with_name("products")
    right = (folder / "good.toml").read_text()
    shutil.copytree(config.parent / "var/artifacts/good", config.parent / "var/artifacts/no_toml")
    for manifest in (config.parent / "var/artifacts/no_toml").glob("*/manifest.json"):
        manifest.unlink()  # it is another product's
    fit_of = config.with_name("only-no-toml.toml")
    (config.parent / "one").mkdir()
    (config.parent / "one/no_toml.toml").write_text(right)
    fit_of.write_text('products = "one"\n' + config.read_text())
    fit(fit_of, "no_toml")
    (folder / "no_toml.toml").write_text(right)
    soon(lambda: server.client.health("no_toml").status == SERVING, 60)
    assert server.client.recommend("no_toml", "viewer-001").items
    (folder / "unknown_key.toml").unlink()

    def code() -> grpc.StatusCode:
        with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as problem:
            recommend(channel, "unknown_key")
        return problem.value.code()

    soon(lambda: code() is grpc.StatusCode.NOT_FOUND, 60)


def test_a_broken_server_file_refuses_to_start_and_so_do_products_that_are_all_broken(config: Path):
    def start(found: Path) -> str:
        command = [sys.executable, "-m", "cuvee.cli", "serve", "--config", str(found), "--listen", "127.0.0.1:0"]
        ended = subprocess.run(
            command, env={**os.environ, **ENVIRONMENT}, check=False, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr
        return ended.stderr

    broken = config.with_name("broken.toml")
    broken.write_text("colour = 1\n" + config.read_text())
    said = start(broken)
    assert "colour" in said
    assert "pears" in said, "the mistakes of all files are named"
    (config.parent / "all-broken").mkdir()
    for name, text in list(BROKEN_FILES.items())[2:5]:
        (config.parent / f"all-broken/{name}.toml").write_text(str(text))
    broken.write_text('products = "all-broken"\n' + config.read_text())
    assert "pears" in start(broken)


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
