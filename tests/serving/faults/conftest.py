"""Servers that may be harmed, and the tools that do it: those of tests/benchmarks, where the long runs are."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cuvee.client import policy
from cuvee.testing.server import RunningServer, run_server
from reliability.asking import World
from reliability.callers import apart
from reliability.place import ENVIRONMENT, RULED, fitted

SEED = 7


@pytest.fixture(scope="session")
def as_fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no server runs in: of products under rules, whose lists come in every way that there is."""
    folder = tmp_path_factory.mktemp("faults") / "ruled"
    return fitted(folder, RULED, head='[server]\nlimits = { deadline = "2s" }').parent


@pytest.fixture(scope="module")
def ruled(as_fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``cuvee.toml`` of a module's own copy, whose store the other modules' servers do not write to."""
    return shutil.copytree(as_fitted, tmp_path_factory.mktemp("faults") / "ruled") / "cuvee.toml"


@pytest.fixture(scope="module")
def ruled_server(ruled: Path) -> Iterator[RunningServer]:
    """One server of them, for tests that leave its data as it is."""
    with run_server(ruled, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="module")
def world(ruled_server: RunningServer) -> World:
    """What is true of that server's products, after a few events and changes of items."""
    found = World.of_toy()
    found.write(ruled_server.client, random.Random(SEED), 4)
    return found


@pytest.fixture(autouse=True)
def each_client_has_connections_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that callers spread over workers."""
    monkeypatch.setattr(policy, "OPTIONS", [*policy.OPTIONS])
    apart()


@pytest.fixture(scope="session")
def viewers() -> list[str]:
    """Users who have a history."""
    return [f"viewer-{n:03d}" for n in range(90)]
