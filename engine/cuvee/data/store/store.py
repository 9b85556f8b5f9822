"""The store as the server uses it: each method is one transaction or one read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from cuvee.data.store import activity, events, experiments, exposures
from cuvee.data.store.catalogue import items, users
from cuvee.data.store.database import Database
from cuvee.data.store.rows import (
    Attribute,
    EventRow,
    ExperimentAnswerRow,
    ExposureRow,
    Forgotten,
    History,
    ItemChange,
    ItemRow,
    Merged,
    UserRow,
    UserState,
)

__all__ = ["MOST_EVENTS", "Store"]

MOST_EVENTS = 20_000
"""How many of a user's newest events a request reads; nobody real has more."""


class Store:
    """All that is stored, by product. Thread-safe; every method may block.

    With ``dry`` a write is rolled back, and its result is that of a real one. Every method raises
    :class:`cuvee.errors.UnavailableError` where the database cannot be reached or is too busy.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._key: bytes | None = None

    def close(self) -> None:
        """Close the idle connections."""
        self.database.close()

    def write_events(self, rows: Sequence[EventRow], *, dry: bool = False) -> list[bool]:
        """Store events durably; returns for each whether it was new. Of several with one id, the first one is."""
        return self.database.write(lambda connection: events.write_events(connection, rows), dry=dry)

    def state(self, product: str, user_id: str) -> UserState:
        """The user's state, by which a reader checks its cached history: one statement."""
        return self.states(product, [user_id])[user_id]

    def states(self, product: str, user_ids: Sequence[str]) -> Mapping[str, UserState]:
        """The states of some users by id, as :meth:`state` gives them: one statement for all of them."""
        key = self._secret()
        digests = {users.digest_of(key, user_id): user_id for user_id in user_ids}
        return self.database.read(lambda connection: users.states_of(connection, product, digests))

    def forgotten(self, product: str) -> Callable[[str], bool]:
        """A function that says of a user's id whether his imported rows must not be used."""
        digests = self.database.read(lambda connection: users.forgotten_digests(connection, product))
        key = self._secret() if digests else b""
        return lambda user_id: bool(digests) and users.digest_of(key, user_id) in digests

    def someone_forgotten(self, product: str) -> bool:
        """Whether there is any user whose imported rows must not be used."""
        return bool(self.database.read(lambda connection: users.forgotten_digests(connection, product)))

    def _secret(self) -> bytes:
        if self._key is None:
            self._key = self.database.write(users.key_of)
        return self._key

    def history(self, product: str, user_id: str) -> History:
        """The user's newest :data:`MOST_EVENTS` events, oldest first."""
        return self.database.read(lambda connection: events.history_of(connection, product, user_id, MOST_EVENTS))

    def histories(self, product: str, user_ids: Sequence[str]) -> Mapping[str, tuple[History, UserRow | None]]:
        """The results of :meth:`history` and :meth:`user` for some users, by id."""

        def read(connection: Connection) -> dict[str, tuple[History, UserRow | None]]:
            rows = users.rows_of(connection, product, user_ids)
            return {
                user_id: (events.history_of(connection, product, user_id, MOST_EVENTS), rows.get(user_id))
                for user_id in user_ids
            }

        return self.database.read(read)

    def merge_users(self, product: str, anonymous_id: str, user_id: str, *, dry: bool = False) -> Merged:
        """Move all that is stored under one id to another."""
        return self.database.write(
            lambda connection: users.merge_users(connection, product, anonymous_id, user_id), dry=dry
        )

    def user(self, product: str, user_id: str) -> UserRow | None:
        """One user, or None where nothing is stored."""
        return self.database.read(lambda connection: users.read_user(connection, product, user_id))

    def users(self, product: str, after: str, most: int) -> list[UserRow]:
        """Users after an id, by ascending id."""
        return self.database.read(lambda connection: users.read_users(connection, product, after, most))

    def recent_users(self, product: str, most: int) -> list[tuple[UserRow, int]]:
        """The users who did something last, each with when that was (microseconds); the latest first."""
        return self.database.read(lambda connection: users.recent_users(connection, product, most))

    def write_users(
        self, product: str, changes: Sequence[tuple[str, Callable[[UserRow | None], UserRow]]], *, dry: bool = False
    ) -> list[tuple[UserRow, bool, bool]]:
        """Change profiles; each with whether it was created, and whether it changed."""
        return self.database.write(lambda connection: users.write_users(connection, product, changes), dry=dry)

    def forget(self, product: str, user_id: str, *, imported: bool, dry: bool = False) -> Forgotten:
        """Delete a user; returns how much data he had."""
        found = self.database.write(
            lambda connection: users.forget(connection, product, user_id, imported=imported), dry=dry
        )
        if not dry:
            self.database.wipe()
        return found

    def events_of(self, product: str, user_id: str, after: EventRow | None = None) -> list[EventRow]:
        """A page of a user's events by ascending time, starting after a given event; empty at the end."""
        return self.database.read(lambda connection: events.events_of(connection, product, user_id, after))

    def newest_receipt(self, product: str) -> int:
        """When the product's newest event was received (microseconds); 0 where there is none."""
        return self.database.read(lambda connection: activity.newest_receipt(connection, product))

    def received_after(self, product: str, after: tuple[int, str], most: int) -> list[activity.Received]:
        """All users' events after a time of receipt and an event's id, in that order."""
        return self.database.read(lambda connection: activity.received_after(connection, product, after, most))

    def histories_of(self, product: str, owners: Sequence[str]) -> Mapping[str, list[activity.Received]]:
        """All events of some users, each user's by time."""
        return self.database.read(lambda connection: activity.histories_of(connection, product, owners))

    def profiles_of(self, product: str, user_ids: Sequence[str]) -> Mapping[str, Mapping[str, Attribute]]:
        """The attributes of those of some users who have a stored profile."""
        return self.database.read(lambda connection: activity.profiles_of(connection, product, user_ids))

    def cleared(self, product: str) -> int:
        """A counter that rises whenever a user is forgotten."""
        return self.database.read(lambda connection: activity.cleared_of(connection, product))

    def prune(self, product: str, before: int) -> int:
        """Delete a page of events that happened before a time (microseconds); how many there were."""
        return self.database.write(lambda connection: events.prune_events(connection, product, before))

    def prune_exposures(self, product: str, before: int) -> int:
        """Delete a page of exposures from before a time (microseconds); returns how many rows there were."""
        return self.database.write(lambda connection: exposures.prune_exposures(connection, product, before))

    def write_exposures(self, rows: Sequence[ExposureRow]) -> None:
        """Store exposures."""
        self.database.write(lambda connection: exposures.write_exposures(connection, rows))

    def write_experiment_answers(self, rows: Sequence[ExperimentAnswerRow]) -> None:
        """Store answers to participants of experiments."""
        key = self._secret()
        self.database.write(lambda connection: experiments.write_answers(connection, rows, key))

    def prune_experiment_answers(self, product: str, before: int) -> int:
        """Delete a page of them from before a time (microseconds); returns how many there were."""
        return self.database.write(lambda connection: experiments.prune_answers(connection, product, before))

    def participants(self, product: str, experiment: str, since: int) -> list[experiments.Participant]:
        """Who took part in an experiment since a time (microseconds), and what became of it."""
        return self.database.write(
            lambda connection: list(experiments.participants(connection, product, experiment, since)), dry=True
        )

    def outcomes(self, product: str, by: str, since: int) -> list[exposures.Outcome]:
        """The outcomes of what was shown since a time (microseconds), by source, segment and the like."""
        return self.database.write(lambda connection: exposures.outcomes(connection, product, by, since), dry=True)

    def revision(self, product: str) -> int:
        """The product's newest revision of items."""
        return self.database.read(lambda connection: items.revision_of(connection, product))

    def items_since(self, product: str, revision: int) -> list[ItemRow]:
        """Items written after a revision, deleted ones too, in the order in which they came."""
        return self.database.read(lambda connection: items.items_since(connection, product, revision))

    def item(self, product: str, item_id: str) -> ItemRow | None:
        """One item that was written, deleted ones too."""
        return self.database.read(lambda connection: items.read_item(connection, product, item_id))

    def items_of(self, product: str, ids: Sequence[str]) -> dict[str, ItemRow]:
        """The written items among the given ids, by id; deleted ones too."""
        return self.database.read(lambda connection: items.items_of(connection, product, ids))

    def write_items(
        self,
        product: str,
        changes: Sequence[tuple[str, Callable[[ItemRow | None], ItemRow | None]]],
        *,
        dry: bool = False,
    ) -> list[ItemChange | None]:
        """Change items, each based on its stored row."""
        return self.database.write(lambda connection: items.write_items(connection, product, changes), dry=dry)
