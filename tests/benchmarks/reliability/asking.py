"""Random valid requests, and what holds of every answer to them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cuvee.client import Client, profile
from cuvee.testing import two_tribes
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Asked", "World", "ask", "broken", "random_request", "same"]

MOST = 30
"""``page_size.max`` of the products that are asked."""
Film = Mapping[str, Any]
FILTERS: Mapping[str, Callable[[Film], bool]] = {
    "": lambda film: True,
    "year >= 1990": lambda film: film["year"] >= 1990,
    "year BETWEEN 1970 AND 1999": lambda film: 1970 <= film["year"] <= 1999,
    "'Drama' IN genres": lambda film: "Drama" in film["genres"],
    "NOT 'War' IN genres": lambda film: "War" not in film["genres"],
    "year < 1980 OR 'Comedy' IN genres": lambda film: film["year"] < 1980 or "Comedy" in film["genres"],
    "title LIKE 'The g%'": lambda film: film["title"].startswith("The g"),
    "id IN ('film-001', 'film-123')": lambda film: film["id"] in {"film-001", "film-123"},
    "year < 0": lambda film: False,
}


@dataclass
class World:
    """What is true of the products of ``place.RULED``, kept beside the server by whoever writes to it."""

    films: dict[str, Film]
    users: list[str]
    seen: dict[str, set[str]]
    unavailable: set[str] = field(default_factory=set)
    products: Sequence[str] = ("blended", "explored", "short", "failing")

    @classmethod
    def of_toy(cls) -> World:
        """As it is imported."""
        toy = two_tribes()
        ids = toy.data.catalog.items.ids
        users = toy.grown.users.frame["id"].to_list()
        seen = {
            user: set(ids(toy.data.events.row(n))) if n < toy.data.n_users else set() for n, user in enumerate(users)
        }
        films: dict[str, Film] = {str(row["id"]): row for row in toy.grown.items.frame.to_dicts()}
        return cls(films, users, seen)

    def write(self, client: Client, rng: random.Random, many: int) -> None:
        """New users with events, and items that are taken out, for every product."""
        watched = [rng.choice(sorted(self.films)) for _ in range(many)]
        for product in self.products:
            for n, item in enumerate(watched):
                user = f"written-{n}"
                event = events_pb2.Event(
                    product=product, user_id=user, item_id=item, type=events_pb2.EVENT_TYPE_CLICK, event_id=f"w{n}"
                )
                client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=10)
            for item in sorted(self.films)[3 : 3 + many]:
                flag = profile({"x": False}).attributes["x"]
                one = catalog_pb2.Item(item_id=item, attributes={"available": flag})
                request = catalog_pb2.UpsertItemRequest(product=product, item=one)
                request.update_mask.paths.append("attributes.available")
                client.catalog.UpsertItem(request, timeout=10)
                self.unavailable.add(item)
        self._read_back(client, many)

    def _read_back(self, client: Client, many: int) -> None:
        """The events that are stored, by the server's own export: the same of every product."""
        for n in range(many):
            request = catalog_pb2.ExportUserRequest(product="blended", user_id=f"written-{n}")
            found = {
                one.event.item_id for one in client.catalog.ExportUser(request, timeout=10) if one.HasField("event")
            }
            self.seen[f"written-{n}"] = found
            self.users.append(f"written-{n}")


@dataclass(frozen=True)
class Asked:
    """A request, and what it allows in its answer."""

    request: pb.RecommendRequest | pb.SimilarItemsRequest | pb.RankRequest
    k: int
    allowed: frozenset[str]
    """Items that its answer may show."""
    exact: frozenset[str] | None = None
    """Items that its answer must show, all of them."""


