"""How often one client may ask: by its token, or by its connection where it shows none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cuvee.client import Client, failure_of
from cuvee.config import Scope
from cuvee.serving.access.tokens import change_tokens, new_token
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

from ..conftest import ENVIRONMENT

OFTEN, SELDOM = 6, 2
"""Calls at once of most clients, and of the one that has a rate of its own; then one in 100 seconds."""
CALLS = 15


@contextmanager
def asking(server: RunningServer, token: str = "") -> Iterator[Counter[str]]:
    """What many calls on a connection of one's own come to."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    found: Counter[str] = Counter()
    with grpc.insecure_channel(server.address, options) as channel:
        stub = rpc.RecommendationServiceStub(channel)
        for _ in range(CALLS):
            try:
                stub.Recommend(pb.RecommendRequest(product="toy", user_id="viewer-001"), timeout=20, metadata=metadata)
                found["OK"] += 1
            except grpc.RpcError as problem:
                found[f"{problem.code().name} {failure_of(problem).reason}"] += 1
        yield found


def so_many(found: Counter[str], allowed: int) -> None:
    assert found == Counter({"OK": allowed, "RESOURCE_EXHAUSTED RATE_LIMITED": CALLS - allowed})


def test_by_token_and_one_has_a_rate_of_its_own(granting: Callable[[str, str], Path], tmp_path: Path):
    file, until = tmp_path / "tokens.json", datetime.now(UTC) + timedelta(days=1)
    texts = {}
    for name in ("shop", "other", "nightly"):
        text, token = new_token(name, [Scope.RECOMMEND], None, until)
        change_tokens(file, lambda old, token=token: old.model_copy(update={"tokens": (*old.tokens, token)}))
        texts[name] = text
    own = texts["nightly"].split("_")[1]
    limits = f"""[server]
auth.tokens = "{file}"
[server.limits]
client_rate = {{ per_second = 0.01, burst = {OFTEN} }}
clients = {{ "{own}" = {{ per_second = 0.01, burst = {SELDOM} }} }}"""
    with run_server(granting("tokens", limits), environment=ENVIRONMENT) as server:
        with asking(server, texts["shop"]) as found, asking(server, texts["shop"]) as second:
            so_many(found, OFTEN)
            so_many(second, 0)  # another connection of the same client
        with asking(server, texts["other"]) as found:
            so_many(found, OFTEN)
        with asking(server, texts["nightly"]) as found:
            so_many(found, SELDOM)
        with Client(server.address) as client:
            assert client.health(timeout=20).status == 1, "health has no rate"


def test_by_connection_where_nobody_shows_credentials(granting: Callable[[str, str], Path]):
    limits = f"[server.limits]\nclient_rate = {{ per_second = 0.01, burst = {OFTEN} }}"
    own = granting("open", limits)
    with run_server(own, environment=ENVIRONMENT) as server, asking(server) as found, asking(server) as second:
        so_many(found, OFTEN)
        so_many(second, OFTEN)
