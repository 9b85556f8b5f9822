"""Stored and imported items and users as messages, and page tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping

from cuvee.data.catalog import Entities
from cuvee.data.store.catalogue.overlay import plain_row, title_column
from cuvee.data.store.rows import Attribute, ItemRow, UserRow
from cuvee.errors import InvalidArgument
from cuvee.serving.events.from_wire import check_text, time_of
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import recommendation_pb2

__all__ = ["imported_item", "imported_user", "item_message", "page_after", "page_size_of", "page_token", "user_message"]

DEFAULT_PAGE, LONGEST_PAGE = 50, 1000


def imported_item(items: Entities, item_id: str) -> ItemRow | None:
    """An item as it was imported; None where it was not."""
    position = items.position(item_id)
    if position < 0:
        return None
    title, attributes = plain_row(items, position, title_column(items))
    return ItemRow(item_id, title, attributes)


def imported_user(users: Entities, user_id: str) -> UserRow | None:
    """A user as he was imported; None where he was not."""
    position = users.position(user_id)
    return None if position < 0 else UserRow(user_id, plain_row(users, position)[1])


def _values(attributes: Mapping[str, Attribute]) -> dict[str, recommendation_pb2.AttributeValue]:
    made = {}
    for name, value in attributes.items():
        match value:
            case bool():
                made[name] = recommendation_pb2.AttributeValue(flag=value)
            case str():
                made[name] = recommendation_pb2.AttributeValue(text=value)
            case list():
                made[name] = recommendation_pb2.AttributeValue(texts=recommendation_pb2.StringList(values=value))
            case _:
                made[name] = recommendation_pb2.AttributeValue(number=value)
    return made


def item_message(row: ItemRow) -> pb.Item:
    """As the API shows it."""
    made = pb.Item(item_id=row.item_id, title=row.title, attributes=_values(row.attributes))
    if row.created is not None:
        made.create_time.CopyFrom(time_of(row.created))
    if row.updated is not None:
        made.update_time.CopyFrom(time_of(row.updated))
    return made


def user_message(row: UserRow) -> pb.User:
    """As the API shows it."""
    made = pb.User(user_id=row.user_id)
    if row.attributes or row.interests:
        interests = {name: recommendation_pb2.StringList(values=liked) for name, liked in row.interests.items()}
        made.profile.CopyFrom(recommendation_pb2.UserProfile(attributes=_values(row.attributes), interests=interests))
    if row.created is not None:
        made.create_time.CopyFrom(time_of(row.created))
    if row.updated is not None:
        made.update_time.CopyFrom(time_of(row.updated))
    return made


def page_size_of(page_size: int) -> int:
    """The coerced page size."""
    if page_size < 0:
        raise InvalidArgument("page_size", f"is {page_size}; 0 takes {DEFAULT_PAGE}, or give 1 to {LONGEST_PAGE}")
    return min(page_size, LONGEST_PAGE) or DEFAULT_PAGE


def _digest(kind: str, product: str, sql: str) -> str:
    return hashlib.sha256("\0".join([kind, product, sql]).encode()).hexdigest()[:16]


def page_token(kind: str, product: str, sql: str, last: str) -> str:
    """A token for the page after the id ``last``."""
    return base64.urlsafe_b64encode(json.dumps([_digest(kind, product, sql), last]).encode()).decode()


def page_after(token: str, kind: str, product: str, sql: str) -> str:
    """The id after which a page starts; empty for the first page.

    Raises:
        InvalidArgument: the token was not issued by this service, or for another request.
    """
    if not token:
        return ""
    try:
        digest, last = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        fits, last = digest == _digest(kind, product, sql), check_text("page_token", str(last))
    except (ValueError, TypeError, binascii.Error):
        raise InvalidArgument(
            "page_token", "was not issued by this service; leave it empty for the first page"
        ) from None
    if not fits:
        raise InvalidArgument("page_token", "belongs to another request; repeat the fields, or leave it empty")
    return last