def random_request(rng: random.Random, world: World) -> Asked:
    """One of the three kinds."""
    product = rng.choice(list(world.products))
    items = sorted(world.films)
    some = rng.sample([*items, "unknown-1", "unknown-2"], rng.choice([0, 0, 1, 3, 60]))
    sql = rng.choice(list(FILTERS))
    size = rng.choice([0, 1, 2, 5, 7, 29, 30, 31, 1000])
    k = min(size or 5, MOST)
    fits = {i for i, film in world.films.items() if FILTERS[sql](film) and film["year"] >= 1960}
    fits -= world.unavailable
    view = rng.choice([pb.ATTRIBUTION_VIEW_UNSPECIFIED, pb.ATTRIBUTION_VIEW_BASIC, pb.ATTRIBUTION_VIEW_FULL])
    kind = rng.randrange(6)
    if kind == 0:
        anchors = rng.sample([*items, "unknown-3"], rng.choice([1, 2, 5]))
        similar = pb.SimilarItemsRequest(
            product=product, item_ids=anchors, page_size=size, filter=sql, exclude_item_ids=some, view=view
        )
        return Asked(similar, k, frozenset(fits - {*some, *anchors}))
    user = rng.choice([*rng.choices(world.users, k=4), "", "a stranger"])
    context = rng.sample(items, rng.choice([0, 1, 4]))
    told = (
        profile({"age": rng.choice([18, 60])}, {"genres": ["War"]})
        if rng.random() < 0.3 or not (user or context)
        else None
    )
    if kind == 1:
        listed = rng.sample([*items, "unknown-4"], rng.choice([1, 2, 40]))
        ranked = pb.RankRequest(
            product=product, user_id=user, context_item_ids=context, item_ids=listed, profile=told, view=view
        )
        known = frozenset(listed) & frozenset(world.films)
        return Asked(ranked, len(known), known, known)
    request = pb.RecommendRequest(
        product=product,
        user_id=user,
        context_item_ids=context,
        profile=told,
        page_size=size,
        filter=sql,
        exclude_item_ids=some,
        view=view,
    )
    allowed = frozenset(fits - {*some, *context} - world.seen.get(user, set()))
    # what the catalogue has fills every list, so it is short only where there is nothing more to show
    exact = allowed if len(allowed) <= k else None
    return Asked(request, k, allowed, exact)


def ask(client: Client, asked: Asked, timeout: float = 10.0) -> Any:
    """The answer."""
    stub = client._stub
    match asked.request:
        case pb.RecommendRequest():
            return stub.Recommend(asked.request, timeout=timeout)
        case pb.SimilarItemsRequest():
            return stub.SimilarItems(asked.request, timeout=timeout)
    return stub.Rank(asked.request, timeout=timeout)


def broken(asked: Asked, answer: Any) -> list[str]:
    """The promises that an answer breaks; empty where it keeps all."""
    ids = [item.item_id for item in answer.items]
    wrong = []
    if len(ids) > asked.k:
        wrong.append(f"{len(ids)} items, at most {asked.k} were asked for")
    if len(set(ids)) != len(ids):
        wrong.append("an item twice")
    if not asked.allowed.issuperset(ids):
        wrong.append(f"items that must not be shown: {sorted(set(ids) - asked.allowed)}")
    if asked.exact is not None and set(ids) != asked.exact:
        wrong.append(f"items that are lacking: {sorted(asked.exact - set(ids))}")
    if [item.position for item in answer.items] != list(range(len(ids))):
        wrong.append("positions are not 0, 1, 2, ...")
    scores = [item.score for item in answer.items]
    scores += [a.contribution for item in answer.items for a in item.attributions]
    if not all(map(math.isfinite, scores)):
        wrong.append("a score that is not finite")
    blended = [item.score for item in answer.items if not item.exploration and not item.HasField("fallback")]
    if blended != sorted(blended, reverse=True):
        wrong.append("scores are not in order")
    levels = [item.fallback.level if item.HasField("fallback") else 0 for item in answer.items]
    if levels != sorted(levels):
        wrong.append("a fallback before what it is a fallback for")
    for item in answer.items:
        shares = math.fsum(a.contribution for a in item.attributions)
        if item.attributions and abs(shares - item.score) > 1e-5 * max(1.0, abs(item.score)):
            wrong.append(f"{item.item_id}: contributions add up to {shares}, not to {item.score}")
    return wrong


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal, apart from their ids, page tokens and latencies."""
    return _plain(one) == _plain(other)


def _plain(answer: Any) -> bytes:
    copy = type(answer)()
    copy.CopyFrom(answer)
    copy.recommendation_id = ""
    if "next_page_token" in copy.DESCRIPTOR.fields_by_name:
        copy.ClearField("next_page_token")  # sealed anew, with the time
    for source in copy.sources:
        source.ClearField("latency")
        # a circuit that opened between two calls, and what a source says of how long it took
        source.ClearField("reason")
        source.ClearField("detail")
    for item in copy.items:
        if item.HasField("fallback"):
            item.fallback.ClearField("reason")
    return bytes(copy.SerializeToString(deterministic=True))
