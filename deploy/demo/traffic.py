"""Callers that never pause: what they see while something is stopped, started or swapped."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from cuvee.client import Client
from cuvee.v1 import recommendation_pb2 as pb

from deploy.demo.place import PRODUCT, Place

__all__ = ["Seen", "Traffic", "deep_of", "in_words", "traffic"]

PAUSE = 0.05
"""Seconds between one answer and the next question."""
PAGE = 10
TIMEOUT = 5.0
"""Seconds that a caller waits; the server's own cap is 1 s."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as its caller saw it."""

    at: float
    """``time.monotonic()`` when it was answered."""
    took: float
    """Seconds."""
    error: str
    """The status code's name; empty where it is OK."""
    items: int = 0
    reason: str = ""
    """Why the deep recommender is missing; empty where it took part."""
    version: str = ""
    """The deep model's."""

    @property
    def whole(self) -> bool:
        """Answered, with a full list."""
        return not self.error and self.items == PAGE


def deep_of(answer: pb.RecommendResponse) -> pb.SourceStatus:
    """What the answer says of the deep recommender."""
    return next(source for source in answer.sources if source.source == "deep")


def in_words(source: pb.SourceStatus) -> str:
    """Its typed reason: ``unavailable``, ``circuit open``; empty where it took part."""
    if source.status == pb.SourceStatus.STATUS_LIVE:
        return ""
    return pb.DegradedReason.Name(source.reason).removeprefix("DEGRADED_REASON_").lower().replace("_", " ")


class Traffic:
    """Asks for one user after the other until it is told to stop."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="traffic")
        self.seen: list[Seen] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request in flight."""
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        draw = random.Random(1)  # noqa: S311 - users by chance, no secrets
        with Client(self._address) as client:
            while not self._over.wait(PAUSE):
                self.seen.append(_once(client, str(draw.randint(1, 943))))

    def since(self, moment: float) -> list[Seen]:
        """What was answered from then on."""
        return [one for one in list(self.seen) if one.at >= moment]


def _once(client: Client, user: str) -> Seen:
    began = time.monotonic()
    try:
        answer = client.recommend(PRODUCT, user, page_size=PAGE, timeout=TIMEOUT)
    except grpc.RpcError as problem:
        now = time.monotonic()
        return Seen(now, now - began, problem.code().name)
    now, deep = time.monotonic(), deep_of(answer)
    return Seen(now, now - began, "", len(answer.items), in_words(deep), deep.model_version)


@contextmanager
def traffic(place: Place) -> Iterator[Traffic]:
    """Traffic for as long as the context lasts."""
    going = Traffic(place.address)
    going.start()
    try:
        yield going
    finally:
        going.stop()


def reasons(seen: Iterable[Seen]) -> str:
    """How many answers lacked the deep recommender, and why."""
    found = Counter(one.reason for one in seen if one.reason)
    return ", ".join(f"{count} {reason}" for reason, count in found.most_common())
