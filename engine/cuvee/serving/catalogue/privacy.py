"""A user's data: exported or deleted completely, with a report for each place."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence

from cuvee.artifacts.forgotten import rows_in_dataset, versions_that_know
from cuvee.artifacts.versions import CATALOG
from cuvee.data.store import Store
from cuvee.data.store.rows import EventRow, Forgotten
from cuvee.errors import NotFound
from cuvee.serving.catalogue.to_wire import user_message
from cuvee.serving.catalogue.user_pages import UserPages
from cuvee.serving.events.from_wire import time_of
from cuvee.serving.lists.users import StoredUsers
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.products import Served
from cuvee.serving.off_loop import StoreCalls
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import events_pb2

__all__ = ["Privacy"]

Place = pb.ClearedPlace
CLEARED, NOTHING, PENDING = Place.OUTCOME_CLEARED, Place.OUTCOME_NOTHING_FOUND, Place.OUTCOME_PENDING
IMPORTED = (
    "not used for this user any more; `cuvee fit` takes him out, when each product of the dataset has forgotten him. "
    "A keyed hash of his id records that he is forgotten."
)
FITTED = "not used for this user any more; the next `cuvee fit` leaves him out and deletes it"
OLDER = "an older version, which no server of this product loads any more; the next `cuvee fit` deletes it"
CACHED = "of this server; others ask the store before they use theirs"
SESSIONS = "of events that are other users'; they stay, without this id"


class Privacy:
    """Deletes and exports users' data."""

    def __init__(self, configured: Configured, store: Store, calls: StoreCalls, users: StoredUsers) -> None:
        self._configured = configured
        self._store = store
        self._calls = calls
        self._users = users
        self._pages = UserPages(store)

    async def delete(self, served: Sequence[Served], request: pb.DeleteUserRequest) -> pb.DeleteUserResponse:
        """Forget a user in products.

        Raises:
            NotFound: none of them has data of the user, and ``allow_missing`` is not set.
            UnavailableError: the store cannot be reached; repeat the call.
        """
        places = [place for one in served for place in await self._forget(one, request)]
        if not request.allow_missing and all(place.outcome == NOTHING for place in places):
            raise NotFound("user", request.user_id)
        left = any(place.outcome in {PENDING, Place.OUTCOME_FAILED} for place in places)
        return pb.DeleteUserResponse(places=places, complete=not left)

    async def _forget(self, served: Served, request: pb.DeleteUserRequest) -> list[pb.ClearedPlace]:
        snapshot, user_id = served.snapshot, request.user_id
        name = snapshot.product.name
        served_here = snapshot.data.catalog.users.position(user_id) >= 0

        def look() -> tuple[int, dict[str, bool], Forgotten]:
            # the disk is searched first, so that a fit in between hides nothing from the report
            rows = rows_in_dataset(self._configured.of(name), name, user_id)
            versions = versions_that_know(self._configured.of(name), name, user_id)
            known = served_here or bool(rows or versions)
            return rows, versions, self._store.forget(name, user_id, imported=known, dry=request.validate_only)

        rows, versions, stored = await self._calls.ask(look)
        cached = self._users.held(name, user_id) if request.validate_only else self._users.drop(name, user_id)
        if (served_here or rows or versions) and not request.validate_only:
            await self._users.follow(name)
        found = [
            _place(name, "store.events", stored.events, CLEARED),
            _place(name, "store.users", int(stored.profile), CLEARED),
            _place(name, "store.sessions", stored.sessions, CLEARED, SESSIONS),
            _place(name, "cache.histories", cached, CLEARED, CACHED),
            _place(name, f"dataset.{snapshot.product.dataset}", rows, PENDING, IMPORTED),
        ]
        own_ids = versions.pop(snapshot.version, None)
        parts = [*snapshot.folders, *([CATALOG] if snapshot.manifest.catalog else [])]
        fitted = {f"snapshot.{snapshot.version}.{part}": int(own_ids is not None) for part in parts}
        found += [_place(name, place, count, PENDING, FITTED) for place, count in fitted.items()]
        return [*found, *(_place(name, f"snapshot.{version}", 1, PENDING, OLDER) for version in versions)]

    async def export(self, served: Sequence[Served], user_id: str) -> AsyncIterator[pb.ExportUserResponse]:
        """Everything that is stored about a user: for each product the profile, then the events by time.

        Raises:
            NotFound: nothing is stored.
        """
        anything = False
        for one in served:
            name = one.snapshot.product.name
            user = await self._calls.ask(lambda one=one: self._pages.user(one, user_id))  # type: ignore[misc]
            if user is None:
                continue
            anything = True
            place = "store.users" if user.updated is not None else f"dataset.{one.snapshot.product.dataset}"
            yield pb.ExportUserResponse(product=name, place=place, user=user_message(user))
            forgotten = await self._calls.ask(lambda name=name: self._pages.forgotten(name)(user_id))  # type: ignore[misc]
            imported = deque() if forgotten else deque(_imported(one, user_id))
            last: EventRow | None = None
            while page := await self._page(name, user_id, last):
                for row in page:
                    event = event_message(row)
                    while imported and _time(imported[0].event) <= _time(event):
                        yield imported.popleft()
                    yield pb.ExportUserResponse(product=name, place="store.events", event=event)
                last = page[-1]
            for left in imported:
                yield left
        if not anything:
            raise NotFound("user", user_id)

    async def _page(self, product: str, user_id: str, last: EventRow | None) -> list[EventRow]:
        return await self._calls.ask(lambda: self._store.events_of(product, user_id, last))


def _place(product: str, place: str, count: int, outcome: pb.ClearedPlace.Outcome.ValueType, detail: str = "") -> Place:
    if not count:
        return Place(product=product, place=place, outcome=NOTHING)
    return Place(product=product, place=place, outcome=outcome, record_count=count, detail=detail)


def _time(event: events_pb2.Event) -> tuple[int, int]:
    return event.event_time.seconds, event.event_time.nanos


def _imported(served: Served, user_id: str) -> Iterator[pb.ExportUserResponse]:
    """Imported events: their type is not kept; ``value`` is their weight."""
    data, product = served.snapshot.data, served.snapshot.product
    position = data.catalog.users.position(user_id)
    if position < 0:
        return
    mine = slice(data.events.offsets[position], data.events.offsets[position + 1])
    ids = data.catalog.items.ids(data.events.items[mine])
    for item_id, weight, seconds in zip(ids, data.events.weights[mine], data.events.times[mine], strict=True):
        event = events_pb2.Event(product=product.name, user_id=user_id, item_id=item_id, value=float(weight))
        event.event_time.CopyFrom(time_of(round(float(seconds) * 1e6)))
        yield pb.ExportUserResponse(product=product.name, place=f"dataset.{product.dataset}", event=event)


def event_message(row: EventRow) -> events_pb2.Event:
    """As it was sent; an anonymous event has no user_id."""
    made = events_pb2.Event(
        product=row.product,
        user_id="" if row.owner == row.session_id else row.owner,
        session_id=row.session_id or "",
        item_id=row.item_id,
        type=row.type,  # type: ignore[arg-type]
        value=row.value,
        event_time=time_of(row.time),
        recommendation_id=row.recommendation_id or "",
        event_id=row.event_id,
    )
    if row.position is not None:
        made.position = row.position
    return made
