"""The cost of the serving edge: ids and positions, a request until it is a row of a batch, the guard around a call.

Processor time, so that a busy machine distorts little; nothing is asked of any recommender.

    python tests/benchmarks/edge.py --items 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import jwt
import numpy as np
from cryptography.hazmat.primitives.asymmetric import rsa
from cuvee.artifacts.snapshot import load_snapshot
from cuvee.config import JwtConfig, Scope, load_settings
from cuvee.config.limits import Limits
from cuvee.config.telemetry import Traces as TracesConfig
from cuvee.data.catalog import Entities
from cuvee.data.store.rows import EventRow, EventType, now
from cuvee.pseudonyms import Pseudonyms
from cuvee.registry import Registry
from cuvee.serving.access.gate import Gate
from cuvee.serving.access.identities import Identities
from cuvee.serving.access.signed import SignedTokens
from cuvee.serving.access.tokens import TokenFile, Tokens, new_token
from cuvee.serving.admission.desk import Desk
from cuvee.serving.guard import Guard
from cuvee.serving.lists.edge import Edge
from cuvee.serving.lists.hooks import Hooks
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.products import Products, Served
from cuvee.serving.live.retiring import Retiring
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.tracing.traces import Traces
from cuvee.serving.with_store import StoreServices
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from synthetic import make_dataset

CONFIG = """
[store]
url = "sqlite:///store.db"
[recommenders.popular]
plugin = "popular"
"""
ROUNDS = 3
LIMITS = Limits(deadline="5s")


def spent(what: str, call: Callable[[], object], times: int = 2_000) -> None:
    """Print the least processor time of a call."""
    least = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            call()
        least = min(least, (time.process_time() - began) / times)
    print(f"{what:34} {1e6 * least:8.2f} us")


def of_ids(items: Entities) -> None:
    """Ids to positions and back."""
    began = time.process_time()
    _ = items.index
    print(f"{f'index of {len(items)} ids':34} {time.process_time() - began:8.2f} s")
    some = np.random.default_rng(0).integers(0, len(items), 10)
    names = items.ids(some)
    spent("position of one id", lambda: items.position(names[0]))
    spent("position of an unknown id", lambda: items.position("nowhere"))
    spent("positions of ten ids", lambda: items.positions(names))
    spent("ids of ten positions", lambda: items.ids(some))
    spent("titles of ten positions", lambda: items.titles_of(some))


async def of_requests(config: Path) -> None:
    """A message up to its row, by how many come at once."""
    registry = Registry.load()
    settings = load_settings(config, registry)
    products = Products(settings.products)
    retiring = Retiring(settings.server.limits.deadline)
    services = StoreServices(Configured(settings), registry, products, asyncio.Event(), Figures(), retiring=retiring)
    served = await services.begin(Served.of(load_snapshot(settings, registry, "shop"), settings.revision), settings)
    products.put(served)
    services.begun("shop")
    edge = Edge(Hooks(registry, 8), 8, services.users, services.growth)
    catalog = served.snapshot.data.catalog
    ids, known = catalog.items.ids(range(1000)), catalog.users.ids(range(64))
    store = services._store
    assert store is not None
    store.write_events(
        [
            EventRow("shop", f"{user}-{n}", f"stored-{user}", ids[7 * user + n], EventType.CLICK, 0.0, now(), now())
            for user in range(64)
            for n in range(20)
        ]
    )
    kinds: dict[str, Callable[[int], pb.RecommendRequest]] = {
        "imported user": lambda n: pb.RecommendRequest(product="shop", user_id=known[n % 64]),
        "stored user, 20 events": lambda n: pb.RecommendRequest(product="shop", user_id=f"stored-{n % 64}"),
        "session of three": lambda _: pb.RecommendRequest(product="shop", context_item_ids=ids[:3]),
    }

    async def row(data: bytes) -> None:
        await edge.row(edge.recommend(pb.RecommendRequest.FromString(data), served), time.monotonic() + 5)

    for what, make in kinds.items():
        for at_once in (1, 8, 32, 128):
            messages = [make(n).SerializeToString() for n in range(at_once)]
            times, least = max(1_000 // at_once, 10), float("inf")
            for _ in range(ROUNDS):
                began = time.process_time()
                for _ in range(times):
                    await asyncio.gather(*(row(data) for data in messages))
                least = min(least, (time.process_time() - began) / times / at_once)
            print(f"{what:24} {at_once:4} at once {1e6 * least:8.1f} us a request")
    edge.close()
    services.close()


class Echo(rpc.RecommendationServiceServicer):
    """Answers 2,500 bytes."""

    answer = pb.RecommendResponse(items=[pb.RecommendedItem(item_id=f"{n}", title="x" * 240) for n in range(10)])

    async def Recommend(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendResponse:  # noqa: N802
        """The same for all."""
        return self.answer


CALLER = """
import asyncio, sys, grpc
from cuvee.v1 import recommendation_pb2 as pb, recommendation_pb2_grpc as rpc

