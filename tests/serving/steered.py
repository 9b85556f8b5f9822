"""Two products whose files and fits tests change under a running server: what they are, and how they are asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cuvee.client import Client
from cuvee.testing.server import RunningServer
from cuvee.v1 import recommendation_pb2 as pb

from .conftest import ENVIRONMENT

SERVER = '[server]\nlimits = { deadline = "30s" }\n[store]\nurl = ""\n'
"""A slow machine misses no deadline."""
FILM = """
dataset = "toy"
page_size = {{ default = 7, max = 30 }}
sources = [{{ use = "pairs" }}, {{ use = "popular" }}]
[blend]
segments = {{ cold = 0, warm = 1 }}
passage = "hard"
[blend.weights]
cold = {{ popular = 1.0 }}
warm = {{ pairs = 0.5, popular = 0.5 }}
"""
SHOP = """
dataset = "toy"
sources = [{{ use = "popular" }}]
"""


def ask(server: RunningServer | Client, product: str = "film") -> pb.RecommendResponse:
    client = server if isinstance(server, Client) else server.client
    return client.recommend(product, "viewer-001", timeout=30)


def revision(server: RunningServer, product: str = "film") -> str:
    return ask(server, product).config_revision


def fit(config: Path, product: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cuvee.cli", "fit", product, "--config", str(config), "--json"],
        env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
