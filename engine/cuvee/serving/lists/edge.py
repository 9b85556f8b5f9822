"""The edge: a request of the wire becomes one row of a question, ids become positions.

What is wrong with a request is found here, before any source is asked; what the catalogue does
not know is data. Behind the edge there are positions only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cuvee.data.catalog import Catalog
from cuvee.data.store.weights import settled, weights_of
from cuvee.errors import DeadlineExceeded, DegradedReason, InvalidArgument, UnavailableError
from cuvee.ranking.known_users import profile_of
from cuvee.ranking.plan import Question
from cuvee.ranking.rows import padded
from cuvee.recommender import Bools, Floats, Histories, Ints, Profile, Queries, Ragged, Times
from cuvee.serving.deadline import left_until
from cuvee.serving.fields import (
    MOST_ANCHORS,
    MOST_CONTEXT,
    MOST_EXCLUDED,
    MOST_LISTED,
    check_filter,
    check_first_page,
    check_id,
    check_ids,
    declared,
    length_of,
)
from cuvee.serving.lists.hooks import HistoryFailed, Hooks
from cuvee.serving.lists.users import SHARE, Known, StoredUsers, StoreFailed
from cuvee.serving.live.growth import Growth
from cuvee.serving.live.products import Served
from cuvee.serving.threads import AllTaken, Threads
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Edge", "Row", "assemble"]

SIMILAR = "similar"
"""The table of weights that SimilarItems uses, where the product has one."""


@dataclass(frozen=True, slots=True)
class _Events:
    """One user's events, oldest first."""

    items: Ints
    weights: Floats
    times: Times

    def then(self, items: Ints, now: float) -> _Events:
        """With items that were touched just now behind them."""
        when = max(now, float(self.times[-1])) if len(self.times) else now
        n = len(items)
        return _Events(
            np.concatenate([self.items, items]),
            np.concatenate([self.weights, np.ones(n, np.float32)]),
            np.concatenate([self.times, np.full(n, when)]),
        )

    def and_stored(self, items: Ints, weights: Floats, times: Times) -> _Events:
        """With stored events behind them, whenever they happened; dislikes take earlier likes back."""
        if not len(items):
            return self
        weights = np.concatenate([self.weights, weights])
        items = np.concatenate([self.items, items])
        if (weights < 0).any():
            weights = settled(items, weights)
        return _Events(items, weights, np.maximum.accumulate(np.concatenate([self.times, times])))


NOTHING = _Events(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float64))


@dataclass(frozen=True, slots=True)
class Row:
    """One request, checked, in positions: a row of a question."""

    served: Served
    """Whose positions these are."""
    k: int
    events: _Events
    user: int = -1
    profile: Profile = field(default_factory=Profile)
    excluded: Ints = field(default_factory=lambda: np.empty(0, np.int32))
    filter: str = ""
    eligible: Bools | None = None
    segment: str | None = None
    listed: Ints | None = None
    only_fallback: DegradedReason | None = None
    unknown_ids: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    """What the request's profile names and the product does not have, as paths in the profile."""
    user_known: bool = False
    history_failed: bool = False
    """The hook that loads histories failed: what the engine has itself was taken."""
    store_failed: StoreFailed | None = None
    """The store could not be read: what was read of it last was taken."""
    basic: bool = False
    """The caller wants no attributions."""

    @property
    def kind(self) -> tuple[object, ...]:
        """Rows of one kind can be asked as one batch."""
        return (id(self.served), self.listed is None, self.k, self.filter, self.segment, self.only_fallback)


