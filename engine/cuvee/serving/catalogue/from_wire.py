"""Checks of items and users in requests, and the result of an upsert on the stored ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from google.protobuf.field_mask_pb2 import FieldMask

from cuvee.data.flags import AVAILABLE, as_flag, is_missing
from cuvee.data.store.catalogue.overlay import column_type, writable
from cuvee.data.store.rows import Attribute, ItemRow, UserRow, now
from cuvee.errors import InvalidArgument
from cuvee.serving.events.from_wire import check_text, stored_id
from cuvee.serving.fields import LONGEST_TEXT, MOST_ATTRIBUTES, MOST_INTERESTS, attribute_of, check_fits, check_texts
from cuvee.v1 import catalog_pb2 as pb
from cuvee.v1 import recommendation_pb2

__all__ = ["Columns", "ItemUpsert", "UserUpsert", "check_mask", "item_upsert", "user_upsert"]

LONGEST_TITLE = 1024
MOST_COLUMNS = 256
KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
LONGEST_KEY = 64
MOST_PATHS = 1000
LONGEST_PATH = 256


@dataclass(frozen=True, slots=True)
class Columns:
    """The types of a product's columns; new names are added when they are first used."""

    types: MutableMapping[str, pl.DataType]
    title: str = ""
    """The column that is the title; it is no attribute."""
    flag: str = ""
    """The column that is always a flag: values that can be read as one are converted."""

    @classmethod
    def of_items(cls, schema: Mapping[str, pl.DataType], title: str) -> Columns:
        """The columns of a frame of items; ``available`` is a flag, also where the frame lacks it."""
        kinds = {name: kind for name, kind in schema.items() if name != "id"}
        return cls({**kinds, AVAILABLE: pl.Boolean()}, title, AVAILABLE)

    @classmethod
    def of_users(cls, schema: Mapping[str, pl.DataType]) -> Columns:
        """Those of a frame of users."""
        return cls({name: kind for name, kind in schema.items() if name != "id"})


def _attribute(field: str, name: str, value: Attribute, columns: Columns) -> Attribute | None:
    """A value that fits its column; None for a word such as "n/a" that means an unknown value."""
    if name in {"id", columns.title}:
        raise InvalidArgument(field, "is no attribute; set item_id, or title")
    if name == columns.flag:
        flag = as_flag(value)
        if flag is None and not is_missing(value):
            raise InvalidArgument(field, "is a flag: give true or false (1 or 0, yes or no are read as such)")
        return flag
    kind = columns.types.get(name)
    if kind is None:
        columns.types[name] = column_type(value)
        return value
    if not writable(kind):
        raise InvalidArgument(field, "is of a column that can only be imported")
    check_fits(field, tuple(value) if isinstance(value, list) else value, kind)
    return value


def _values(
    prefix: str, given: Mapping[str, recommendation_pb2.AttributeValue], columns: Columns
) -> dict[str, Attribute | None]:
    """Every value that was given; None is a null."""
    found: dict[str, Attribute | None] = {}
    for name in given:
        field = f"{prefix}attributes[{name}]"
        value = attribute_of(field, given[name])
        if value is None:
            found[name] = None
            continue
        plain: Attribute = list(value) if isinstance(value, tuple) else value
        if isinstance(plain, list):
            for at, text in enumerate(given[name].texts.values):
                check_text(f"{field}.texts.values[{at}]", text)
        elif isinstance(plain, str):
            check_text(field, plain, LONGEST_TEXT)
        found[name] = _attribute(field, name, plain, columns)
    return found


def check_mask(mask: FieldMask, plain: Sequence[str], maps: Sequence[str]) -> frozenset[str]:
    """The paths of an update mask: of ``plain`` fields, of ``maps`` or one entry of them, or ``*`` alone.

    Raises:
        InvalidArgument: a path does not exist.
    """
    if len(mask.paths) > MOST_PATHS:
        raise InvalidArgument("update_mask", f"has {len(mask.paths)} paths; at most {MOST_PATHS} are taken")
    paths = frozenset(mask.paths)
    for path in paths:
        check_text("update_mask", path, LONGEST_PATH)
        inside = any(path.startswith(f"{one}.") and len(path) > len(one) + 1 for one in maps)
        if path == "*" and len(paths) > 1:
            raise InvalidArgument("update_mask", "holds '*' beside others; '*' is all of it")
        if path != "*" and path not in {*plain, *maps} and not inside:
            known = ", ".join([*plain, *maps, *(f"{one}.<column>" for one in maps), "*"])
            raise InvalidArgument("update_mask", f"holds {path[:100]!r}; there are {known}")
    return paths


