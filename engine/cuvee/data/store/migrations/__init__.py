"""The versions of the tables, run by alembic; see :mod:`cuvee.data.store.opening`."""
