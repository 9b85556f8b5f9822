"""The served list is the offline list: one pipeline, whoever asks, in whatever batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cuvee.artifacts.snapshot import load_snapshot
from cuvee.client import Client
from cuvee.config import load_settings
from cuvee.registry import Registry
from cuvee.testing.agreement import Agreement, compare
from cuvee.testing.server import RunningServer

HERE = Path(__file__).parents[1]


@pytest.fixture
def offline(config: Path, monkeypatch: pytest.MonkeyPatch):
    """Load a product in this process, too."""
    monkeypatch.syspath_prepend(str(HERE / "plugin"))
    monkeypatch.syspath_prepend(str(HERE.parent / "toyplugin"))
    registry = Registry.load()
    settings = load_settings(config, registry)
    return lambda product: load_snapshot(settings, registry, product)


@pytest.mark.parametrize("product", ["toy", "narrow", "fused", "ruled"])
def test_every_item_of_every_user(product: str, offline, server: RunningServer) -> None:
    snapshot = offline(product)
    users = np.arange(snapshot.data.n_users, dtype=np.int32)
    found = compare(server.client, snapshot, users, 10)
    assert found.examples == []
    assert (found.users, found.degraded, found.differing) == (len(users), 0, 0)
    assert found.items >= 5 * len(users)


def test_whoever_shares_the_batch(offline, server: RunningServer) -> None:
    # eight callers at once are answered together; each gets what he would alone
    snapshot = offline("toy")
    shares = np.array_split(np.arange(snapshot.data.n_users, dtype=np.int32), 8)

    def ask(users: np.ndarray) -> Agreement:
        with Client(server.address) as client:
            return compare(client, snapshot, users, 10)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, shares))
    assert [line for one in found for line in one.examples] == []
    assert sum(one.users for one in found) == snapshot.data.n_users


def test_differences_are_found_and_ties_are_not_differences() -> None:
    found = Agreement()
    found.add("a", [("x", 2.0), ("y", 1.0)], [("x", 2.0), ("y", 1.0)])
    assert (found.items, found.differing, found.ties) == (2, 0, 0)
    found.add("b", [("x", 1.0), ("y", 1.0)], [("y", 1.0), ("x", 1.0)])
    assert (found.differing, found.ties) == (0, 2)
    found.add("c", [("x", 2.0), ("z", 0.5)], [("x", 2.0), ("y", 1.0), ("z", 0.5)])
    assert (found.items, found.differing) == (7, 2)
    assert found.examples[0] == "user c, place 1: z (0.5) served, y (1.0) offline"
