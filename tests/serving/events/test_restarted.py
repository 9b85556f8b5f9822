"""PostgreSQL is restarted under a stream of events, while lists are asked for: each clause of the promise at once.

``pytest -s`` prints what happened.
"""

from __future__ import annotations

import threading
import time
import tomllib
from pathlib import Path

from cuvee.testing import RunningServer
from cuvee.testing.postgres import Postgres
from cuvee.v1 import events_pb2 as pb

from .test_store_faults import Sender, event, ids, own_postgres, stored_ids, troubles

__all__ = ["own_postgres"]

RESTARTS = 3


def test_a_restart_in_mid_stream_loses_nothing_and_lists_go_on(own_postgres: RunningServer, postgres: Postgres):
    client, sender, stop = own_postgres.client, Sender("again"), threading.Event()
    url = store_of(own_postgres)
    client.events.WriteEvents(pb.WriteEventsRequest(events=[event("1", "cached", "film-004")]), timeout=5)
    before = ids(client.recommend("toy", "cached", page_size=30))
    broken = 0

    def streaming() -> None:
        nonlocal broken
        while not stop.is_set():
            sender.stream(client, stop.is_set)
            broken += not stop.is_set()

    thread = threading.Thread(target=streaming)
    thread.start()
    degraded, away = 0, 0.0
    for _ in range(RESTARTS):
        least = len(sender.acknowledged) + 100
        while len(sender.acknowledged) < least:
            time.sleep(0.005)
        began = time.monotonic()
        postgres.stop()
        for _ in range(10):
            answer = client.recommend("toy", "cached", page_size=30)
            assert answer.degraded
            assert troubles(answer).keys() == {"store"}
            assert ids(answer) == before, "from the history that was read last"
            degraded += 1
        postgres.start()
        away += time.monotonic() - began
        fresh = client.recommend("toy", "cached", page_size=30)
        while fresh.degraded:
            time.sleep(0.02)
            fresh = client.recommend("toy", "cached", page_size=30)
        assert ids(fresh) == before
    stop.set()
    thread.join(30)
    sender.stream(client, lambda: True)
    sent, there = next(sender.numbers), stored_ids(url, "streamer")
    assert broken >= RESTARTS, "each restart broke the stream, and what had no answer was sent again"
    assert not sender.unanswered
    assert sorted(there) == sorted(sender.acknowledged)
    assert len(there) == len(set(there)) == sent
    print(
        f"\n{RESTARTS} restarts, {away:.1f} s without a database: {sent:,} events sent, all acknowledged, all stored "
        f"once; the stream broke {broken} times; {degraded} lists meanwhile, all from cached history, all degraded"
    )


def store_of(server: RunningServer) -> str:
    """The URL in the configuration that runs."""
    arguments = [str(one) for one in server.process.args]  # type: ignore[union-attr]
    config = Path(arguments[arguments.index("--config") + 1])
    url: str = tomllib.loads(config.read_text())["store"]["url"]
    return url
