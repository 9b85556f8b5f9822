"""Take out of a virtual environment what a Cuvée server does not run: TensorFlow and what only it needs.

``python deploy/slim.py`` in the environment of the image's ``server`` stage. The server asks a model
server over gRPC and needs TensorFlow's generated message classes alone, which ``cuvee_tfserving``
imports without running TensorFlow (``stand_in.py``). Training and ``cuvee model-server`` need all of
it: they have the image's ``trainer`` stage.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["Installed", "reached", "reduce_to_messages", "remove", "superfluous"]

Installed = Mapping[str, Distribution]
"""Distributions by their normalised names."""
HEAVY = "tensorflow"


def normal(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reached(installed: Installed, roots: Iterable[str], through: str | None = None) -> set[str]:
    """The roots and what they depend on, directly and over others; ``through`` is reached and not passed."""
    found: set[str] = set()
    open_ends = list(roots)
    while open_ends:
        name = open_ends.pop()
        if name in found or name not in installed:
            continue
        found.add(name)
        if name != through:
            asked = map(Requirement, installed[name].requires or ())
            open_ends += [normal(r.name) for r in asked if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def superfluous(installed: Installed) -> set[str]:
    """What TensorFlow alone needs; not TensorFlow, whose messages stay."""
    heavy = reached(installed, [HEAVY])
    return heavy - reached(installed, installed.keys() - heavy, through=HEAVY) - {HEAVY}


def remove(distribution: Distribution) -> None:
    """Delete a distribution's files, and the folders that are empty then."""
    paths = [Path(str(distribution.locate_file(file))).resolve() for file in distribution.files or ()]
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in sorted({parent for path in paths for parent in path.parents}, key=lambda f: -len(f.parts)):
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def reduce_to_messages(package: Path) -> None:
    """Leave of a package its ``*_pb2.py`` files and the folders that lead to them."""
    for path in sorted(package.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif not path.name.endswith("_pb2.py"):
            path.unlink()


def main() -> None:
    """Do it to the environment of this Python."""
    if sys.prefix == sys.base_prefix:
        sys.exit("slim.py takes a virtual environment apart, and this Python is not in one")
    installed = {normal(d.metadata["Name"]): d for d in distributions()}
    packages = [Path(str(d.locate_file(HEAVY))) for name, d in installed.items() if name == HEAVY]
    for name in sorted(superfluous(installed)):
        remove(installed[name])
        sys.stdout.write(f"without {name}\n")
    for package in packages:
        reduce_to_messages(package)
        sys.stdout.write(f"{package} reduced to its messages\n")


if __name__ == "__main__":
    main()
