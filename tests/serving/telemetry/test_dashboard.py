"""A real Prometheus reads a real server: rules load, every query of the dashboard answers, every metric is there."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from cuvee.serving.telemetry.named import NAMED
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import events_pb2 as pb

from ..conftest import ENVIRONMENT, migrated
from .conftest import address_of, chosen, scrape, until

WATCH = Path(__file__).parents[3] / "deploy" / "watch"
BOARD = json.loads((WATCH / "grafana" / "cuvee.json").read_text())
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in BOARD["panels"]
    for target in panel.get("targets", [])
}
RULES = {
    rule["alert"]: rule["expr"] for rule in yaml.safe_load((WATCH / "alerts.yml").read_text())["groups"][0]["rules"]
}
SUFFIX = re.compile(r"_(bucket|sum|count)$")


def named_in(expression: str) -> set[str]:
    """The exported names that an expression reads."""
    found = set(re.findall(r"\bcuvee_\w+", expression))
    return {name if name in NAMED else SUFFIX.sub("", name) for name in found}


@pytest.mark.parametrize("expression", [*QUERIES.values(), *RULES.values()])
def test_queries_name_what_is_declared(expression: str):
    for name in named_in(expression):
        assert name in NAMED, f"{name} is exported by nobody"
    labels = {label for name in named_in(expression) for label in NAMED[name].labels} | {
        "instance",
        "worker",
        "le",
        "job",
    }
    assert set(re.findall(r"(\w+)(?:=~|!=|=)\"", expression)) <= labels
    for group in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        assert {one.strip() for one in group.split(",")} <= labels


def test_the_dashboard_is_whole():
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in BOARD["panels"]:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"] and panel["targets"] and panel["fieldConfig"]["defaults"]["unit"]
    shown = set().union(*map(named_in, [*QUERIES.values(), *RULES.values()]))
    assert len(shown) > 25


@pytest.fixture(scope="module")
def watched(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    url = migrated(f"sqlite:///{tmp_path_factory.mktemp('board') / 'store.db'}")
    more = f'[store]\nurl = "{url}"\n[server.metrics]\nlisten = "127.0.0.1:0"\n'
    with run_server(chosen(config, "board", "toy", "filled", "dead", more=more), environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(watched: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if which("prometheus") is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    scraping = yaml.safe_load((WATCH / "prometheus.yml").read_text())
    scraping["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    scraping["rule_files"] = [str(WATCH / "alerts.yml")]
    scraping["scrape_configs"][0]["static_configs"] = [{"targets": [address_of(watched)]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(scraping))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        until(lambda: ready(address))
        yield address
    finally:
        process.terminate()
        process.wait(20)


def ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def asked(address: str, path: str, **query: str) -> Any:
    with urllib.request.urlopen(
        f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10
    ) as answer:
        found = json.loads(answer.read())
    assert found["status"] == "success", found
    return found["data"]


def test_prometheus_reads_the_server_and_every_query_answers(watched: RunningServer, prometheus: str):
    client = watched.client
    events = [pb.Event(product="toy", user_id="w", item_id="item-1", type=pb.EVENT_TYPE_CLICK, event_id="e1")]
    client.events.WriteEvents(pb.WriteEventsRequest(events=events), timeout=5)
    with pytest.raises(Exception, match="page_size"):
        client.recommend("toy", "user-1", page_size=-1)
    ends = time.monotonic() + 9
    while time.monotonic() < ends:  # drift looks at fifty lists, ten a second
        for product in ("toy", "filled", "dead"):
            client.recommend(product, "viewer-001")
        time.sleep(0.02)
    until(lambda: {"cuvee_score_drift", "cuvee_not_serving"} <= scrape(address_of(watched)).names)
    until(lambda: "cuvee_score_drift" in asked(prometheus, "label/__name__/values"))

    [target] = asked(prometheus, "targets")["activeTargets"]
    assert target["health"] == "up" and target["labels"]["job"] == "cuvee"
    [group] = asked(prometheus, "rules")["groups"]
    assert {rule["name"]: rule["health"] for rule in group["rules"]} == dict.fromkeys(RULES, "ok")
    there = {SUFFIX.sub("", name) if name not in NAMED else name for name in asked(prometheus, "label/__name__/values")}
    for title, expression in {**QUERIES, **RULES}.items():
        missing = named_in(expression) - there
        assert not missing, f"{title} reads {missing}, which the server does not export"
    for title, expression in QUERIES.items():
        filled = re.sub(r"\$(instance|product)", ".*", expression).replace("$__rate_interval", "10s")
        assert asked(prometheus, "query", query=filled)["result"], f"{title} shows nothing: {filled}"
