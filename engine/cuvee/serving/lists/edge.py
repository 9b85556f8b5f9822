"""The edge: a request of the wire becomes one row of a question, ids become positions.

What is wrong with a request is found here, before any source is asked; what the catalogue does
not know is data. Behind the edge there are positions only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cuvee.data.store.rows import UserRow
from cuvee.errors import DeadlineExceeded, DegradedReason, InvalidArgument, UnavailableError
from cuvee.ranking.known_users import profile_of
from cuvee.ranking.plan import Question
from cuvee.ranking.rows import padded
from cuvee.recommender import Bools, Histories, Ints, Profile, Queries, Ragged
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
from cuvee.serving.lists.histories import NOTHING, Events, from_plugin, stored
from cuvee.serving.lists.hooks import HistoryFailed, Hooks
from cuvee.serving.lists.misspelt import unknown_keys, unknown_values
from cuvee.serving.lists.users import NOBODY, SHARE, Known, StoredUsers, StoreFailed
from cuvee.serving.live.growth import Growth
from cuvee.serving.live.products import Served
from cuvee.serving.telemetry.calls import Asked, current
from cuvee.serving.threads import AllTaken, Threads
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Edge", "Row", "assemble"]

SIMILAR = "similar"
"""The table of weights that SimilarItems uses, where the product has one."""


NOWHERE: Ints = np.empty(0, np.int32)
NO_PROFILE = Profile()
NO_NULLS: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One request, checked, in positions: a row of a question."""

    served: Served
    """Whose positions these are."""
    k: int
    events: Events
    user: int = -1
    profile: Profile = NO_PROFILE
    excluded: Ints = field(default_factory=lambda: NOWHERE)
    filter: str = ""
    eligible: Bools | None = None
    segment: str | None = None
    listed: Ints | None = None
    only_fallback: DegradedReason | None = None
    unknown_ids: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    """What the request's profile names and the product does not have, as paths in the profile."""
    unknown_values: tuple[str, ...] = ()
    """Declared values that no item or user has, as ``path=value``."""
    user_known: bool = False
    history_failed: bool = False
    """The hook that loads histories failed: what the engine has itself was taken."""
    store_failed: StoreFailed | None = None
    """The store could not be read: what was read of it last was taken."""
    basic: bool = False
    """The caller wants no attributions."""
    asked: Asked = field(default_factory=current)
    """The call that asks."""

    @property
    def kind(self) -> tuple[object, ...]:
        """Rows of one kind can be asked as one batch."""
        return (id(self.served), self.listed is None, self.k, self.filter, self.segment, self.only_fallback)


