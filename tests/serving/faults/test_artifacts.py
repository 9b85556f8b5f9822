"""The newest version is damaged under load: new workers take the last good one, and no call fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cuvee.testing.server import RunningServer, run_server
from reliability.callers import Callers
from reliability.place import ENVIRONMENT, POPULAR, fit, fitted

PRODUCT = 'sources = [{ use = "pairs" }, { use = "popular" }]'
OPTIONS = ["--workers", "2"]


def cut(folder: Path) -> None:
    path = folder / "pairs/counts.npy"
    path.write_bytes(path.read_bytes()[:-7])


def flipped(folder: Path) -> None:
    path = folder / "popular/counts.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def foreign(folder: Path) -> None:
    shutil.copy(folder / "pairs/counts.npy", folder / "popular/counts.npy")


def no_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def of_nobody(folder: Path) -> None:
    found = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(found | {"n_items": 3}))


DAMAGES: dict[Callable[[Path], None], str] = {
    cut: "pairs/counts.npy",
    flipped: "popular/counts.npy",
    foreign: "popular/counts.npy",
    no_manifest: "manifest.json",
    of_nobody: "manifest.json",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tables = {"popular": POPULAR, "pairs": 'plugin = "toy_pairs"'}
    folder = tmp_path_factory.mktemp("versions") / "place"
    return fitted(folder, {"shop": PRODUCT}, tables, head='[store]\nurl = ""')


def version(server: RunningServer) -> str:
    return server.client.recommend("shop", "viewer-001").snapshot_version


def test_a_damaged_newest_version_costs_nothing_while_workers_come_and_go(place: Path, viewers: list[str]):
    root = place.parent / "var/artifacts/shop"
    fit(place)
    newest = max(p.name for p in root.iterdir())
    # running servers take up a whole version at once, so it comes into its place damaged
    whole, aside = place.parent / "whole", root / ".aside"
    (root / newest).rename(whole)
    with run_server(place, environment=ENVIRONMENT, options=OPTIONS, wait_until="workers ready") as server:
        good = version(server)
        assert newest > good
        with Callers(server.address, ["shop"], viewers, callers=4, timeout=2.0, pause=0.01) as callers:
            callers.first(lambda call: call.code == "OK", 0.0)
            for damage, file in DAMAGES.items():
                shutil.copytree(whole, aside)
                damage(aside)
                aside.rename(root / newest)
                ready = len(server.events("worker ready"))
                pid = server.process.pid
                workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                os.kill(int(workers[0]), signal.SIGKILL)
                until = time.monotonic() + 60
                while len(server.events("worker ready")) == ready:
                    assert time.monotonic() < until
                    time.sleep(0.1)
                told = server.events("an older version answers")[-1]
                assert (told["version"], told["newest"]) == (good, newest)
                assert file in str(told["problem"]), "the file is named"
                assert server.events("product ready")[-1]["problems"], "and stands beside what is served"
                shutil.rmtree(root / newest)
        found = callers.summary()
        print(f"\n{len(DAMAGES)} damages: {found}")
        assert found.ok == 1.0, found
        assert all(call.items == 5 and not call.said_degraded for call in callers.calls)
        assert version(server) == good
