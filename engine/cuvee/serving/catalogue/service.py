"""CatalogService: items and users, with stored changes over the imported ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import numpy as np
from google.protobuf.field_mask_pb2 import FieldMask

from cuvee.data.filters import compile_filter
from cuvee.data.store import Store
from cuvee.data.store.rows import ItemChange, ItemRow, UserRow
from cuvee.errors import InvalidArgument, NotFound
from cuvee.serving.catalogue.from_wire import Columns, ItemUpsert, UserUpsert, check_mask, item_upsert, user_upsert
from cuvee.serving.catalogue.privacy import Privacy
from cuvee.serving.catalogue.to_wire import (
    imported_item,
    imported_user,
    item_message,
    page_after,
    page_size_of,
    page_token,
    user_message,
)
from cuvee.serving.catalogue.user_pages import UserPages
from cuvee.serving.events.from_wire import stored_id
from cuvee.serving.fields import check_filter
from cuvee.serving.guard import Context, incident_of
from cuvee.serving.lists.users import StoredUsers
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.growth import Growth
from cuvee.serving.live.products import Products, Served
from cuvee.serving.off_loop import StoreCalls
from cuvee.serving.status import problem_of
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import catalog_pb2_grpc as rpc

__all__ = ["CatalogServicer"]

MOST = 1000
"""Of one batch."""


class CatalogServicer(rpc.CatalogServiceServicer):
    """Reads and changes a product's items and users."""

    def __init__(
        self,
        configured: Configured,
        store: Store,
        products: Products,
        calls: StoreCalls,
        growth: Growth,
        stored: StoredUsers,
    ) -> None:
        self._store = store
        self._products = products
        self._calls = calls
        self._growth = growth
        self._pages = UserPages(store)
        self._privacy = Privacy(configured, store, calls, stored)

    def _served(self, product: str) -> Served:
        return self._products.current(stored_id("product", product))

    # items

    async def _item_columns(self, product: str) -> Columns:
        return Columns.of_items(*await self._growth.columns(product))

    async def _upsert_items(self, product: str, upserts: Sequence[ItemUpsert], *, dry: bool) -> list[ItemChange]:
        """The result of each write; this server's lists already show the change."""
        items = self._growth.imported(product)
        imported = [imported_item(items, one.item_id) for one in upserts]
        changes = [(one.item_id, one.over(row)) for one, row in zip(upserts, imported, strict=True)]
        made = await self._calls.ask(lambda: self._store.write_items(product, changes, dry=dry))
        if not dry:
            await self._growth.follow(product)
        return [
            change or ItemChange(row or ItemRow(one.item_id), created=False, changed=False)
            for one, row, change in zip(upserts, imported, made, strict=True)
        ]

    async def UpsertItem(self, request: pb.UpsertItemRequest, context: Context) -> pb.UpsertItemResponse:  # noqa: N802
        """As the proto says."""
        self._served(request.product)
        paths = _item_paths(request.update_mask)
        upsert = item_upsert(request.item, paths, await self._item_columns(request.product), "item.")
        (change,) = await self._upsert_items(request.product, [upsert], dry=request.validate_only)
        return pb.UpsertItemResponse(item=item_message(change.row), outcome=_item_outcome(change))

    async def BatchUpsertItems(  # noqa: N802
        self, request: pb.BatchUpsertItemsRequest, context: Context
    ) -> pb.BatchUpsertItemsResponse:
        """As the proto says."""
        self._served(request.product)
        _check_count("items", len(request.items))
        paths = _item_paths(request.update_mask)
        columns = await self._item_columns(request.product)
        results: list[pb.UpsertResult] = []
        good: list[tuple[int, ItemUpsert]] = []
        for at, item in enumerate(request.items):
            results.append(pb.UpsertResult(id=item.item_id))
            try:
                good.append((at, item_upsert(item, paths, columns)))
            except Exception as problem:  # noqa: BLE001 - one wrong item must not fail the others
                _reject(results[at], problem, "BatchUpsertItems")
        if good:
            made = await self._upsert_items(request.product, [one for _, one in good], dry=request.validate_only)
            for (at, _), change in zip(good, made, strict=True):
                results[at].outcome = _item_outcome(change)
        return pb.BatchUpsertItemsResponse(results=results)

    async def GetItem(self, request: pb.GetItemRequest, context: Context) -> pb.GetItemResponse:  # noqa: N802
        """As the proto says."""
        self._served(request.product)
        item_id = stored_id("item_id", request.item_id)
        stored = await self._calls.ask(lambda: self._store.item(request.product, item_id))
        row = stored or imported_item(self._growth.imported(request.product), item_id)
        if row is None or row.deleted:
            raise NotFound("item", item_id)
        return pb.GetItemResponse(item=item_message(row))

    async def ListItems(self, request: pb.ListItemsRequest, context: Context) -> pb.ListItemsResponse:  # noqa: N802
        """As the proto says."""
        product, sql = request.product, check_filter(request.filter)
        self._served(product)
        size = page_size_of(request.page_size)
        after = page_after(request.page_token, "items", product, sql)
        items, deleted = await self._growth.current(product)
        gone = frozenset(deleted)

        def look() -> tuple[list[ItemRow], bool]:
            mask = compile_filter(sql, items).mask if sql else np.ones(len(items), np.bool_)
            ids = items.frame["id"]
            behind = ids.filter(mask & (ids > after).to_numpy()) if after else ids.filter(mask)
            kept = behind.filter(~behind.is_in(list(gone))) if gone else behind
            page = kept.sort().head(size + 1).to_list()
            stored = self._store.items_of(product, page[:size])
            imported = self._growth.imported(product)
            rows = [stored.get(item_id) or imported_item(imported, item_id) for item_id in page[:size]]
            return [row for row in rows if row is not None and not row.deleted], len(page) > size

        rows, more = await self._calls.ask(look)
        token = page_token("items", product, sql, rows[-1].item_id) if more and rows else ""
        return pb.ListItemsResponse(items=[item_message(row) for row in rows], next_page_token=token)

    async def DeleteItem(self, request: pb.DeleteItemRequest, context: Context) -> pb.DeleteItemResponse:  # noqa: N802
        """As the proto says."""
        self._served(request.product)
        item_id = stored_id("item_id", request.item_id)
        imported = imported_item(self._growth.imported(request.product), item_id)

        def delete(stored: ItemRow | None) -> ItemRow | None:
            old = stored or imported
            return None if old is None or old.deleted else replace(old, deleted=True)

        (made,) = await self._calls.ask(
            lambda: self._store.write_items(request.product, [(item_id, delete)], dry=request.validate_only)
        )
        if made is None and not request.allow_missing:
            raise NotFound("item", item_id)
        if made is not None and not request.validate_only:
            await self._growth.follow(request.product)
        return pb.DeleteItemResponse(deleted=made is not None)

    # users

    async def _upsert_users(
        self, served: Served, upserts: Sequence[UserUpsert], *, dry: bool
    ) -> list[tuple[UserRow, bool, bool]]:
        product, users = served.snapshot.product.name, served.snapshot.data.catalog.users

        def write() -> list[tuple[UserRow, bool, bool]]:
            forgotten = self._pages.forgotten(product)
            changes = []
            for one in upserts:
                imported = None if forgotten(one.user_id) else imported_user(users, one.user_id)
                changes.append((one.user_id, one.over(imported)))
            made = self._store.write_users(product, changes, dry=dry)
            return [
                (row, created and (forgotten(row.user_id) or users.position(row.user_id) < 0), changed)
                for row, created, changed in made
            ]

        return await self._calls.ask(write)

    async def UpsertUser(self, request: pb.UpsertUserRequest, context: Context) -> pb.UpsertUserResponse:  # noqa: N802
        """As the proto says."""
        served = self._served(request.product)
        paths = _user_paths(request.update_mask)
        upsert = user_upsert(request.user, paths, _user_columns(served), "user.")
        ((row, created, changed),) = await self._upsert_users(served, [upsert], dry=request.validate_only)
        return pb.UpsertUserResponse(user=user_message(row), outcome=_user_outcome(created, changed))

    async def BatchUpsertUsers(  # noqa: N802
        self, request: pb.BatchUpsertUsersRequest, context: Context
    ) -> pb.BatchUpsertUsersResponse:
        """As the proto says."""
        served = self._served(request.product)
        _check_count("users", len(request.users))
        paths = _user_paths(request.update_mask)
        columns = _user_columns(served)
        results: list[pb.UpsertResult] = []
        good: list[tuple[int, UserUpsert]] = []
        for at, user in enumerate(request.users):
            results.append(pb.UpsertResult(id=user.user_id))
            try:
                good.append((at, user_upsert(user, paths, columns)))
            except Exception as problem:  # noqa: BLE001 - as for items
                _reject(results[at], problem, "BatchUpsertUsers")
        if good:
            made = await self._upsert_users(served, [one for _, one in good], dry=request.validate_only)
            for (at, _), (_, created, changed) in zip(good, made, strict=True):
                results[at].outcome = _user_outcome(created, changed)
        return pb.BatchUpsertUsersResponse(results=results)

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:  # noqa: N802
        """As the proto says."""
        served = self._served(request.product)
        user_id = stored_id("user_id", request.user_id)
        found = await self._calls.ask(lambda: self._pages.user(served, user_id))
        if found is None:
            raise NotFound("user", user_id)
        return pb.GetUserResponse(user=user_message(found), event_count=found.event_count)

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:  # noqa: N802
        """As the proto says."""
        product, sql = request.product, check_filter(request.filter)
        served = self._served(product)
        size = page_size_of(request.page_size)
        after = page_after(request.page_token, "users", product, sql)
        rows, last = await self._calls.ask(lambda: self._pages.page(served, after, size, sql))
        token = page_token("users", product, sql, last) if last else ""
        return pb.ListUsersResponse(users=[user_message(row) for row in rows], next_page_token=token)

    def _named(self, product: str) -> list[Served]:
        """One product, or all for "-"."""
        return [self._served(name) for name in (self._products.served if product == "-" else [product])]

    async def DeleteUser(self, request: pb.DeleteUserRequest, context: Context) -> pb.DeleteUserResponse:  # noqa: N802
        """As the proto says."""
        stored_id("user_id", request.user_id)
        return await self._privacy.delete(self._named(request.product), request)

    async def ExportUser(  # noqa: N802
        self, request: pb.ExportUserRequest, context: Context
    ) -> AsyncIterator[pb.ExportUserResponse]:
        """As the proto says."""
        stored_id("user_id", request.user_id)
        async for record in self._privacy.export(self._named(request.product), request.user_id):
            yield record