def _merged(
    old: Mapping[str, Attribute], given: Mapping[str, Attribute | None], paths: frozenset[str], root: str
) -> dict[str, Attribute]:
    """A map after an update: replaced as a whole, in the named entries, or without a mask in the given ones."""
    there = {name: value for name, value in given.items() if value is not None}
    if "*" in paths or root in paths:
        return there
    named = {path.removeprefix(f"{root}.") for path in paths if path.startswith(f"{root}.")} if paths else set(given)
    kept = {name: value for name, value in old.items() if name not in named}
    return kept | {name: there[name] for name in named if name in there}


@dataclass(frozen=True, slots=True)
class ItemUpsert:
    """A checked item, and the fields to change."""

    item_id: str
    title: str
    attributes: Mapping[str, Attribute | None]
    paths: frozenset[str]

    def over(self, imported: ItemRow | None) -> Callable[[ItemRow | None], ItemRow | None]:
        """The change: from the stored row, or else the imported one, to the new row; None changes nothing."""

        def change(stored: ItemRow | None) -> ItemRow | None:
            old = imported if stored is None else None if stored.deleted else stored
            if old is None:
                there = {name: value for name, value in self.attributes.items() if value is not None}
                return ItemRow(self.item_id, self.title, there, created=now())
            whole = "*" in self.paths or "title" in self.paths or (not self.paths and self.title)
            attributes = _merged(old.attributes, self.attributes, self.paths, "attributes")
            new = replace(old, title=self.title if whole else old.title, attributes=attributes)
            return None if stored is None and new == old else new

        return change


def item_upsert(item: pb.Item, paths: frozenset[str], columns: Columns, prefix: str = "") -> ItemUpsert:
    """Check an item; a column that is new to ``columns`` joins it.

    Raises:
        InvalidArgument: naming the field, behind ``prefix``.
    """
    item_id = stored_id(f"{prefix}item_id", item.item_id)
    title = check_text(f"{prefix}title", item.title, LONGEST_TITLE)
    if len(item.attributes) > MOST_COLUMNS:
        raise InvalidArgument(
            f"{prefix}attributes", f"has {len(item.attributes)} entries; at most {MOST_COLUMNS} are taken"
        )
    for name in item.attributes:
        if name not in columns.types and not KEY.fullmatch(name):
            raise InvalidArgument(
                f"{prefix}attributes[{name[:100]}]", "is no name of a column: 1 to 64 of a-z, 0-9 and _, a letter first"
            )
    trial = replace(columns, types=dict(columns.types))
    attributes = _values(prefix, item.attributes, trial)
    columns.types.update(trial.types)
    return ItemUpsert(item_id, title, attributes, paths)


@dataclass(frozen=True, slots=True)
class UserUpsert:
    """A checked user, and the fields to change."""

    user_id: str
    attributes: Mapping[str, Attribute | None]
    interests: Mapping[str, Attribute | None]
    paths: frozenset[str]

    def over(self, imported: UserRow | None) -> Callable[[UserRow | None], UserRow]:
        """The change: from the stored row, or else the imported one, to the new row."""

        def change(stored: UserRow | None) -> UserRow:
            old = stored if stored is not None and stored.updated is not None else imported
            attributes: Mapping[str, Attribute] = old.attributes if old else {}
            liked: Mapping[str, Attribute] = {n: list(v) for n, v in old.interests.items()} if old else {}
            interests = _merged(liked, self.interests, self.paths, "profile.interests")
            return UserRow(
                self.user_id,
                _merged(attributes, self.attributes, self.paths, "profile.attributes"),
                {name: one for name, one in interests.items() if isinstance(one, list)},
            )

        return change


def user_upsert(user: pb.User, paths: frozenset[str], columns: Columns, prefix: str = "") -> UserUpsert:
    """Check a user. Attributes that are no column of the product's users are kept, but recommenders ignore them.

    Raises:
        InvalidArgument: naming the field, behind ``prefix``.
    """
    user_id = stored_id(f"{prefix}user_id", user.user_id)
    inside = f"{prefix}profile."
    profile = user.profile
    for field, entries, most in (
        ("attributes", profile.attributes, MOST_ATTRIBUTES),
        ("interests", profile.interests, MOST_INTERESTS),
    ):
        if len(entries) > most:
            raise InvalidArgument(f"{inside}{field}", f"has {len(entries)} entries; at most {most} are taken")
        for name in entries:
            if not name:
                raise InvalidArgument(f"{inside}{field}", "has an entry without a name")
            check_text(f"{inside}{field}[{name[:100]}]", name, LONGEST_KEY)
    interests: dict[str, Attribute | None] = {}
    for name, liked in profile.interests.items():
        field = f"{inside}interests[{name}].values"
        texts = check_texts(field, liked.values)
        for at, text in enumerate(liked.values):
            check_text(f"{field}[{at}]", text)
        interests[name] = list(texts) or None
    return UserUpsert(user_id, _values(inside, profile.attributes, columns), interests, paths)
