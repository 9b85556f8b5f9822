"""Users: their profiles, the record of forgotten users, and the one read that a request makes."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from cuvee.data.store.activity import note_cleared
from cuvee.data.store.events import insert_into, new_stamp
from cuvee.data.store.rows import Forgotten, Merged, UserRow, UserState, now
from cuvee.data.store.tables import EVENTS, EXPERIMENT_ANSWERS, FORGOTTEN, HEADS, SECRETS, USERS

__all__ = [
    "digest_of",
    "forget",
    "forgotten_digests",
    "key_of",
    "merge_users",
    "read_user",
    "read_users",
    "recent_users",
    "rows_of",
    "states_of",
    "write_users",
]

KEY = "forgotten"
"""The name of the secret."""


def key_of(connection: Connection) -> bytes:
    """The store's own key for hashes of ids; created at first use."""
    query = select(SECRETS.c.value).where(SECRETS.c.name == KEY)
    found = connection.execute(query).scalar()
    if found is None:
        new = insert_into(connection, SECRETS).on_conflict_do_nothing()
        connection.execute(new, {"name": KEY, "value": secrets.token_hex(32)})
        found = connection.execute(query).scalar_one()
    return bytes.fromhex(found)


def digest_of(key: bytes, user_id: str) -> str:
    """A keyed hash: without the key it cannot be told which user it stands for."""
    return hmac.digest(key, user_id.encode(), "sha256").hex()


# raw SQL, as SQLAlchemy's compiler costs more than the statement; and one row, as SQLite's driver lets others
# have the interpreter, and waits for it, once for each row
_STATES_SQLITE = f"""
SELECT (SELECT json_group_object(user_id, stamp) FROM {USERS.name}
        WHERE product = ?1 AND user_id IN (SELECT value FROM json_each(?2))),
       (SELECT json_group_array(digest) FROM {FORGOTTEN.name}
        WHERE product = ?1 AND digest IN (SELECT value FROM json_each(?3))),
       (SELECT revision FROM {HEADS.name} WHERE product = ?1)
"""  # noqa: S608 - names of our own tables
_STATES_POSTGRESQL = f"""
SELECT (SELECT json_object_agg(user_id, stamp) FROM {USERS.name}
        WHERE product = %(product)s AND user_id = ANY(%(ids)s::text[])),
       (SELECT json_agg(digest) FROM {FORGOTTEN.name}
        WHERE product = %(product)s AND digest = ANY(%(digests)s::text[])),
       (SELECT revision FROM {HEADS.name} WHERE product = %(product)s)
"""  # noqa: S608


def states_of(connection: Connection, product: str, digests: Mapping[str, str]) -> dict[str, UserState]:
    """The states of some users, by id, from one statement, so they are all of the same moment.

    ``digests`` holds each user's id by its digest.
    """
    found: Any
    if connection.dialect.name == "sqlite":
        asked = product, json.dumps(list(digests.values())), json.dumps(list(digests))
        found = connection.exec_driver_sql(_STATES_SQLITE, asked).one()
        stamps, forgotten = json.loads(found[0]), json.loads(found[1])
    else:
        values = {"product": product, "ids": list(digests.values()), "digests": list(digests)}
        found = connection.exec_driver_sql(_STATES_POSTGRESQL, values).one()
        stamps, forgotten = found[0] or {}, found[1] or []
    gone, revision = set(forgotten), found[2] or 0
    return {user_id: UserState(stamps.get(user_id), digest in gone, revision) for digest, user_id in digests.items()}


def forgotten_digests(connection: Connection, product: str) -> set[str]:
    """The digests of those whose imported events must not be used."""
    return set(connection.execute(select(FORGOTTEN.c.digest).where(FORGOTTEN.c.product == product)).scalars())


def _row(found: Any) -> UserRow:
    profile = json.loads(found.profile) if found.profile else {}
    return UserRow(
        found.user_id,
        profile.get("attributes", {}),
        profile.get("interests", {}),
        found.created,
        found.updated,
        found.event_count,
    )


def read_user(connection: Connection, product: str, user_id: str) -> UserRow | None:
    """One user, or None where nothing is stored."""
    query = select(USERS).where(USERS.c.product == product, USERS.c.user_id == user_id)
    found = connection.execute(query).one_or_none()
    return None if found is None else _row(found)


def rows_of(connection: Connection, product: str, user_ids: Sequence[str]) -> dict[str, UserRow]:
    """Those of the given users that have stored rows, by id."""
    query = select(USERS).where(USERS.c.product == product, USERS.c.user_id.in_(user_ids))
    return {found.user_id: _row(found) for found in connection.execute(query)}


def read_users(connection: Connection, product: str, after: str, most: int) -> list[UserRow]:
    """The users after an id, by ascending id."""
    query = (
        select(USERS).where(USERS.c.product == product, USERS.c.user_id > after).order_by(USERS.c.user_id).limit(most)
    )
    return [_row(found) for found in connection.execute(query)]


def recent_users(connection: Connection, product: str, most: int) -> list[tuple[UserRow, int]]:
    """The users who did something last, or came last, each with when that was (microseconds); the latest first."""
    newest = (
        select(func.max(EVENTS.c.time))
        .where(EVENTS.c.product == USERS.c.product, EVENTS.c.owner == USERS.c.user_id)
        .scalar_subquery()
    )
    when = func.coalesce(newest, USERS.c.updated, USERS.c.created).label("last")
    query = select(USERS, when).where(USERS.c.product == product).order_by(when.desc(), USERS.c.user_id).limit(most)
    return [(_row(found), found.last) for found in connection.execute(query)]


