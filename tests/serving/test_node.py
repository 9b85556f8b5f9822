"""The main calls from Node.js, by @grpc/grpc-js with nothing of ours but the proto."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cuvee.config import Scope
from cuvee.serving.access.tokens import change_tokens, new_token
from cuvee.testing import RunningServer
from cuvee.testing.server import run_server

from .conftest import ENVIRONMENT, migrated, stored

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "tests" / "node"


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the calls and what they need, installed as the lock file says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node.js here: install node and npm")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "cuvee.js", "calls.js"):
        shutil.copy(NODE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot reach its registry from here: `npm ci` got no answer")
    if done.returncode:
        reached = not any(code in done.stderr for code in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT"))
        assert not reached, done.stderr
        pytest.skip("npm cannot reach its registry from here")
    return folder


def test_node_shows_a_token(config: Path, node: Path, tmp_path: Path):
    tokens = tmp_path / "tokens.json"
    text, token = new_token("node", list(Scope), None, None)
    change_tokens(tokens, lambda old: old.model_copy(update={"tokens": (token,)}))
    made = stored(config, migrated(f"sqlite:///{tmp_path / 'store.db'}"), "with-tokens")
    made.write_text(made.read_text().replace("[server]\n", f'[server]\nauth.tokens = "{tokens}"\n'))
    with run_server(made, environment=ENVIRONMENT) as server:
        command = ["node", "calls.js", server.address, str(ROOT / "proto"), "toy", "film-004"]
        for shown in ("", text):
            environment = {**os.environ, "CUVEE_TOKEN": shown}
            done = subprocess.run(
                command, cwd=node, env=environment, capture_output=True, text=True, check=False, timeout=60
            )
            assert (done.returncode == 0) == bool(shown), done.stderr
            assert shown or "UNAUTHENTICATED" in done.stderr


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_node_makes_the_main_calls(stored_server: RunningServer, node: Path, store_url: str):
    command = ["node", "calls.js", stored_server.address, str(ROOT / "proto"), "toy", "film-004"]
    done = subprocess.run(command, cwd=node, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["before"]["known"], found["after"]["known"]) == (False, True)
    assert "film-004" not in found["after"]["items"]
    assert len(found["before"]["items"]) == len(found["after"]["items"]) == 30
    assert found["written"] == [["OUTCOME_STORED", None], ["OUTCOME_REJECTED", "item_id"]]
    assert found["acknowledged"] == [[n, "OUTCOME_STORED"] for n in (1, 2, 3)]
    assert found["merged"] == 1
    assert found["upserted"] == ["UPSERT_OUTCOME_CREATED", "Nœud", 2001]
    assert "from-node" in found["listed"]
    assert found["deleted"]
    assert found["exported"] == ["user", *["event"] * 5]
    assert found["complete"]
    code, details = found["refused"]
    assert code == 3
    assert details.startswith("page_size: is -1")
