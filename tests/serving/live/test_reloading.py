"""Files and fits that change under a running server: taken up when they are right, kept out when they are wrong."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client, failure_of
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from grpc_health.v1 import health_pb2

from ..conftest import ENVIRONMENT, fitted
from ..steered import FILM, SERVER, SHOP, ask, fit, revision
from .conftest import until

MOST = 12
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reloaded")
    (folder / "page.key").write_text("of-these-servers-" * 3 + "\n")
    pages = f'pages = {{ key_file = "page.key", most = {MOST} }}'
    return fitted(folder, {"film": FILM, "shop": SHOP}, SERVER.replace("[server]", f"[server]\n{pages}"))


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture
def film(config: Path) -> Iterator[Path]:
    """The product's file, written back after the test."""
    file = config.with_name("products") / "film.toml"
    before, server = file.read_text(), config.read_text()
    yield file
    file.write_text(before)
    config.write_text(server)


def page(client: Client, token: str, size: int = 7) -> pb.RecommendResponse:
    request = pb.RecommendRequest(product="film", user_id="viewer-001", page_size=size, page_token=token)
    return rpc.RecommendationServiceStub(client.channel).Recommend(request, timeout=30)


def weight(answer: pb.RecommendResponse, source: str) -> float:
    return next(a.weight for item in answer.items for a in item.attributions if a.source == source)


def refused(server: RunningServer) -> bool:
    return server.client.health("server.config").status == NOT_SERVING


def settled(server: RunningServer) -> bool:
    return not refused(server)


def test_a_changed_weight_is_in_the_next_lists_and_its_revision_in_the_answer(server: RunningServer, film: Path):
    before = ask(server)
    other = revision(server, "shop")
    assert weight(before, "pairs") == pytest.approx(0.5)
    film.write_text(film.read_text().replace("pairs = 0.5", "pairs = 1.5"))
    until(lambda: revision(server) != before.config_revision)
    after = ask(server)
    assert weight(after, "pairs") == pytest.approx(0.75)
    assert after.snapshot_version == before.snapshot_version
    assert revision(server, "shop") == other, "another product keeps its revision"
    film.write_text(film.read_text().replace("pairs = 1.5", "pairs = 0.5"))
    until(lambda: revision(server) == before.config_revision)


