"""Names and values of a declared profile that the product does not have: most likely they are misspelt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cuvee.data.catalog import Catalog, Entities, Role
from cuvee.recommender import Profile
from cuvee.serving.deadline import left_until
from cuvee.serving.threads import AllTaken, Threads
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["unknown_keys", "unknown_values"]

LABELS = frozenset({Role.CATEGORY, Role.CATEGORIES})
"""Roles of columns whose values are compared letter by letter."""


def unknown_keys(profile: pb.UserProfile, catalog: Catalog) -> tuple[str, ...]:
    """Paths of what is declared under names that are no columns of the product, sorted."""
    if not (profile.attributes or profile.interests):
        return ()
    attributes = [f"attributes.{name}" for name in profile.attributes if name not in catalog.users.roles]
    interests = [f"interests.{name}" for name in profile.interests if name not in catalog.items.roles]
    return tuple(sorted(attributes + interests))


async def unknown_values(told: Profile, catalog: Catalog, threads: Threads, deadline: float) -> tuple[str, ...]:
    """``path=value`` of labels that no user (of attributes), or no item (of interests), has; each once, sorted.

    A column is indexed when it is first asked about, in one of ``threads``. Where that takes longer
    than the request has (``deadline`` as in :func:`~cuvee.serving.deadline.left_until`), nothing is
    named: the answer matters more.
    """
    columns = list(_labels(told, catalog))
    unread = [(entities, name) for entities, name, _, _ in columns if not entities.indexed(name)]
    if unread:
        try:
            await threads.in_turn(left_until(deadline), _index, unread)
        except (TimeoutError, AllTaken):
            return ()
    return tuple(
        sorted(
            f"{path}={value}"
            for entities, name, path, values in columns
            for value in dict.fromkeys(values)
            if not entities.has_label(name, value)
        )
    )


def _labels(told: Profile, catalog: Catalog) -> Iterator[tuple[Entities, str, str, Sequence[str]]]:
    """The rows that have a column of labels, its name, its path in the profile, and the declared values."""
    for name, value in told.attributes.items():
        if catalog.users.roles.get(name) in LABELS:
            values = (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()
            yield catalog.users, name, f"attributes.{name}", values
    for name, liked in told.interests.items():
        if catalog.items.roles.get(name) in LABELS:
            yield catalog.items, name, f"interests.{name}", liked


def _index(columns: Sequence[tuple[Entities, str]]) -> None:
    for entities, name in columns:
        entities.has_label(name, "")