def assemble(rows: Sequence[Row]) -> Question:
    """Rows of one kind as one question, asked now; recommenders get the product's newest events alone."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(r.events.items) for r in rows], out=offsets[1:])
    events = Histories(
        offsets,
        np.concatenate([r.events.items for r in rows]),
        np.concatenate([r.events.weights for r in rows]),
        np.concatenate([r.events.times for r in rows]),
    )
    first = rows[0]
    queries = Queries.build(
        events.last(first.served.snapshot.product.history),
        users=[r.user for r in rows],
        profiles=[r.profile for r in rows],
        now=time.time(),
        excluded=Ragged.of([r.excluded for r in rows]),
        eligible=first.eligible,
    )
    listed = None
    if first.listed is not None:
        listed = padded(Ragged.of([r.listed for r in rows if r.listed is not None]))
    seen = Ragged(events.offsets, events.items)
    return Question(queries, seen, first.k, first.segment, listed, first.only_fallback)


class Edge:
    """Makes rows of requests."""

    def __init__(
        self, hooks: Hooks, slots: int, stored: StoredUsers | None = None, growth: Growth | None = None
    ) -> None:
        """Without ``stored`` and ``growth``, what was imported is all that is known of users and items."""
        self._hooks = hooks
        self._stored = stored
        self._growth = growth
        self._compiling = Threads("filters", slots)

    async def recommend(self, request: pb.RecommendRequest, served: Served, deadline: float) -> Row:
        """A row that asks what to recommend.

        Raises:
            InvalidArgument: naming the field.
            DeadlineExceeded: no time was left to compile the filter.
        """
        k = length_of(request.page_size, served.snapshot.product.page_size)
        check_first_page(request.page_token)
        check_filter(request.filter)
        check_ids("exclude_item_ids", request.exclude_item_ids, MOST_EXCLUDED)
        row = await self._of_user(request, served, deadline, k)
        items = row.served.snapshot.data.catalog.items
        return replace(
            row,
            excluded=_known(items.positions(request.exclude_item_ids)),
            filter=request.filter,
            eligible=await self._mask(request.filter, row.served, deadline),
            unknown_ids=_unknown(row.served, request.context_item_ids, request.exclude_item_ids),
        )

    async def rank(self, request: pb.RankRequest, served: Served, deadline: float) -> Row:
        """A row that asks for the caller's own list in order; errors as in :meth:`recommend`."""
        check_ids("item_ids", request.item_ids, MOST_LISTED, least=1)
        # a ranking has no k; all the same, lists of any length can share a batch
        row = await self._of_user(request, served, deadline, 0)
        listed = _known(row.served.snapshot.data.catalog.items.positions(list(dict.fromkeys(request.item_ids))))
        unknown = _unknown(row.served, request.item_ids, request.context_item_ids)
        return replace(row, listed=listed, unknown_ids=unknown)

    async def similar(self, request: pb.SimilarItemsRequest, served: Served, deadline: float) -> Row:
        """A row that asks for what goes with the anchors; errors as in :meth:`recommend`."""
        k = length_of(request.page_size, served.snapshot.product.page_size)
        check_first_page(request.page_token)
        check_filter(request.filter)
        check_ids("item_ids", request.item_ids, MOST_ANCHORS, least=1)
        check_ids("exclude_item_ids", request.exclude_item_ids, MOST_EXCLUDED)
        served, _, failed = await self._now(served, "", deadline)
        items = served.snapshot.data.catalog.items
        anchors = _known(items.positions(list(dict.fromkeys(request.item_ids))))
        return Row(
            served,
            k,
            NOTHING.then(anchors, time.time()),
            excluded=np.concatenate([anchors, _known(items.positions(request.exclude_item_ids))]),
            filter=request.filter,
            eligible=await self._mask(request.filter, served, deadline),
            segment=SIMILAR,
            only_fallback=None if len(anchors) else DegradedReason.COLD_ITEM,
            unknown_ids=_unknown(served, request.item_ids, request.exclude_item_ids),
            store_failed=failed,
            basic=_basic(request.view),
        )

    async def _of_user(
        self, request: pb.RecommendRequest | pb.RankRequest, served: Served, deadline: float, k: int
    ) -> Row:
        """The user, what he did, and what is known of him."""
        user_id = check_id("user_id", request.user_id)
        context = check_ids("context_item_ids", request.context_item_ids, MOST_CONTEXT)
        told, nulls = declared(request.profile, served.snapshot.data.catalog.users.frame.schema)
        if not (user_id or context or request.profile.attributes or request.profile.interests):
            raise InvalidArgument("user_id", "is empty, and neither context_item_ids nor profile says who is asking")
        served, known, store_failed = await self._now(served, user_id, deadline)
        catalog = served.snapshot.data.catalog
        user = catalog.users.position(user_id) if user_id and not known.forgotten else -1
        profile = _profile(known, profile_of(catalog, user))
        attributes = {n: v for n, v in {**profile.attributes, **told.attributes}.items() if n not in nulls}
        failed, loaded = False, None
        try:
            loaded = await self._loaded(served, user_id, deadline)
        except HistoryFailed:
            failed = True
        events = _with_stored(served, _imported(served, user), known) if loaded is None else loaded
        return Row(
            served,
            k,
            events.then(_known(catalog.items.positions(context)), time.time()),
            user=user,
            profile=Profile(attributes, {**profile.interests, **told.interests}),
            unknown_keys=_unknown_keys(request.profile, catalog),
            user_known=user >= 0 or loaded is not None or known.stamp is not None,
            history_failed=failed,
            store_failed=store_failed,
            basic=_basic(request.view),
        )

    async def _now(self, served: Served, user_id: str, deadline: float) -> tuple[Served, Known, StoreFailed | None]:
        """What answers with the items as they are now, what is stored of the user, and what went wrong with either."""
        if self._stored is None or self._growth is None:
            return served, Known(), None
        known = Known()
        try:
            known = await self._stored.read(served.snapshot.product.name, user_id, deadline)
            async with asyncio.timeout(SHARE * left_until(deadline)):
                return await self._growth.caught_up(served, known.revision), known, None
        except StoreFailed as failed:
            return served, failed.known, failed
        except TimeoutError:
            return served, known, StoreFailed(DegradedReason.TIMEOUT, "the store did not answer in time", known)
        except UnavailableError:
            return served, known, StoreFailed(DegradedReason.UNAVAILABLE, "the store cannot be reached", known)

    async def _loaded(self, served: Served, user_id: str, deadline: float) -> _Events | None:
        """What the hook knows; raises HistoryFailed."""
        found = await self._hooks.history(served.snapshot.product.name, user_id, deadline)
        if found is None:
            return None
        items = served.snapshot.data.catalog.items.positions(found.item_ids)
        known = items >= 0
        n = len(items)
        weights = np.ones(n, np.float32) if found.weights is None else np.asarray(found.weights, np.float32)
        times = np.full(n, time.time()) if found.times is None else np.asarray(found.times, np.float64)
        return _Events(items[known], weights[known], times[known])

    async def _mask(self, sql: str, served: Served, deadline: float) -> Bools | None:
        if not sql:
            return None
        mask = served.filters.known(sql)
        if mask is not None:
            return mask
        try:
            mask = await self._compiling.in_turn(left_until(deadline), served.filters.compile, sql)
        except TimeoutError:
            raise DeadlineExceeded("the filter could not be evaluated in time; simplify it, or allow more") from None
        except AllTaken:
            raise UnavailableError("too many filters are being evaluated; try again") from None
        served.filters.keep(sql, mask)
        return mask

    def close(self) -> None:
        """Let idle threads go."""
        self._compiling.close()


