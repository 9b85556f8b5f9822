"""The digests of a published version's files: what is loaded is what was published, each file of it.

They lie in ``assets.extra``, which model servers ignore, so the genuine one serves such a version like any other. A
version from elsewhere has none, and is taken as it is.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

__all__ = ["FILE", "check", "write"]

FILE = "assets.extra/sha256.json"


def write(folder: Path) -> None:
    """Note the digest of every file below a version's folder."""
    digests = {name: _digest(folder / name) for name in _files(folder)}
    (folder / FILE).parent.mkdir(exist_ok=True)
    (folder / FILE).write_text(json.dumps(digests, indent=1))


def check(folder: Path, *names: str) -> None:
    """Compare the files of a version, or only those with these names, with what was noted, if anything was.

    Raises:
        ValueError: names the first that is missing, differs, was added, or leads out of the folder.
    """
    note = folder / FILE
    if not note.exists():
        return
    try:
        digests = json.loads(note.read_text())
        noted = {str(name): str(digest) for name, digest in digests.items()}
    except (ValueError, AttributeError, RecursionError):
        raise ValueError(f"{note} is damaged") from None
    if not names:
        added = sorted(set(_files(folder)) - noted.keys())
        if added:
            raise ValueError(f"{folder / added[0]} was not published with this version")
    place = folder.resolve()
    for name in names or sorted(noted):
        path = folder / name
        if not path.resolve().is_relative_to(place):
            raise ValueError(f"{path} leads out of its folder")
        if not path.is_file() or _digest(path) != noted.get(name):
            raise ValueError(f"{path} is missing or differs from what was published")


def _files(folder: Path) -> list[str]:
    """Every file below, less the note itself."""
    found = (str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if not path.is_dir())
    return [name for name in found if name != FILE]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