class _Who(NamedTuple):
    """Who asks."""

    served: Served
    events: Events
    user: int
    profile: Profile
    known: bool
    """Whether anything is stored about him."""
    unknown_ids: tuple[str, ...]
    unknown_keys: tuple[str, ...]
    unknown_values: tuple[str, ...]
    history_failed: bool
    store_failed: StoreFailed | None


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
        sql, excluded = request.filter, request.exclude_item_ids
        check_first_page(request.page_token)
        check_filter(sql)
        check_ids("exclude_item_ids", excluded, MOST_EXCLUDED)
        who = await self._who(request, served, deadline)
        positions, unknown = _placed(who.served, excluded)
        return Row(
            who.served,
            k,
            who.events,
            user=who.user,
            profile=who.profile,
            excluded=positions,
            filter=sql,
            eligible=await self._mask(sql, who.served, deadline) if sql else None,
            unknown_ids=_each_once(who.unknown_ids, unknown),
            unknown_keys=who.unknown_keys,
            unknown_values=who.unknown_values,
            user_known=who.known,
            history_failed=who.history_failed,
            store_failed=who.store_failed,
            basic=_basic(request.view),
        )

    async def rank(self, request: pb.RankRequest, served: Served, deadline: float) -> Row:
        """A row that asks for the caller's own list in order; errors as in :meth:`recommend`."""
        check_ids("item_ids", request.item_ids, MOST_LISTED, least=1)
        who = await self._who(request, served, deadline)
        listed, unknown = _placed(who.served, list(dict.fromkeys(request.item_ids)))
        return Row(
            who.served,
            0,  # a ranking has no k; all the same, lists of any length can share a batch
            who.events,
            user=who.user,
            profile=who.profile,
            listed=listed,
            unknown_ids=_each_once(unknown, who.unknown_ids),
            unknown_keys=who.unknown_keys,
            unknown_values=who.unknown_values,
            user_known=who.known,
            history_failed=who.history_failed,
            store_failed=who.store_failed,
            basic=_basic(request.view),
        )

    async def similar(self, request: pb.SimilarItemsRequest, served: Served, deadline: float) -> Row:
        """A row that asks for what goes with the anchors; errors as in :meth:`recommend`."""
        k = length_of(request.page_size, served.snapshot.product.page_size)
        sql = request.filter
        check_first_page(request.page_token)
        check_filter(sql)
        check_ids("item_ids", request.item_ids, MOST_ANCHORS, least=1)
        check_ids("exclude_item_ids", request.exclude_item_ids, MOST_EXCLUDED)
        served, _, failed = await self._now(served, "", deadline)
        anchors, unknown = _placed(served, list(dict.fromkeys(request.item_ids)))
        excluded, more_unknown = _placed(served, request.exclude_item_ids)
        return Row(
            served,
            k,
            NOTHING.then(anchors, time.time()),
            excluded=np.concatenate([anchors, excluded]),
            filter=sql,
            eligible=await self._mask(sql, served, deadline) if sql else None,
            segment=SIMILAR,
            only_fallback=None if len(anchors) else DegradedReason.COLD_ITEM,
            unknown_ids=_each_once(unknown, more_unknown),
            store_failed=failed,
            basic=_basic(request.view),
        )

    async def _who(self, request: pb.RecommendRequest | pb.RankRequest, served: Served, deadline: float) -> _Who:
        """The user, what he did, and what is known of him."""
        user_id = check_id("user_id", request.user_id)
        context = check_ids("context_item_ids", request.context_item_ids, MOST_CONTEXT)
        told, nulls = NO_PROFILE, NO_NULLS
        keys: tuple[str, ...] = ()
        if request.HasField("profile"):
            told, nulls = declared(request.profile, served.snapshot.data.catalog.users.schema)
            keys = unknown_keys(request.profile, served.snapshot.data.catalog)
        if not (user_id or context or request.profile.attributes or request.profile.interests):
            raise InvalidArgument("user_id", "is empty, and neither context_item_ids nor profile says who is asking")
        served, known, store_failed = await self._now(served, user_id, deadline)
        catalog = served.snapshot.data.catalog
        values = await unknown_values(told, catalog, self._compiling, deadline) if told else ()
        user = catalog.users.position(user_id) if user_id and not known.forgotten else -1
        profile = profile_of(catalog, user) if known.profile is None else _stored_profile(known.profile)
        if told or nulls:
            attributes = {n: v for n, v in {**profile.attributes, **told.attributes}.items() if n not in nulls}
            profile = Profile(attributes, {**profile.interests, **told.interests})
        history_failed, loaded = False, None
        if self._hooks.loads:
            try:
                loaded = await self._hooks.history(served.snapshot.product.name, user_id, deadline)
            except HistoryFailed:
                history_failed = True
        events = stored(served, user, known) if loaded is None else from_plugin(served, loaded)
        touched, unknown_ids = _placed(served, context)
        return _Who(
            served,
            events.then(touched, time.time()),
            user,
            profile,
            user >= 0 or loaded is not None or known.stamp is not None,
            unknown_ids,
            keys,
            values,
            history_failed,
            store_failed,
        )

    async def _now(self, served: Served, user_id: str, deadline: float) -> tuple[Served, Known, StoreFailed | None]:
        """What answers with the items as they are now, what is stored of the user, and what went wrong with either."""
        if self._stored is None or self._growth is None:
            return served, NOBODY, None
        known, product = NOBODY, served.snapshot.product.name
        try:
            known, revision = await self._stored.read(product, user_id, deadline)
            current = self._growth.current_if(product, revision)
            if current is not None:
                return current, known, None
            async with asyncio.timeout(SHARE * left_until(deadline)):
                return await self._growth.caught_up(served, revision), known, None
        except StoreFailed as failed:
            return served, failed.known, failed
        except TimeoutError:
            return served, known, StoreFailed(DegradedReason.TIMEOUT, "the store did not answer in time", known)
        except UnavailableError:
            return served, known, StoreFailed(DegradedReason.UNAVAILABLE, "the store cannot be reached", known)

    async def _mask(self, sql: str, served: Served, deadline: float) -> Bools:
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


def _stored_profile(row: UserRow) -> Profile:
    plain = {n: tuple(v) if isinstance(v, list) else v for n, v in row.attributes.items()}
    return Profile(plain, {n: tuple(v) for n, v in row.interests.items()})


def _placed(served: Served, ids: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    """int32: the positions of those ids that the catalogue knows; and the ids that it does not know."""
    if not ids:
        return NOWHERE, ()
    positions = served.snapshot.data.catalog.items.positions(ids)
    there = positions >= 0
    if there.all():
        return positions, ()
    return positions[there], tuple(name for name, known in zip(ids, there.tolist(), strict=True) if not known)


def _each_once(first: tuple[str, ...], then: tuple[str, ...]) -> tuple[str, ...]:
    """Ids each once, in order of first mention."""
    return tuple(dict.fromkeys(first + then)) if first or then else ()


def _basic(view: pb.AttributionView.ValueType) -> bool:
    return view == pb.ATTRIBUTION_VIEW_BASIC
