"""AdminService of a real server: products, files and snapshots, shown and changed, and what is refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cuvee.client import failure_of
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import admin_pb2 as pb

from ..conftest import ENVIRONMENT, fitted
from ..live.conftest import until
from ..steered import FILM, SERVER, SHOP, fit, revision

WAIT = 120


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = fitted(tmp_path_factory.mktemp("steered"), {"film": FILM, "shop": SHOP}, SERVER)
    fit(config, "film")
    fit(config, "film")
    return config


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="module")
def other(config: Path, server: RunningServer) -> Iterator[RunningServer]:
    """A second replica over the same files and models."""
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


def version(server: RunningServer, product: str = "film") -> str:
    return server.client.recommend(product, "viewer-001", timeout=30).snapshot_version


def snapshots(server: RunningServer, product: str = "film") -> list[pb.Snapshot]:
    request = pb.ListSnapshotsRequest(product=product)
    return list(server.client.admin.ListSnapshots(request, timeout=WAIT).snapshots)


def product(server: RunningServer, name: str = "film") -> pb.Product:
    return server.client.admin.GetProduct(pb.GetProductRequest(product=name), timeout=WAIT).product


def test_a_product_is_shown_as_it_is_served(server: RunningServer):
    answer = server.client.recommend("film", "viewer-001", timeout=30)
    found = product(server)
    assert (found.state, found.snapshot_version) == (pb.Product.STATE_SERVING, answer.snapshot_version)
    assert found.config_revision == answer.config_revision
    assert (found.default_page_size, found.max_page_size, found.held) == (7, 30, False)
    assert [s.segment for s in found.segments] == ["cold", "warm"]
    assert dict(found.segments[1].weights) == {"pairs": 0.5, "popular": 0.5}
    assert [(s.source, s.recommender) for s in found.sources] == [("pairs", "toy_pairs"), ("popular", "toy_popular")]
    assert {s.state for s in found.sources} == {pb.ProductSource.STATE_LIVE}
    until(lambda: all(s.run_count for s in product(server).sources))
    assert all(s.mean_latency.ToNanoseconds() > 0 for s in product(server).sources)
    assert {c.column: c.type for c in found.item_columns}["genres"] == pb.Column.TYPE_TEXTS
    assert found.item_count > 0 < found.user_count


def test_lists_are_paged(server: RunningServer):
    first = server.client.admin.ListProducts(pb.ListProductsRequest(page_size=1), timeout=WAIT)
    assert [one.product for one in first.products] == ["film"]
    second = server.client.admin.ListProducts(pb.ListProductsRequest(page_token=first.next_page_token), timeout=WAIT)
    assert [one.product for one in second.products] == ["shop"]
    assert second.next_page_token == ""
    every = server.client.admin.ListRecommenders(pb.ListRecommendersRequest(), timeout=WAIT).recommenders
    names = [one.name for one in every]
    assert names == sorted(names)
    assert {one.name: list(one.products) for one in every}["toy_popular"] == ["film", "shop"]
    request = pb.ListSnapshotsRequest(product="film", page_size=2)
    page = server.client.admin.ListSnapshots(request, timeout=WAIT)
    rest = server.client.admin.ListSnapshots(
        pb.ListSnapshotsRequest(product="film", page_token=page.next_page_token), timeout=WAIT
    )
    assert [one.version for one in (*page.snapshots, *rest.snapshots)] == [one.version for one in snapshots(server)]


def code(call: object) -> tuple[grpc.StatusCode, str]:
    """How a call fails."""
    with pytest.raises(grpc.RpcError) as refused:
        call()  # type: ignore[operator]
    failure = failure_of(refused.value)
    return failure.code, failure.reason


def test_what_is_not_there_or_wrong_is_said(server: RunningServer):
    admin = server.client.admin
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    missing = (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
    assert code(lambda: admin.GetProduct(pb.GetProductRequest(), timeout=WAIT)) == invalid
    assert code(lambda: admin.GetProduct(pb.GetProductRequest(product="x"), timeout=WAIT)) == missing
    assert code(lambda: admin.ListProducts(pb.ListProductsRequest(page_size=-1), timeout=WAIT)) == invalid
    assert code(lambda: admin.ListProducts(pb.ListProductsRequest(page_token="x"), timeout=WAIT)) == invalid
    for wrong in ("nothing", "../shop", "20260101T000000000Z"):
        request = pb.ActivateSnapshotRequest(product="film", version=wrong)
        assert code(lambda: admin.ActivateSnapshot(request, timeout=WAIT)) == missing  # noqa: B023
    assert (
        code(lambda: admin.PruneSnapshots(pb.PruneSnapshotsRequest(product="film", keep=-1), timeout=WAIT)) == invalid
    )
    assert code(lambda: admin.ValidateConfig(pb.ValidateConfigRequest(), timeout=WAIT)) == invalid
    assert code(lambda: admin.ApplyConfig(pb.ApplyConfigRequest(product="film"), timeout=WAIT)) == invalid


def test_a_snapshot_is_activated_rolled_back_and_released_on_every_replica(server: RunningServer, other: RunningServer):
    admin, there = server.client.admin, [one.version for one in snapshots(server)]
    newest, middle, oldest = there[0], there[-2], there[-1]
    assert version(server) == newest

    tried = admin.ActivateSnapshot(
        pb.ActivateSnapshotRequest(product="film", version=oldest, validate_only=True), timeout=WAIT
    )
    assert (tried.snapshot.version, version(server)) == (oldest, newest)

    done = admin.ActivateSnapshot(pb.ActivateSnapshotRequest(product="film", version=oldest), timeout=WAIT)
    assert (done.snapshot.state, done.previous_version) == (pb.Snapshot.STATE_ACTIVE, newest)
    assert version(server) == oldest
    until(lambda: version(other) == oldest)
    assert product(other).held

    done_back = admin.RollbackSnapshot(pb.RollbackSnapshotRequest(product="film"), timeout=WAIT)
    assert (done_back.snapshot.version, version(server)) == (newest, newest)
    again = admin.RollbackSnapshot(pb.RollbackSnapshotRequest(product="film"), timeout=WAIT)
    assert again.snapshot.version == there[1]
    assert middle in there[1:]
    until(lambda: version(other) == there[1])
    until(lambda: [s.version for s in snapshots(other) if s.state == pb.Snapshot.STATE_ACTIVE] == [there[1]])

    freed = admin.ReleaseSnapshot(pb.ReleaseSnapshotRequest(product="film"), timeout=WAIT)
    assert (freed.snapshot.version, version(server)) == (newest, newest)
    until(lambda: version(other) == newest)
    assert not product(other).held


def test_a_snapshot_that_is_damaged_does_not_come_into_use(server: RunningServer, other: RunningServer, config: Path):
    folder = config.parent / "var/artifacts/film"
    good = version(server)
    # a version in the newest's likeness whose model is cut off
    bad = folder / "20991231T235959999Z"
    shutil.copytree(folder / good, folder / ".copy")
    manifest = (folder / ".copy/manifest.json").read_text()
    (folder / ".copy/manifest.json").write_text(manifest.replace(good, bad.name)[:-30])
    (folder / ".copy").rename(bad)
    try:
        for one in (server, other):
            until(lambda: product(one).refused_problems)  # noqa: B023 - it is called at once
            assert version(one) == good
        request = pb.ActivateSnapshotRequest(product="film", version=bad.name)
        assert code(lambda: server.client.admin.ActivateSnapshot(request, timeout=WAIT)) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "ARTIFACT_INVALID",
        )
        assert {s.version: s.state for s in snapshots(server)}[bad.name] == pb.Snapshot.STATE_REFUSED
        assert version(server) == good
    finally:
        shutil.rmtree(bad)
    until(lambda: not product(server).refused_problems)


def test_pruning_keeps_what_may_be_needed(server: RunningServer, config: Path):
    for _ in range(2):
        fit(config, "film")
    there = [one.version for one in snapshots(server)][::-1]
    until(lambda: version(server) == there[-1])
    request = pb.PruneSnapshotsRequest(product="film", keep=1, validate_only=True)
    would = list(server.client.admin.PruneSnapshots(request, timeout=WAIT).versions)
    assert would == there[:-2], "the newest answers, the one before is where a roll-back goes"
    assert [one.version for one in snapshots(server)][::-1] == there
    done = server.client.admin.PruneSnapshots(pb.PruneSnapshotsRequest(product="film", keep=1), timeout=WAIT)
    assert list(done.versions) == would
    assert [one.version for one in snapshots(server)][::-1] == there[-2:]
    assert version(server) == there[-1]
    assert {one.name for one in (config.parent / "var/artifacts/film").iterdir()} == set(there[-2:])


def stored_file(server: RunningServer) -> pb.GetConfigResponse:
    return server.client.admin.GetConfig(pb.GetConfigRequest(product="film"), timeout=WAIT)


def test_a_file_is_applied_over_what_was_seen_and_taken_back(server: RunningServer, other: RunningServer, config: Path):
    admin, before = server.client.admin, stored_file(server)
    assert before.product_toml == (config.with_name("products") / "film.toml").read_text()
    assert before.revision == revision(server)
    assert "[recommenders.pairs]" in before.effective_toml
    text = before.product_toml.replace("pairs = 0.5", "pairs = 4.5")

    dry = pb.ApplyConfigRequest(product="film", product_toml=text, etag=before.etag, validate_only=True)
    would = admin.ApplyConfig(dry, timeout=WAIT)
    assert would.previous_revision == before.revision == revision(server)
    assert stored_file(server).etag == before.etag

    done = admin.ApplyConfig(pb.ApplyConfigRequest(product="film", product_toml=text, etag=before.etag), timeout=WAIT)
    assert done.revision == would.revision == revision(server) != before.revision
    assert done.etag == would.etag == stored_file(server).etag
    until(lambda: revision(other) == done.revision)

    late = pb.ApplyConfigRequest(product="film", product_toml=before.product_toml, etag=before.etag)
    assert code(lambda: admin.ApplyConfig(late, timeout=WAIT)) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")

    back = admin.RollbackConfig(pb.RollbackConfigRequest(product="film"), timeout=WAIT)
    assert (back.revision, revision(server), back.etag) == (before.revision, before.revision, before.etag)
    until(lambda: revision(other) == before.revision)
    assert code(lambda: admin.RollbackConfig(pb.RollbackConfigRequest(product="film"), timeout=WAIT)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "FAILED_PRECONDITION",
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("pairs = 0.5", "pairs = -1", "CONFIG_INVALID"),
        ('"pairs"', '"pears"', "CONFIG_INVALID"),
        ("[blend]", "[blend", "CONFIG_INVALID"),
        ("dataset", '[[rules]]\nuse = "filter"\nwhere = "colour = 1"\n[x]\ndataset', "CONFIG_INVALID"),
        ('{ use = "pairs" }', '{ use = "pairs" }, { use = "newest" }', "ARTIFACT_INVALID"),
    ],
)
def test_a_wrong_file_is_refused_and_not_written(server: RunningServer, old: str, new: str, reason: str):
    before = stored_file(server)
    request = pb.ApplyConfigRequest(product="film", product_toml=before.product_toml.replace(old, new, 1))
    failed = code(lambda: server.client.admin.ApplyConfig(request, timeout=WAIT))
    assert failed == (grpc.StatusCode.FAILED_PRECONDITION, reason)
    assert stored_file(server).etag == before.etag
    assert revision(server) == before.revision


def test_configurations_are_checked_without_being_used(server: RunningServer, config: Path):
    admin, text = server.client.admin, config.read_text()
    right = admin.ValidateConfig(pb.ValidateConfigRequest(server_toml=text), timeout=WAIT)
    assert right.valid
    assert right.revision == admin.GetConfigRevision(pb.GetConfigRevisionRequest(), timeout=WAIT).revision
    assert "[products.film]" in right.effective_toml
    wrong = admin.ValidateConfig(
        pb.ValidateConfigRequest(product_tomls={"film": "sources = 3", "page": "colour = 1"}), timeout=WAIT
    )
    assert not wrong.valid
    assert wrong.effective_toml == wrong.revision == ""
    assert {one.file for one in wrong.problems} == {"products/film.toml", "products/page.toml"}


def test_checking_reads_no_secret_of_the_server(server: RunningServer, config: Path):
    """A variable of the server's environment would otherwise be shown in the effective configuration."""
    for text in ('data = "${PATH}"\n', '[recommenders.x]\nplugin = "${PATH}"\n', 'data = ["${PATH}"]\n'):
        request = pb.ValidateConfigRequest(server_toml=text + config.read_text())
        found = server.client.admin.ValidateConfig(request, timeout=WAIT)
        assert not found.valid
        assert os.environ["PATH"] not in str(found)


