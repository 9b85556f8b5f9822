"""The edge: a request of the wire becomes one row of a question, ids become positions.

What is wrong with a request is found here, before any source is asked; what the catalogue does
not know is data. Behind the edge there are positions only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from cuvee.data.store.rows import UserRow
from cuvee.errors import DeadlineExceeded, DegradedReason, InvalidArgument, UnavailableError
from cuvee.ranking.plan import SIMILAR
from cuvee.recommender import Bools, Ints, Profile
from cuvee.serving.deadline import left_until
from cuvee.serving.fields import (
    MOST_ANCHORS,
    MOST_CONTEXT,
    MOST_EXCLUDED,
    MOST_LISTED,
    check_filter,
    check_id,
    check_ids,
    declared,
    length_of,
)
from cuvee.serving.lists.drafts import NO_PROFILE, NOWHERE, Beside, Draft, Found, Row
from cuvee.serving.lists.histories import NOTHING, from_plugin, stored
from cuvee.serving.lists.hooks import HistoryFailed, Hooks
from cuvee.serving.lists.misspelt import unknown_keys, unknown_values
from cuvee.serving.lists.pages import Page, Pages, packed
from cuvee.serving.lists.users import NOBODY, SHARE, Known, StoredUsers, StoreFailed
from cuvee.serving.lists.variants import Choice
from cuvee.serving.live.growth import Growth
from cuvee.serving.live.products import Served
from cuvee.serving.threads import AllTaken, Threads
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Edge", "identified"]

_Paged: TypeAlias = pb.RecommendRequest | pb.SimilarItemsRequest

NO_NULLS: frozenset[str] = frozenset()


class _Asking:
    """The part of a request that says who is asking, checked."""

    def __init__(self, request: pb.RecommendRequest | pb.RankRequest, served: Served) -> None:
        self.user_id = user_id = check_id("user_id", request.user_id)
        self._context = context = check_ids("context_item_ids", request.context_item_ids, MOST_CONTEXT)
        self._basic = _basic(request.view)
        self.told, self._nulls = NO_PROFILE, NO_NULLS
        self._unknown_keys: tuple[str, ...] = ()
        if request.HasField("profile"):
            self.told, self._nulls = declared(request.profile, served.snapshot.data.catalog.users.schema)
            self._unknown_keys = unknown_keys(request.profile, served.snapshot.data.catalog)
        if not (user_id or context or request.profile.attributes or request.profile.interests):
            raise InvalidArgument("user_id", "is empty, and neither context_item_ids nor profile says who is asking")

    def row(self, found: Found, k: int) -> Row:
        """The user, what he did, and what is known of him."""
        served, known, told = found.served, found.known, self.told
        user, profile = identified(served, self.user_id, known)
        if told or self._nulls:
            attributes = {n: v for n, v in {**profile.attributes, **told.attributes}.items() if n not in self._nulls}
            profile = Profile(attributes, {**profile.interests, **told.interests})
        events = stored(served, user, known) if found.loaded is None else from_plugin(served, found.loaded)
        touched, unknown_ids = _placed(served, self._context)
        return Row(
            served,
            k,
            events.then(touched, time.time()),
            user=user,
            profile=profile,
            user_known=user >= 0 or found.loaded is not None or known.stamp is not None,
            unknown_ids=unknown_ids,
            unknown_keys=self._unknown_keys,
            unknown_values=found.unknown_values,
            history_failed=found.history_failed,
            store_failed=found.store_failed,
            basic=self._basic,
        )


class Edge:
    """Makes rows of requests: a draft at once, and a row when it is known what the store says."""

    def __init__(
        self,
        hooks: Hooks,
        slots: int,
        stored: StoredUsers | None = None,
        growth: Growth | None = None,
        pages: Pages | None = None,
    ) -> None:
        """Without ``stored`` and ``growth``, what was imported is all that is known of users and items."""
        self._hooks = hooks
        self._stored = stored
        self._growth = growth
        self._pages = pages
        self._compiling = Threads("filters", slots)

    def recommend(self, request: pb.RecommendRequest, served: Served) -> Draft:
        """A draft that asks what to recommend.

        Raises:
            InvalidArgument: naming the field.
        """
        asking = _Asking(request, served)
        choice = Choice.of(request, asking.user_id)
        chosen = choice.among(served)
        k = length_of(request.page_size, chosen[0].snapshot.product.page_size)
        sql, excluded = request.filter, request.exclude_item_ids
        page = self._page(request, served)
        check_filter(sql)
        check_ids("exclude_item_ids", excluded, MOST_EXCLUDED)

        def make(found: Found) -> Row:
            # of the configuration that answers, which may have come after the request
            found, labels = _chosen(choice, found, served, chosen)
            k = length_of(request.page_size, found.served.snapshot.product.page_size)
            row = _labelled(asking.row(found, k), choice, labels)
            row.excluded, unknown = _placed(found.served, excluded)
            row.filter, row.eligible, row.counts = sql, found.eligible, request.count_removed
            self._turn(row, request, page)
            row.unknown_ids = _each_once(row.unknown_ids, unknown)
            return row

        return Draft(
            served, asking.user_id, sql, ("recommend", id(chosen[0]), k, sql, _before(page)), make, told=asking.told
        )

    def rank(self, request: pb.RankRequest, served: Served) -> Draft:
        """A draft that asks for the caller's own list in order; errors as in :meth:`recommend`."""
        check_ids("item_ids", request.item_ids, MOST_LISTED, least=1)
        asking = _Asking(request, served)
        choice = Choice.of(request, asking.user_id)
        chosen = choice.among(served)

        def make(found: Found) -> Row:
            found, labels = _chosen(choice, found, served, chosen)
            row = asking.row(found, 0)  # a ranking has no k; all the same, lists of any length can share a batch
            row = _labelled(row, choice, labels)
            row.listed, unknown = _placed(found.served, list(dict.fromkeys(request.item_ids)))
            row.unknown_ids = _each_once(unknown, row.unknown_ids)
            return row

        return Draft(served, asking.user_id, "", ("rank", id(chosen[0])), make, told=asking.told)

    def similar(self, request: pb.SimilarItemsRequest, served: Served) -> Draft:
        """A draft that asks for what goes with the anchors; errors as in :meth:`recommend`."""
        choice = Choice.of(request)
        chosen = choice.among(served)
        k = length_of(request.page_size, chosen[0].snapshot.product.page_size)
        sql = request.filter
        page = self._page(request, served)
        check_filter(sql)
        check_ids("item_ids", request.item_ids, MOST_ANCHORS, least=1)
        check_ids("exclude_item_ids", request.exclude_item_ids, MOST_EXCLUDED)

        def make(found: Found) -> Row:
            found, labels = _chosen(choice, found, served, chosen)
            anchors, unknown = _placed(found.served, list(dict.fromkeys(request.item_ids)))
            excluded, more_unknown = _placed(found.served, request.exclude_item_ids)
            row = Row(
                found.served,
                length_of(request.page_size, found.served.snapshot.product.page_size),
                NOTHING.then(anchors, time.time()),
                excluded=np.concatenate([anchors, excluded]),
                filter=sql,
                eligible=found.eligible,
                segment=SIMILAR,
                only_fallback=None if len(anchors) else DegradedReason.COLD_ITEM,
                unknown_ids=_each_once(unknown, more_unknown),
                store_failed=found.store_failed,
                basic=_basic(request.view),
                counts=request.count_removed,
            )
            self._turn(row, request, page)
            return _labelled(row, choice, labels)

        return Draft(served, "", sql, ("similar", id(chosen[0]), k, sql, _before(page)), make, personal=False)

    def _page(self, request: _Paged, served: Served) -> Page | None:
        """Where a request stands that has a token; None is the first page."""
        if not request.page_token:
            return None
        if self._pages is None:
            raise InvalidArgument("page_token", "was not issued by this server; leave it empty for the first page")
        page = self._pages.page(request)
        page.check(served)
        return page

    def _turn(self, row: Row, request: _Paged, page: Page | None) -> None:
        """Let a row begin behind what was shown, and know how to go on."""
        pages = self._pages
        if pages is None:
            return
        if page is not None:
            page.check(row.served)
            row.shown = page.positions
        row.k = min(row.k, pages.most - row.before)
        if row.before + row.k < pages.most:
            row.next_token = lambda items: pages.token(
                page or pages.page(request), row.served, packed([*row.shown.tolist(), *items])
            )

    def quick(self, draft: Draft) -> bool:
        """Whether a run may make the row itself: nothing needs to be waited for but a store that answers at once."""
        return (
            not (draft.personal and self._hooks.loads)
            and not draft.told
            and (self._stored is None or self._stored.near)
            and (not draft.filter or draft.served.filters.known(draft.filter) is not None)
        )

    def rows(self, drafts: Sequence[Draft]) -> list[Row | Exception]:
        """Rows of one product's drafts that were :meth:`quick`, by one statement, in the caller's thread.

        :class:`Beside` stands where something must be waited for after all: :meth:`row` does.
        """
        if self._stored is None or self._growth is None:
            return [self._made(draft, draft.served, NOBODY) for draft in drafts]
        product = drafts[0].served.snapshot.product.name
        found = self._stored.glance(product, [draft.user_id for draft in drafts])
        current = None if found is None else self._growth.current_if(product, found[1])
        if found is None or current is None:
            return [Beside() for _ in drafts]
        return [
            Beside() if known is None else self._made(draft, current, known)
            for draft, known in zip(drafts, found[0], strict=True)
        ]

    def _made(self, draft: Draft, served: Served, known: Known) -> Row | Exception:
        mask = None
        if draft.filter:
            mask = served.filters.known(draft.filter)
            if mask is None:
                return Beside()
        try:
            return draft.row(Found(served, known, eligible=mask))
        except Exception as problem:  # noqa: BLE001 - it is this caller's alone, and is told or hidden where all are
            return problem

    def give_up_on_store(self) -> None:
        """The store did not answer at once: from now on it is read beside the runs, until it is quick again."""
        if self._stored is not None:
            self._stored.near = False

    async def row(self, draft: Draft, deadline: float) -> Row:
        """The row of a draft, by a deadline (monotonic), whatever has to be waited for.

        Raises:
            InvalidArgument: naming the field.
            DeadlineExceeded: no time was left to compile the filter.
        """
        served, known, store_failed = await self.now(draft.served, draft.user_id, deadline)
        loaded, history_failed = None, False
        if draft.personal and self._hooks.loads:
            try:
                loaded = await self._hooks.history(served.snapshot.product.name, draft.user_id, deadline)
            except HistoryFailed:
                history_failed = True
        mask = await self._mask(draft.filter, served, deadline) if draft.filter else None
        catalog, told = served.snapshot.data.catalog, draft.told
        values = await unknown_values(told, catalog, self._compiling, deadline) if told else ()
        return draft.row(Found(served, known, store_failed, loaded, history_failed, mask, values))

    async def now(self, served: Served, user_id: str, deadline: float) -> tuple[Served, Known, StoreFailed | None]:
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


def _chosen(choice: Choice, found: Found, then: Served, chosen: tuple[Served, str]) -> tuple[Found, str]:
    """What was found, of the variant that answers; and its labels. ``chosen`` is what was chosen of ``then``."""
    served, labels = chosen if found.served is then else choice.among(found.served)
    return found if served is found.served else found._replace(served=served), labels


def _labelled(row: Row, choice: Choice, labels: str) -> Row:
    row.variant, row.preview = labels, choice.preview
    row.unit = choice.unit if labels and choice.counts else ""
    return row


def identified(served: Served, user_id: str, known: Known) -> tuple[int, Profile]:
    """A user's position among those that were imported, -1 where he is none of them, and his profile."""
    user = served.snapshot.data.catalog.users.position(user_id) if user_id and not known.forgotten else -1
    return user, served.profile_of(user) if known.profile is None else _stored_profile(known.profile)


def _before(page: Page | None) -> int:
    return 0 if page is None else len(page.positions)


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