RULES = '\n[[rules]]\nuse = "filter"\nwhere = "{}"\n'
WRONG = {
    "no TOML": lambda text: text + "\n[blend",
    "half a file": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "no UTF-8": lambda text: text.encode("utf-16").decode("latin-1"),
    "an unknown key": lambda text: "colour = 1\n" + text,
    "an unknown source": lambda text: text.replace('"pairs"', '"pears"'),
    "a source that was not fitted": lambda text: text.replace(
        'sources = [{ use = "pairs" }', 'sources = [{ use = "newest" }, { use = "pairs" }'
    ),
    "a filter over no column": lambda text: text + RULES.format("colour = 'red'"),
    "another dataset": lambda text: text.replace('dataset = "toy"', 'dataset = "shop"'),
    "a weight that is none": lambda text: text.replace("pairs = 0.5", "pairs = -1"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_kept_out_and_told(server: RunningServer, film: Path, kind: str):
    until(lambda: settled(server))
    before, text = revision(server), film.read_text()
    film.write_text(WRONG[kind](text))
    until(lambda: refused(server))
    assert revision(server) == before
    assert server.client.health("film").status == SERVING
    told = server.events("a change of the product cannot be used, the last good one stays")
    assert told[-1]["product"] == "film"
    assert told[-1]["problems"]
    film.write_text(text)
    until(lambda: settled(server))
    assert revision(server) == before


def test_a_wrong_product_does_not_hold_up_another(server: RunningServer, film: Path, config: Path):
    shop = config.with_name("products") / "shop.toml"
    before, text = revision(server, "shop"), shop.read_text()
    film.write_text("colour = 1")
    shop.write_text("history = 12\n" + text)
    until(lambda: revision(server, "shop") != before)
    assert refused(server)
    shop.write_text(text)
    until(lambda: revision(server, "shop") == before)


def test_a_product_comes_and_goes(server: RunningServer, config: Path):
    file = config.with_name("products") / "page.toml"
    with pytest.raises(grpc.RpcError) as unknown:
        ask(server, "page")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    # it answers as soon as somebody has fitted it; until then it is told to be on its way
    shutil.copytree(config.parent / "var/artifacts/shop", config.parent / "var/artifacts/page")
    for manifest in (config.parent / "var/artifacts/page").glob("*/manifest.json"):
        manifest.unlink()
    file.write_text(SHOP.format())

    def code() -> grpc.StatusCode | None:
        try:
            ask(server, "page")
        except grpc.RpcError as error:
            return error.code()
        return None

    until(lambda: code() is grpc.StatusCode.UNAVAILABLE)
    fit(config, "page")
    until(lambda: code() is None)
    assert server.client.health("page").status == SERVING
    assert ask(server, "page").config_revision == revision(server, "shop"), "the same settings, the same revision"
    file.unlink()
    until(lambda: code() is grpc.StatusCode.NOT_FOUND)


def test_a_recommender_that_changes_waits_for_its_fit(server: RunningServer, film: Path, config: Path):
    before = ask(server)
    text = config.read_text()
    config.write_text(text.replace('plugin = "toy_pairs"', 'plugin = "toy_pairs"\nstrength = 2.0'))
    until(lambda: refused(server))
    told = server.events("a change of the product cannot be used, the last good one stays")[-1]
    assert "cuvee fit film" in str(told["problems"])
    assert revision(server) == before.config_revision
    fit(config, "film")
    until(lambda: settled(server))
    with pytest.raises(grpc.RpcError) as gone:
        page(server.client, before.next_page_token)
    assert failure_of(gone.value).reason == "PAGE_GONE", "a page is of one fit"
    after = ask(server)
    assert after.snapshot_version > before.snapshot_version
    assert after.config_revision != before.config_revision
    config.write_text(text)
    until(lambda: refused(server))
    fit(config, "film")
    until(lambda: settled(server) and revision(server) == before.config_revision)


@pytest.mark.parametrize("text", ["[store", "colour = 1\n", '[recommenders.popular]\nplugin = "nobody"\n'])
def test_a_wrong_server_file_changes_no_product(server: RunningServer, film: Path, config: Path, text: str):
    until(lambda: settled(server))
    before = revision(server)
    good = config.read_text()
    config.write_text(text)
    film.write_text(film.read_text().replace("pairs = 0.5", "pairs = 2.5"))
    until(lambda: refused(server))
    assert revision(server) == before
    config.write_text(good)
    until(lambda: settled(server) and revision(server) != before)
    film.write_text(film.read_text().replace("pairs = 2.5", "pairs = 0.5"))
    until(lambda: revision(server) == before)


def test_what_only_a_restart_takes_up_is_said(server: RunningServer, film: Path, config: Path):
    config.write_text(config.read_text().replace("[server]", '[server]\nshutdown_grace = "7s"'))
    until(lambda: server.events("cuvee.toml has values that only a restart takes up"))
    assert server.events("cuvee.toml has values that only a restart takes up")[-1]["keys"] == ["server.shutdown_grace"]
    assert settled(server)


def test_reloads_under_load_lose_no_request_and_mix_no_revisions(server: RunningServer, film: Path):
    """Each answer's weights and its length are those of the revision that it names."""
    until(lambda: settled(server))
    good = film.read_text()
    stop = threading.Event()
    seen: dict[str, set[tuple[float, int]]] = {}
    failed: list[grpc.RpcError] = []

    def keep_asking() -> None:
        with Client(server.address) as client:
            while not stop.is_set():
                try:
                    answer = ask(client)
                except grpc.RpcError as error:
                    failed.append(error)
                else:
                    told = round(weight(answer, "pairs"), 4), len(answer.items)
                    seen.setdefault(answer.config_revision, set()).add(told)

    askers = [threading.Thread(target=keep_asking) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        written = {}
        for n in range(1, 9):
            before = revision(server)
            if n % 3 == 0:
                film.write_text(good.replace("pairs = 0.5", "pairs = -1"))
                until(lambda: refused(server))
                assert revision(server) == before
            text = good.replace("pairs = 0.5", f"pairs = {n}.5").replace("default = 7", f"default = {n + 2}")
            film.write_text(text)
            until(lambda: revision(server) != before)  # noqa: B023 - it is called at once
            written[revision(server)] = {(round((n + 0.5) / (n + 1), 4), n + 2)}
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert failed == []
    assert {name: told for name, told in seen.items() if name in written} == {
        name: told for name, told in written.items() if name in seen
    }
    assert all(len(told) == 1 for told in seen.values())


def test_all_workers_follow_and_one_that_is_replaced_serves_the_last_good(config: Path, film: Path):
    good = film.read_text()
    with run_server(config, environment=ENVIRONMENT, options=["--workers", "2"], wait_until="workers ready") as server:
        first = seen(server)
        assert len(first) == 1
        found, token = [], ""
        for size in (5, 5, 5):  # each on a connection of its own
            with Client(server.address) as client:
                answer = page(client, token, size)
            found += [item.item_id for item in answer.items]
            token = answer.next_page_token
        assert len(set(found)) == len(found) == MOST
        assert not token, "the list ends there"
        film.write_text(good.replace("pairs = 0.5", "pairs = 9.5"))
        until(lambda: len(found := seen(server)) == 1 and found != first)
        second = seen(server)
        film.write_text("colour = 1")
        until(lambda: len(server.events("a change of the product cannot be used, the last good one stays")) >= 2)
        worker = server.events("worker started")[0]
        os.kill(int(str(worker["pid"])), signal.SIGKILL)
        until(lambda: len(server.events("worker ready")) >= 3)
        assert seen(server) == second
        assert server.process.poll() is None


def seen(server: RunningServer) -> set[str]:
    """The revisions that fresh connections meet; the kernel spreads them over the workers."""
    found = set()
    for _ in itertools.repeat(None, 12):
        with Client(server.address) as client:
            found.add(client.recommend("film", "viewer-001", timeout=30).config_revision)
    return found