def operation(server: RunningServer, name: str) -> pb.Operation:
    return server.client.admin.GetOperation(pb.GetOperationRequest(operation_id=name), timeout=WAIT).operation


RUNNING = pb.Operation.STATE_RUNNING


def test_a_fit_goes_on_beside_the_server_and_is_taken_up(server: RunningServer, other: RunningServer):
    before = version(server)
    begun = server.client.admin.StartFit(pb.StartFitRequest(product="film"), timeout=WAIT).operation
    assert (begun.product, begun.kind, begun.state) == ("film", pb.Operation.KIND_FIT, RUNNING)
    second = pb.StartFitRequest(product="film")
    assert code(lambda: other.client.admin.StartFit(second, timeout=WAIT)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "FAILED_PRECONDITION",
    )
    until(lambda: operation(other, begun.operation_id).state != RUNNING)
    done = operation(server, begun.operation_id)
    assert done.state == pb.Operation.STATE_SUCCEEDED, done.output
    assert "published version" in done.output
    assert done.step in {"pairs", "popular"}
    assert done.end_time.ToNanoseconds() >= done.create_time.ToNanoseconds()
    until(lambda: version(server) > before and version(other) > before)
    listed = server.client.admin.ListOperations(pb.ListOperationsRequest(product="film"), timeout=WAIT).operations
    assert listed[0] == done


