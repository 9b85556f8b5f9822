"""What the store knows of a user, read for each request: always fresh, and cached all the same.

One statement by key says whether what is cached still holds. Where it does not, the user's events
are read anew. Where the store cannot be read, what was read last is better than nothing, and the
answer says so.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from cuvee.data.store import Store
from cuvee.data.store.rows import History, UserRow
from cuvee.errors import DegradedReason, UnavailableError
from cuvee.serving.deadline import left_until
from cuvee.serving.lists.breaker import Breaker
from cuvee.serving.threads import AllTaken, Threads

__all__ = ["SHARE", "Known", "StoreFailed", "StoredUsers"]

log = structlog.get_logger(__name__)

SHARE = 0.25
"""Of what is left of the deadline: what reading a user may take."""
PATIENCE = 5.0
"""Seconds for finding out who is forgotten."""
MOST_USERS = 20_000
MOST_EVENTS = 500_000
"""What the cache holds at most, together."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of one user."""

    stamp: int | None = None
    """None: nothing."""
    forgotten: bool = False
    """What was imported of him must not be used."""
    history: History = field(default_factory=History)
    profile: UserRow | None = None
    """None: none is stored; what was imported holds."""
    revision: int = 0
    """Of the product's items, at the moment of reading."""


def _nobody(_user_id: str) -> bool:
    return False


class StoreFailed(Exception):
    """The store could not be read: ``reason`` and ``detail`` are for the caller, ``known`` was read last."""

    def __init__(self, reason: DegradedReason, detail: str, known: Known) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.known = known


class StoredUsers:
    """Reads users for requests, in threads of its own and behind a circuit breaker."""

    def __init__(self, store: Store, slots: int) -> None:
        self._store = store
        self._threads = Threads("store-reading", slots)
        self._breaker = Breaker()
        self._kept: OrderedDict[tuple[str, str], Known] = OrderedDict()
        self._events = 0
        self._forgotten: dict[str, Callable[[str], bool]] = {}

    async def follow(self, *products: str) -> None:
        """Learn who is forgotten, for times when the store cannot be asked.

        Raises:
            UnavailableError: the store cannot be reached, or not in time.
        """
        for product in products:
            try:
                self._forgotten[product] = await self._threads.in_turn(PATIENCE, self._store.forgotten, product)
            except (TimeoutError, AllTaken):
                raise UnavailableError("the store does not answer in time") from None

    async def read(self, product: str, user_id: str, deadline: float) -> Known:
        """What is stored of a user at this moment, by a deadline (monotonic); of nobody, the revision alone.

        Raises:
            StoreFailed: the store cannot be read, or not in time.
        """
        if "\0" in user_id:
            user_id = ""
        key = product, user_id
        kept = self._kept.get(key) or Known(forgotten=self._forgotten.get(product, _nobody)(user_id))
        leave = self._breaker.admit()
        if leave is None:
            raise StoreFailed(DegradedReason.CIRCUIT_OPEN, "the store failed of late", kept)
        try:
            known = await self._threads.in_turn(SHARE * left_until(deadline), self._look, product, user_id, kept)
        except TimeoutError:
            self._breaker.failed(leave)
            raise StoreFailed(DegradedReason.TIMEOUT, "the store did not answer in time", kept) from None
        except AllTaken:
            self._breaker.undecided(leave)
            raise StoreFailed(DegradedReason.OVERLOADED, "the store is busy with earlier calls", kept) from None
        except UnavailableError:
            self._breaker.failed(leave)
            raise StoreFailed(DegradedReason.UNAVAILABLE, "the store cannot be reached", kept) from None
        except Exception as problem:
            self._breaker.failed(leave)
            log.exception("store failed")
            raise StoreFailed(DegradedReason.ERROR, f"raised {type(problem).__name__}", kept) from problem
        except BaseException:
            self._breaker.undecided(leave)
            raise
        self._breaker.succeeded(leave)
        self._keep(key, known)
        return known

    def _look(self, product: str, user_id: str, kept: Known) -> Known:
        # the stamp is read first: what is read after it may be newer, and is then read again next time
        state = self._store.state(product, user_id)
        if state.stamp is None:
            return Known(forgotten=state.forgotten, revision=state.revision)
        if state.stamp == kept.stamp:
            return replace(kept, revision=state.revision)
        user = self._store.user(product, user_id)
        has_profile = user is not None and user.updated is not None
        history = self._store.history(product, user_id)
        return Known(state.stamp, state.forgotten, history, user if has_profile else None, state.revision)

    def _keep(self, key: tuple[str, str], known: Known) -> None:
        old = self._kept.pop(key, None)
        self._events -= len(old.history) if old else 0
        if known.stamp is None:
            return
        self._kept[key] = known
        self._events += len(known.history)
        while len(self._kept) > MOST_USERS or self._events > MOST_EVENTS:
            _, dropped = self._kept.popitem(last=False)
            self._events -= len(dropped.history)

    def held(self, product: str, user_id: str) -> int:
        """How many entries are cached of a user."""
        return int((product, user_id) in self._kept)

    def drop(self, product: str, user_id: str) -> int:
        """Forget what is cached of a user; how many entries that were."""
        known = self._kept.pop((product, user_id), None)
        if known is None:
            return 0
        self._events -= len(known.history)
        return 1

    def close(self) -> None:
        """Let idle threads go."""
        self._threads.close()