async def main():
    async with grpc.aio.insecure_channel(sys.argv[1]) as channel:
        stub = rpc.RecommendationServiceStub(channel)
        shown = [("authorization", "Bearer " + sys.argv[2])] if sys.argv[2] else None
        async def caller():
            for _ in range(100):
                await stub.Recommend(pb.RecommendRequest(product="shop", user_id="1"), timeout=20, metadata=shown)
        await asyncio.gather(*(caller() for _ in range(32)))

asyncio.run(main())
"""


def credentials() -> tuple[str, str, Identities, SignedTokens]:
    """A token of ours, one of an identity provider, and what knows both."""
    own, kept = new_token("bench", list(Scope), None, None)
    private = rsa.generate_private_key(65537, 2048)
    config = JwtConfig(jwks=Path("jwks.json"), issuer="bench", audience="cuvee")
    key = jwt.PyJWK({**jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "alg": "RS256"})
    claims = {"iss": "bench", "aud": "cuvee", "sub": "bench", "exp": time.time() + 3600, "scope": "recommend"}
    tokens, signed = Tokens(TokenFile(tokens=(kept,))), SignedTokens(config, {"a": key})
    foreign = jwt.encode(claims, private, "RS256", headers={"kid": "a"})
    return own, foreign, Identities(lambda: tokens, lambda: signed, None), signed


class Shows:
    """The part of a call's context that the check of credentials reads."""

    def __init__(self, token: str) -> None:
        self._metadata = (("user-agent", "grpc-python"), ("authorization", f"Bearer {token}"))

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """The same for all."""
        return self._metadata


def of_identity(own: str, foreign: str, identities: Identities, signed: SignedTokens) -> None:
    """The check of credentials alone: tokens are hashed and compared each time, signatures checked once."""
    for what, shown in {"check of a token": own, "check of a signed token": foreign}.items():
        context: Any = Shows(shown)
        spent(what, lambda context=context: identities(context))  # type: ignore[misc]
    spent("... its signature", lambda: signed._verify(foreign), 200)


async def of_the_guard() -> None:
    """An empty call, bare and behind the guard; 32 callers in a process of their own."""
    own, foreign, identities, signed = credentials()
    of_identity(own, foreign, identities, signed)
    gates = {
        "bare": "",
        "behind the guard": "",
        "... with a token sent": own,  # and not looked at: what its header costs gRPC
        "... and checked": own,
        "... a signed one": foreign,
    }
    found: dict[str, list[float]] = {what: [] for what in gates}
    for _ in range(ROUNDS):
        for what, took in found.items():
            server = grpc.aio.server()
            gate = Gate(identities) if what in {"... and checked", "... a signed one"} else Gate()
            figures = Figures()
            guard = Guard(
                LIMITS, Pseudonyms(), figures, Desk(LIMITS, {}, figures), gate, Traces(TracesConfig(), figures)
            )
            rpc.add_RecommendationServiceServicer_to_server(
                Echo(),  # type: ignore[abstract]
                server if what == "bare" else guard.around(server),
            )
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            given = ["-c", CALLER, f"127.0.0.1:{port}", gates[what]]
            caller = await asyncio.create_subprocess_exec(sys.executable, *given)
            began = time.process_time()
            await caller.wait()
            took.append((time.process_time() - began) / 3_200)
            await server.stop(0)
    for what, took in found.items():
        print(f"empty call, {what:22} {1e6 * min(took):8.1f} us")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--guard", action="store_true", help="the guard and the check of credentials alone")
    asked = parser.parse_args()
    if asked.guard:
        asyncio.run(of_the_guard())
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = folder / "cuvee.toml"
        config.write_text(CONFIG)
        (folder / "products").mkdir()
        (folder / "products/shop.toml").write_text('sources = [{ use = "popular" }]\n')
        make_dataset(10_000, asked.items, asked.events, 0).save(folder / "var/data/shop")
        subprocess.run([sys.executable, "-m", "cuvee.cli", "fit", "--config", config], check=True, capture_output=True)
        of_ids(Entities.load(folder / "var/data/shop/items.arrow"))
        asyncio.run(of_requests(config))
    asyncio.run(of_the_guard())


if __name__ == "__main__":
    main()
