"""A server that strangers could reach does not start unless it asks for credentials, or is told that this is meant."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cuvee.serving.access.exposure import is_exposed
from cuvee.testing.server import run_server

from ..commands import cuvee
from ..conftest import ENVIRONMENT

HERE_ONLY = (
    "127.0.0.1:50051", "127.0.0.1:0", "127.8.9.1:1", "[::1]:50051", "localhost:50051", "LOCALHOST:1", "unix:/run/cuvee",
    "unix:cuvee.sock", "unix-abstract:cuvee", "ipv4:127.0.0.1:1", "ipv6:[::1]:1", "dns:localhost:1", "dns:///localhost:1",
)  # fmt: skip
EVERYWHERE = (
    "0.0.0.0:50051", "[::]:50051", ":50051", "*:50051", "0:50051", "192.168.1.5:1", "10.0.0.1:1", "[fe80::1%eth0]:1",
    "cuvee.example:1", "localhost.example:1", "127.0.0.1.example:1", "ipv4:127.0.0.1:1,10.0.0.1:2", "ipv4:0.0.0.0:1",
    "[::ffff:10.0.0.1]:1", "vsock:2:1", "50051", "", "localhost", "127.1:5",
)  # fmt: skip


@pytest.mark.parametrize("listen", HERE_ONLY)
def test_only_this_machine_reaches(listen: str) -> None:
    assert not is_exposed(listen)


@pytest.mark.parametrize("listen", EVERYWHERE)
def test_others_reach(listen: str) -> None:
    assert is_exposed(listen)


def serve(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cuvee.cli", "serve", "--config", str(config), *options]
    environment = {**os.environ, **ENVIRONMENT}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of a product that was never fitted: what is refused is refused before that matters."""
    folder = tmp_path_factory.mktemp("exposed")
    (folder / "products").mkdir()
    (folder / "products/shop.toml").write_text('sources = [{ use = "popular" }]\n')
    (folder / "cuvee.toml").write_text('[recommenders.popular]\nplugin = "toy_popular"\n')
    return folder / "cuvee.toml"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_says_what_to_do(bare: Path, workers: str) -> None:
    ended = serve(bare, "--listen", "0.0.0.0:0", "--workers", workers)
    assert ended.returncode == 2
    for words in ("cuvee token new", "[server.tls] client_ca", "insecure = true", "127.0.0.1"):
        assert words in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


TOLD = {
    'auth.tokens = "gone.json"': "does not exist; `cuvee token new",
    'auth.tokens = "cuvee.toml"': "Invalid JSON",
    'auth.jwt = { jwks = "cuvee.toml", issuer = "i", audience = "a" }': "is no JSON",
    'auth.jwt = { jwks = "gone.json", issuer = "i", audience = "a" }': "cannot be read",
    'tls = { certificate = "cuvee.toml", key = "cuvee.toml" }': "holds no certificate in PEM",
    'tls = { certificate = "gone.pem", key = "gone.pem" }': "server.tls.certificate: cannot be read",
    'listen = "0.0.0.0:0"': "can be reached from other machines",
    'listen = "0.0.0.0:0"\ntls = { certificate = "cuvee.toml", key = "cuvee.toml" }': "can be reached",
}


def wrong(bare: Path, tables: str) -> Path:
    made = bare.with_name("wrong.toml")
    made.write_text(f"[server]\n{tables}\n" + bare.read_text())
    return made


@pytest.mark.parametrize("tables", TOLD)
def test_check_says_it(bare: Path, tables: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in reversed(ENVIRONMENT["PYTHONPATH"].split(os.pathsep)):
        monkeypatch.syspath_prepend(path)
    code, said = cuvee("check", "--config", wrong(bare, tables))
    assert (code, TOLD[tables] in said) == (2, True), said


def test_serve_says_the_same(bare: Path) -> None:
    tables = next(iter(TOLD))
    ended = serve(wrong(bare, tables), "--workers", "1")
    assert ended.returncode == 2
    assert TOLD[tables] in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_insecure_starts_and_says_so(config: Path) -> None:
    made = config.with_name("insecure.toml")
    made.write_text(config.read_text().replace("[server]\n", "[server]\ninsecure = true\n"))
    options = ["--listen", "0.0.0.0:0"]
    with run_server(made, environment=ENVIRONMENT, options=options, wait_until="listening") as running:
        assert "everybody who reaches this server" in running.log
        assert "0.0.0.0:0 is not encrypted" in running.log
