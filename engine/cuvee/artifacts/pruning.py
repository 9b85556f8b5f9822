"""Old versions are deleted, and those that may be needed are not."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from cuvee.artifacts.choice import chosen, target_of_rollback, wanted
from cuvee.artifacts.versions import ArtifactRoot
from cuvee.errors import ArtifactError, OperatorError

__all__ = ["KEEP", "prunable", "prune"]

KEEP = 5
"""How many of the newest versions stay by default."""


def prunable(root: ArtifactRoot, product: str, keep: int = KEEP, used: Collection[str] = ()) -> list[str]:
    """The versions that may be deleted, the oldest first.

    The newest ``keep`` stay, the one that is to answer, the one to which a roll-back would go, and those in
    ``used``. Where it cannot be read which one was chosen, all stay.
    """
    there = root.versions(product)
    try:
        stay = {*there[-keep:], *used, wanted(root, product), *chosen(root, product).earlier[-1:]}
    except ArtifactError:
        return []
    with suppress(OperatorError):  # there is nothing to go back to
        stay.add(target_of_rollback(root, product)[0])
    return [one for one in there if one not in stay]


def prune(root: ArtifactRoot, product: str, keep: int = KEEP, used: Collection[str] = ()) -> list[str]:
    """Delete them; those that were deleted, the oldest first.

    Files that a server has mapped stay on the disk until it closes them; loading such a version again fails.
    """
    gone = prunable(root, product, keep, used)
    for version in gone:
        root.retire(product, version)
    root.sweep(product)
    return gone
