"""One user who writes a great many events, and what others are shown before and after."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cuvee import Catalog, Dataset, Entities
from cuvee.client import Client
from cuvee.v1 import events_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from reliability.place import fit

__all__ = ["OTHERS", "flooded", "overlap", "shop", "tops"]

ITEMS, PEOPLE, EVENTS = 400, 2000, 60_000
OLD, DAY = 1e9, 86_400
MOST = 1000
"""Events of one call."""
OTHERS = [*(f"user-{n}" for n in range(50)), *(f"stranger-{n}" for n in range(50))]


def shop(folder: Path) -> Path:
    """A fitted shop in which a few items are liked by many, and popularity alone says what is shown."""
    rng = np.random.default_rng(7)
    share = 1 / np.arange(3, ITEMS + 3)
    catalog = Catalog(
        Entities.of_ids(f"item-{n}" for n in range(ITEMS)), Entities.of_ids(f"user-{n}" for n in range(PEOPLE))
    )
    items = rng.choice(ITEMS, EVENTS, p=share / share.sum())
    times = OLD + np.sort(rng.uniform(0, 200 * DAY, EVENTS))
    Dataset.build(catalog, rng.integers(0, PEOPLE, EVENTS), items, times).save(folder / "var/data/shop")
    (folder / "products").mkdir()
    (folder / "products/shop.toml").write_text('sources = [{ use = "popular" }]\n')
    config = folder / "cuvee.toml"
    config.write_text('[store]\nurl = "sqlite:///store.db"\n[recommenders.popular]\nplugin = "popular"\n')
    fit(config)
    return config


def tops(client: Client) -> list[set[str]]:
    """The ten first items of each of the others."""
    return [{one.item_id for one in client.recommend("shop", user, page_size=10, timeout=5).items} for user in OTHERS]


def overlap(before: Sequence[set[str]], after: Sequence[set[str]]) -> float:
    """The mean share of the ten first items that stayed."""
    return float(np.mean([len(one & other) / 10 for one, other in zip(before, after, strict=True)]))


def _event(n: int, now: int) -> events_pb2.Event:
    """Most are clicks on items just behind the first ten, with one id in ten, some as late as is taken or later."""
    found = events_pb2.Event(
        product="shop", user_id="flood", item_id=f"item-{10 + n % 10}", type=events_pb2.EVENT_TYPE_CLICK
    )
    found.event_id = "the same" if n % 10 == 0 else f"flood-{n}"
    if n % 5 == 1:
        found.event_time.CopyFrom(Timestamp(seconds=now + 240))
    elif n % 5 == 2:
        found.event_time.CopyFrom(Timestamp(seconds=now + DAY))
    elif n % 5 == 3:
        found.event_time.CopyFrom(Timestamp(seconds=now - n % 1000 * DAY))
    return found


def flooded(client: Client, count: int) -> Counter[str]:
    """So many events of one user, as fast as the server takes them; how many were stored, and why others were not."""
    found: Counter[str] = Counter()
    for first in range(0, count, MOST):
        events = [_event(n, int(time.time())) for n in range(first, min(first + MOST, count))]
        answer = client.events.WriteEvents(events_pb2.WriteEventsRequest(events=events), timeout=10)
        found["newly stored"] += answer.stored_count
        for one in answer.results:
            outcome = events_pb2.EventResult.Outcome.Name(one.outcome).removeprefix("OUTCOME_")
            found[one.problem.reason or outcome] += 1
    return found