def _profile(known: Known, imported: Profile) -> Profile:
    """The stored profile; the imported one where none is stored."""
    if known.profile is None:
        return imported
    plain = {n: tuple(v) if isinstance(v, list) else v for n, v in known.profile.attributes.items()}
    return Profile(plain, {n: tuple(v) for n, v in known.profile.interests.items()})


def _with_stored(served: Served, imported: _Events, known: Known) -> _Events:
    """The imported events, and behind them the stored ones whose items the catalogue knows."""
    history = known.history
    if not len(history):
        return imported
    items = served.snapshot.data.catalog.items.positions(history.item_ids)
    there = items >= 0
    weights = weights_of(served.snapshot.product.events, history.types, history.values)
    return imported.and_stored(items[there], weights[there], np.asarray(history.times, np.float64)[there] / 1e6)


def _imported(served: Served, user: int) -> _Events:
    if user < 0:
        return NOTHING
    events = served.snapshot.data.events
    mine = slice(events.offsets[user], events.offsets[user + 1])
    return _Events(events.items[mine], events.weights[mine], events.times[mine])


def _known(positions: Ints) -> Ints:
    return positions[positions >= 0]


def _unknown(served: Served, *lists: Sequence[str]) -> tuple[str, ...]:
    """Ids that the catalogue does not know, each once, in order of first mention."""
    items = served.snapshot.data.catalog.items
    return tuple(dict.fromkeys(i for ids in lists for i in ids if items.position(i) < 0))


def _unknown_keys(profile: pb.UserProfile, catalog: Catalog) -> tuple[str, ...]:
    """Paths of what is declared under names that are no columns of the product, sorted."""
    if not (profile.attributes or profile.interests):
        return ()
    attributes = [f"attributes.{name}" for name in profile.attributes if name not in catalog.users.roles]
    interests = [f"interests.{name}" for name in profile.interests if name not in catalog.items.roles]
    return tuple(sorted(attributes + interests))


def _basic(view: pb.AttributionView.ValueType) -> bool:
    return view == pb.ATTRIBUTION_VIEW_BASIC
