"""The store: users' events and changes of the catalogue, kept durably and shared by every replica.

SQLAlchemy Core over SQLite (one file, the default) or PostgreSQL. Importing this package imports
SQLAlchemy, so it is imported where a store is opened and nowhere else.
"""

from cuvee.data.store.database import Database
from cuvee.data.store.opening import open_store
from cuvee.data.store.store import Store

__all__ = ["Database", "Store", "open_store"]
