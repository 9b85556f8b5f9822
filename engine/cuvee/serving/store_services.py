"""What a server with a store has beside one without: two services, and users that are read per request."""

from __future__ import annotations

import asyncio

import grpc.aio

from cuvee.config import Settings
from cuvee.data.store import open_store
from cuvee.serving.events import EventServicer
from cuvee.serving.products import Products
from cuvee.serving.store_calls import StoreCalls
from cuvee.serving.stored import StoredUsers
from cuvee.v1 import events_pb2, events_pb2_grpc

__all__ = ["StoreServices"]


class StoreServices:
    """The store of a server, and who asks it."""

    def __init__(self, settings: Settings, products: Products, leaving: asyncio.Event) -> None:
        """Open the configured store; where ``store.url`` is empty, nothing here does anything.

        Raises:
            OperatorError: it cannot be one of ours, or its tables are of another version.
        """
        self.users: StoredUsers | None = None
        self.names: tuple[str, ...] = ()
        """Full names of the services."""
        self._store = open_store(settings)
        if self._store is None:
            return
        slots = min(settings.store.pool, settings.server.limits.threads)
        self.users = StoredUsers(self._store, slots)
        self._calls = StoreCalls(slots, 2 * settings.store.timeout)
        self._events = EventServicer(self._store, products, self._calls, leaving)
        self.names = (events_pb2.DESCRIPTOR.services_by_name["EventService"].full_name,)

    def attach(self, server: grpc.aio.Server) -> None:
        """Answer on a server that was not started yet."""
        if self._store is not None:
            events_pb2_grpc.add_EventServiceServicer_to_server(self._events, server)

    def close(self) -> None:
        """Let idle threads go, and close the connections."""
        if self._store is None or self.users is None:
            return
        self._events.close()
        self._calls.close()
        self.users.close()
        self._store.close()
