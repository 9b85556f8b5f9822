"""Which version of a product answers: the newest, or one that somebody chose, by a small file beside the versions.

The file lies where the models lie, so that all servers that read these follow it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from cuvee.artifacts.versions import ArtifactRoot
from cuvee.errors import ArtifactError, NotFound, OperatorError

__all__ = ["Choice", "activate", "chosen", "release", "roll_back", "target_of_rollback", "wanted"]

FILE = "active.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a product."""

    version: str = ""
    """The version that is to answer, whatever is fitted later; empty: the newest one."""
    earlier: tuple[str, ...] = ()
    """The versions that answered before it, the last one last: a roll-back takes them from the end."""


def chosen(root: ArtifactRoot, product: str) -> Choice:
    """What was chosen; the newest version where nothing was.

    Raises:
        ArtifactError: the file is damaged.
    """
    text = root.note(product, FILE)
    if text is None:
        return Choice()
    try:
        told = json.loads(text)
        return Choice(str(told["version"]), tuple(str(one) for one in told["earlier"]))
    except (ValueError, KeyError, TypeError) as problem:
        raise ArtifactError(
            f"{FILE} of product {product!r} is damaged: {problem}; `cuvee snapshots activate {product} newest` mends it"
        ) from None


def wanted(root: ArtifactRoot, product: str) -> str | None:
    """The version that is to answer: the chosen one, or the newest where none was chosen or that one is gone.

    None where there is no version. Errors as of :func:`chosen`.
    """
    there = root.versions(product)
    choice = chosen(root, product).version
    return choice if choice in there else (there[-1] if there else None)


def activate(root: ArtifactRoot, product: str, version: str) -> str:
    """Have a version answer, and no newer one by itself; returns the one that answered before (empty: none).

    Raises:
        NotFound: there is no such version.
    """
    there = root.versions(product)
    if version not in there:
        raise NotFound("snapshot", version, there)
    try:
        before, earlier = wanted(root, product) or "", chosen(root, product).earlier
    except ArtifactError:  # what was damaged is replaced
        before, earlier = there[-1], ()
    if before != version:
        earlier = (*earlier, before)[-20:] if before else earlier
    _write(root, product, Choice(version, earlier))
    return before


def release(root: ArtifactRoot, product: str) -> None:
    """Have the newest version answer again, and each new one from now on."""
    root.put_note(product, FILE, None)


def target_of_rollback(root: ArtifactRoot, product: str) -> tuple[str, tuple[str, ...]]:
    """The version to go back to, and those that remain before it.

    Raises:
        OperatorError: there is no earlier version.
    """
    there = root.versions(product)
    now = wanted(root, product)
    earlier = [one for one in chosen(root, product).earlier if one in there and one != now]
    if earlier:
        return earlier[-1], tuple(earlier[:-1])
    older = [one for one in there if now is not None and one < now]
    if not older:
        raise OperatorError(f"product {product!r} has no snapshot before {now or 'the first one'} to go back to")
    return older[-1], ()


def roll_back(root: ArtifactRoot, product: str) -> tuple[str, str]:
    """Go back to the version that answered before; that one and the one that answered until now.

    Raises:
        OperatorError: there is no earlier version.
    """
    before = wanted(root, product) or ""
    version, earlier = target_of_rollback(root, product)
    _write(root, product, Choice(version, earlier))
    return version, before


def _write(root: ArtifactRoot, product: str, choice: Choice) -> None:
    root.put_note(product, FILE, json.dumps({"version": choice.version, "earlier": list(choice.earlier)}))