def _packed(row: UserRow) -> str:
    plain = {"attributes": dict(row.attributes), "interests": {k: list(v) for k, v in row.interests.items()}}
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def write_users(
    connection: Connection,
    product: str,
    changes: Sequence[tuple[str, Callable[[UserRow | None], UserRow]]],
) -> list[tuple[UserRow, bool, bool]]:
    """Change users, each based on the stored row; return each with whether it was created, and changed.

    A change gets the row, or None, and returns the new row, of which only the profile is written.
    """
    if not changes:
        return []
    time = now()
    ids = sorted({user_id for user_id, _ in changes})
    # a missing row cannot be locked: two transactions that create one user at once would not see each other
    bare = [
        {"product": product, "user_id": user_id, "created": time, "event_count": 0, "stamp": new_stamp()}
        for user_id in ids
    ]
    insert = insert_into(connection, USERS).on_conflict_do_nothing().returning(USERS.c.user_id)
    new_ids = set(connection.execute(insert, bare).scalars())
    there: dict[str, UserRow | None] = dict(_locked(connection, product, ids))
    made: list[tuple[UserRow, bool, bool]] = []
    dirty: dict[str, UserRow] = {}
    for user_id, change in changes:
        old = None if user_id in new_ids else there[user_id]
        new = change(old)
        before = None if old is None or old.updated is None else _packed(old)
        changed = before != _packed(new)
        kept = UserRow(
            user_id,
            new.attributes,
            new.interests,
            time if old is None else old.created,
            time if changed or old is None else old.updated,
            0 if old is None else old.event_count,
        )
        made.append((kept, old is None, changed))
        new_ids.discard(user_id)
        there[user_id] = kept
        if changed:
            dirty[user_id] = kept
    insert = insert_into(connection, USERS)
    upsert = insert.on_conflict_do_update(
        index_elements=[USERS.c.product, USERS.c.user_id],
        set_={name: insert.excluded[name] for name in ("profile", "updated", "stamp")},
    )
    if dirty:
        connection.execute(
            upsert,
            [
                {
                    "product": product,
                    "user_id": user_id,
                    "profile": _packed(dirty[user_id]),
                    "created": dirty[user_id].created,
                    "updated": dirty[user_id].updated,
                    "event_count": 0,
                    "stamp": new_stamp(),
                }
                for user_id in sorted(dirty)
            ],
        )
    return made


def _locked(connection: Connection, product: str, ids: Sequence[str]) -> dict[str, UserRow]:
    query = (
        select(USERS)
        .where(USERS.c.product == product, USERS.c.user_id.in_(ids))
        .order_by(USERS.c.user_id)
        .with_for_update()
    )
    return {found.user_id: _row(found) for found in connection.execute(query)}


def merge_users(connection: Connection, product: str, anonymous_id: str, user_id: str) -> Merged:
    """Move all rows of one id to another; where both profiles have a key, the target's value stays."""
    there = _locked(connection, product, [anonymous_id, user_id])
    moved = connection.execute(
        update(EVENTS).where(EVENTS.c.product == product, EVENTS.c.owner == anonymous_id).values(owner=user_id)
    ).rowcount
    anonymous, known = there.get(anonymous_id), there.get(user_id)
    has_profile = anonymous is not None and anonymous.updated is not None
    if anonymous is None:
        return Merged(0, profile=False)
    connection.execute(delete(USERS).where(USERS.c.product == product, USERS.c.user_id == anonymous_id))
    row = known or UserRow(user_id, created=anonymous.created)
    values: dict[str, object] = {"stamp": new_stamp()}
    if has_profile:
        both = UserRow(user_id, {**anonymous.attributes, **row.attributes}, {**anonymous.interests, **row.interests})
        values |= {"profile": _packed(both), "updated": now()}
    insert = insert_into(connection, USERS)
    upsert = insert.values(product=product, user_id=user_id, created=row.created, event_count=moved, **values)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=[USERS.c.product, USERS.c.user_id],
            set_={"event_count": USERS.c.event_count + moved, **values},
        )
    )
    return Merged(moved, profile=has_profile)


def forget(connection: Connection, product: str, user_id: str, *, imported: bool) -> Forgotten:
    """Delete a user's events, profile and part in experiments, and his id where another's event has it as its session.

    With ``imported`` also record, by a keyed hash, that the user's imported rows must not be used.
    """
    there = _locked(connection, product, [user_id]).get(user_id)
    events = connection.execute(delete(EVENTS).where(EVENTS.c.product == product, EVENTS.c.owner == user_id)).rowcount
    # the second condition lets the index be used
    of_others = (EVENTS.c.product == product, EVENTS.c.session_id == user_id, EVENTS.c.session_id != EVENTS.c.owner)
    sessions = connection.execute(update(EVENTS).where(*of_others).values(session_id=None)).rowcount
    connection.execute(delete(USERS).where(USERS.c.product == product, USERS.c.user_id == user_id))
    digest = digest_of(key_of(connection), user_id)
    answers = EXPERIMENT_ANSWERS.c.product == product, EXPERIMENT_ANSWERS.c.unit == digest
    connection.execute(delete(EXPERIMENT_ANSWERS).where(*answers))
    if events or imported:
        note_cleared(connection, product)
    if imported:
        new = insert_into(connection, FORGOTTEN).on_conflict_do_nothing()
        connection.execute(new, {"product": product, "digest": digest, "time": now()})
    return Forgotten(events, there is not None and there.updated is not None, sessions)