def test_an_operation_is_cancelled_and_publishes_nothing(server: RunningServer, config: Path):
    before = {one.version for one in snapshots(server)}
    begun = server.client.admin.StartFit(pb.StartFitRequest(product="film"), timeout=WAIT).operation
    cancel = pb.CancelOperationRequest(operation_id=begun.operation_id)
    server.client.admin.CancelOperation(cancel, timeout=WAIT)
    until(lambda: operation(server, begun.operation_id).state != RUNNING)
    assert operation(server, begun.operation_id).state == pb.Operation.STATE_CANCELLED
    assert {one.version for one in snapshots(server)} == before
    again = server.client.admin.CancelOperation(cancel, timeout=WAIT).operation
    assert again.state == pb.Operation.STATE_CANCELLED


def test_an_operation_that_fails_says_why(server: RunningServer, config: Path):
    # the product is the server's still, and the file that the command reads is broken
    file = config.with_name("products") / "shop.toml"
    text = file.read_text()
    file.write_text("colour = 1")
    try:
        begun = server.client.admin.StartTune(pb.StartTuneRequest(product="shop"), timeout=WAIT).operation
        until(lambda: operation(server, begun.operation_id).state != RUNNING)
    finally:
        file.write_text(text)
    found = operation(server, begun.operation_id)
    assert (found.kind, found.state) == (pb.Operation.KIND_TUNE, pb.Operation.STATE_FAILED)
    assert "colour" in found.output
    for wrong in ("", "nothing", "../cuvee"):
        request = pb.GetOperationRequest(operation_id=wrong)
        refused = code(lambda: server.client.admin.GetOperation(request, timeout=WAIT))  # noqa: B023
        assert refused[0] in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}


def test_an_operation_outlives_the_server_that_began_it(config: Path, tmp_path: Path):
    with run_server(config, environment=ENVIRONMENT) as server:
        begun = server.client.admin.StartFit(pb.StartFitRequest(product="shop"), timeout=WAIT).operation
        server.process.kill()
    with run_server(config, environment=ENVIRONMENT) as again:
        until(lambda: operation(again, begun.operation_id).state != RUNNING)
        assert operation(again, begun.operation_id).state == pb.Operation.STATE_SUCCEEDED
