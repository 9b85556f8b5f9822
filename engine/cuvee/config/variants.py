"""The variants of a product: its file with some keys overridden, each checked as a whole like a product of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cuvee.mistakes import Mistakes
from cuvee.product import Product

__all__ = ["FIXED", "MOST", "with_variants"]

FIXED = {
    "name": "a product is named after its file",
    "dataset": "all variants answer over the same items",
    "events": "they are stored for all variants together",
    "rate": "it holds for all variants together",
    "experiments": "a variant has no experiments of its own",
    "shadows": "a variant has no shadows of its own",
}
"""The keys that no variant overrides, and why."""
MOST = 64
"""Different configurations that one product's experiments may make."""

Read = Callable[[Mapping[str, Any], Mistakes], Product | None]
"""Reads and checks the values of a product's file."""
Overrides = Mapping[str, Any]


def with_variants(product: Product, values: Mapping[str, Any], file: Path, read: Read, found: Mistakes) -> Product:
    """The product with its variants, as far as they are right.

    ``values`` are those of its file; ``found`` knows the mistakes of the product itself already.
    """
    if not product.experiments and not product.shadows:
        return product
    plain = {key: one for key, one in values.items() if key not in {"experiments", "shadows"}}
    layers: dict[str, list[tuple[str, str, Overrides]]] = {}
    shadows: list[tuple[str, str, Overrides]] = []
    for e, experiment in enumerate(product.experiments):
        for v, variant in enumerate(experiment.variants):
            if variant.overrides:
                path = f"experiments.{e}.variants.{v}.overrides"
                label = f"{experiment.name}/{variant.name}"
                layers.setdefault(experiment.layer, []).append((label, path, variant.overrides))
    for s, shadow in enumerate(product.shadows):
        shadows.append((f"~{shadow.name}", f"shadows.{s}.overrides", shadow.overrides))
    made: dict[str, Product] = {}
    for label, path, overrides in [*itertools.chain(*layers.values()), *shadows]:
        one = _made(plain, overrides, file, path, read, found)
        if one is not None:
            made[label] = one
    if _separate(layers, file, found) and all(one[0] in made for one in itertools.chain(*layers.values())):
        for together in _combinations(layers):
            overrides = _merged_all([one[2] for one in together])
            paths = " and ".join(one[1] for one in together)
            joint = _made(plain, overrides, file, "experiments", read, found, f"{paths} together: ")
            if joint is not None:
                made[",".join(one[0] for one in together)] = joint
    return product.with_variants(made)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``: tables are merged, everything else is replaced."""
    found = dict(base)
    for key, value in over.items():
        before = found.get(key)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        found[key] = merged(before, value) if both else value  # type: ignore[arg-type]
    return found


def _merged_all(overrides: Sequence[Overrides]) -> Overrides:
    found: dict[str, Any] = {}
    for one in overrides:
        found = merged(found, one)
    return found


def _made(
    plain: Mapping[str, Any], overrides: Overrides, file: Path, path: str, read: Read, found: Mistakes, told: str = ""
) -> Product | None:
    """The product under overrides; None where they are wrong, which is noted at ``path``."""
    before = len(found.found)
    for key in sorted(FIXED.keys() & overrides.keys()):
        found.add(file, f"{path}.{key}", f"cannot be overridden: {FIXED[key]}")
    own = Mistakes()
    wrong = {(one.path, one.message) for one in found.found if one.file == str(file)}
    made = read(merged(plain, {key: one for key, one in overrides.items() if key not in FIXED}), own)
    for mistake in own.found:
        if (mistake.path, mistake.message) in wrong:  # the product's own
            continue
        if not told and _reaches(overrides, mistake.path):
            found.add(file, f"{path}.{mistake.path}", mistake.message)
        else:
            found.add(file, path, f"{told}{mistake.path}: {mistake.message}")
    return made if len(found.found) == before else None


def _reaches(overrides: Overrides, path: str) -> bool:
    """Whether overrides set something at a path, or in the table or list that it is in."""
    at: Any = overrides
    for part in path.split("."):
        if isinstance(at, Mapping):
            if part not in at:
                return False
            at = at[part]
        else:
            return True
    return True


def _leaves(overrides: Overrides, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in overrides.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def _separate(layers: Mapping[str, Sequence[tuple[str, str, Overrides]]], file: Path, found: Mistakes) -> bool:
    """Whether experiments of different layers override different keys, and make few enough configurations."""
    before = len(found.found)
    for one, other in itertools.combinations(layers.values(), 2):
        for (label, path, overrides), (of, _, others) in itertools.product(one, other):
            for mine, theirs in itertools.product(_leaves(overrides), _leaves(others)):
                shorter = min(len(mine), len(theirs))
                if mine[:shorter] == theirs[:shorter]:
                    key = ".".join(mine)
                    found.add(
                        file, f"{path}.{key}",
                        f"{of} overrides it, too, in another layer, and a user may be in both; give the experiments of "
                        f"{label} and {of} the same layer",
                    )  # fmt: skip
    count = 1
    for one in layers.values():
        count *= 1 + len(one)
    if count > MOST:
        found.add(
            file, "experiments",
            f"make {count} different configurations together; at most {MOST} are served: use fewer layers",
        )  # fmt: skip
    return len(found.found) == before


def _combinations(
    layers: Mapping[str, Sequence[tuple[str, str, Overrides]]],
) -> Iterator[list[tuple[str, str, Overrides]]]:
    """Every set of variants, of different layers, that one user may be in; sets of one are left out."""
    options: list[list[tuple[str, str, Overrides] | None]] = [[None, *those] for those in layers.values()]
    for chosen in itertools.product(*options):
        together = [one for one in chosen if one is not None]
        if len(together) > 1:
            yield together