def _item_paths(mask: FieldMask) -> frozenset[str]:
    return check_mask(mask, ["title"], ["attributes"])


def _user_paths(mask: FieldMask) -> frozenset[str]:
    return check_mask(mask, [], ["profile.attributes", "profile.interests"])


def _user_columns(served: Served) -> Columns:
    return Columns.of_users(served.snapshot.data.catalog.users.frame.schema)


def _item_outcome(change: ItemChange) -> pb.UpsertOutcome.ValueType:
    if not change.changed:
        return pb.UPSERT_OUTCOME_UNCHANGED
    # imported rows have no time of creation
    return pb.UPSERT_OUTCOME_CREATED if change.created and change.row.created else pb.UPSERT_OUTCOME_UPDATED


def _user_outcome(created: bool, changed: bool) -> pb.UpsertOutcome.ValueType:
    if not changed:
        return pb.UPSERT_OUTCOME_UNCHANGED
    return pb.UPSERT_OUTCOME_CREATED if created else pb.UPSERT_OUTCOME_UPDATED


def _check_count(field: str, count: int) -> None:
    if not 0 < count <= MOST:
        raise InvalidArgument(field, f"has {count} entries; 1 to {MOST} are taken")


def _reject(result: pb.UpsertResult, problem: Exception, method: str) -> None:
    result.outcome = pb.UPSERT_OUTCOME_REJECTED
    result.problem.CopyFrom(problem_of(problem, incident_of(problem, method)))
