"""The newest version is damaged under load: new workers take the last good one, and no call fails."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuvee.artifacts.versions import digest_of
from cuvee.testing.server import RunningServer, run_server
from reliability.callers import Callers
from reliability.place import ENVIRONMENT, POPULAR, fit, fitted

PRODUCT = 'sources = [{ use = "pairs" }, { use = "popular" }]'
OPTIONS = ["--workers", "2"]


PAIRS, POPULAR_COUNTS = "pairs/counts.npy", "popular/counts.npy"


def changed(manifest: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a manifest says, and let its digest agree with that."""
    told = json.loads(manifest.read_text())
    told.pop("digest")
    change(told)
    manifest.write_text(json.dumps(told | {"digest": digest_of(told)}))


def put(folder: Path, data: bytes, *, agreed: bool) -> None:
    """Other bytes as a file of a model; ``agreed``: with their digest in the manifest."""
    (folder / POPULAR_COUNTS).write_bytes(data)
    if agreed:
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        changed(folder / "manifest.json", lambda told: told["models"]["popular"]["files"]["counts.npy"].update(entry))


def cut(folder: Path) -> None:
    path = folder / PAIRS
    path.write_bytes(path.read_bytes()[:-7])


def flipped(folder: Path) -> None:
    data = bytearray((folder / POPULAR_COUNTS).read_bytes())
    data[-1] ^= 1
    put(folder, bytes(data), agreed=False)


def foreign(folder: Path) -> None:
    put(folder, (folder / PAIRS).read_bytes(), agreed=False)


def oversized_header(folder: Path) -> None:
    header = b"{" + b" " * 2**20 + b"}\n"
    put(folder, b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header, agreed=True)


def objects(folder: Path) -> None:
    made = io.BytesIO()
    np.save(made, np.array([{"anything": 1}], dtype=object), allow_pickle=True)
    put(folder, made.getvalue(), agreed=True)


def leads_elsewhere(folder: Path) -> None:
    (folder.parent.parent / "evil.npy").write_bytes((folder / POPULAR_COUNTS).read_bytes())

    def change(told: dict[str, Any]) -> None:
        files = told["models"]["popular"]["files"]
        files["../../../evil.npy"] = files["counts.npy"]

    changed(folder / "manifest.json", change)


def a_link(folder: Path) -> None:
    elsewhere = folder.parent.parent / "elsewhere.npy"
    shutil.copy(folder / POPULAR_COUNTS, elsewhere)
    (folder / POPULAR_COUNTS).unlink()
    (folder / POPULAR_COUNTS).symlink_to(elsewhere)


def a_file_is_missing(folder: Path) -> None:
    (folder / POPULAR_COUNTS).unlink()


def no_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")


def of_nobody(folder: Path) -> None:
    found = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(found | {"n_items": 3}))


DAMAGES: dict[Callable[[Path], None], str] = {
    cut: PAIRS,
    flipped: POPULAR_COUNTS,
    foreign: POPULAR_COUNTS,
    oversized_header: POPULAR_COUNTS,
    objects: POPULAR_COUNTS,
    leads_elsewhere: "manifest.json",
    a_link: POPULAR_COUNTS,
    a_file_is_missing: POPULAR_COUNTS,
    no_manifest: "manifest.json",
    of_nobody: "manifest.json",
}
AT_ONCE = 5
"""Damaged versions that lie above the good one when a worker is replaced; eight are tried in all."""


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
    kinds = list(DAMAGES.items())
    with run_server(place, environment=ENVIRONMENT, options=OPTIONS, wait_until="workers ready") as server:
        good = version(server)
        assert newest > good
        with Callers(server.address, ["shop"], viewers, callers=4, timeout=2.0, pause=0.01) as callers:
            callers.first(lambda call: call.code == "OK", 0.0)
            for first in range(0, len(kinds), AT_ONCE):
                names = {}
                for n, (damage, file) in enumerate(kinds[first : first + AT_ONCE]):
                    name = f"{newest[:-4]}{n:03}Z"
                    shutil.copytree(whole, aside)
                    changed(aside / "manifest.json", lambda told, name=name: told.update(version=name))
                    damage(aside)
                    aside.rename(root / name)
                    names[name] = file
                ready = len(server.events("worker ready"))
                pid = server.process.pid
                workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                os.kill(int(workers[0]), signal.SIGKILL)
                until = time.monotonic() + 60
                while len(server.events("worker ready")) == ready:
                    assert time.monotonic() < until
                    time.sleep(0.1)
                told = server.events("an older version answers")[-1]
                assert (told["version"], told["newest"]) == (good, max(names))
                said = [*server.events("model not loaded"), *server.events("version not loaded")]
                problems = [str(line["problem"]) for line in said]
                for name, file in names.items():
                    assert any(f"{name}/{file}" in problem for problem in problems), (name, file, problems)
                assert server.events("product ready")[-1]["problems"], "and it stands beside what is served"
                for name in names:
                    shutil.rmtree(root / name)
        found = callers.summary()
        print(f"\n{len(DAMAGES)} damages: {found}")
        assert found.ok == 1.0, found
        assert all(call.items == 5 and not call.said_degraded for call in callers.calls)
        assert version(server) == good
