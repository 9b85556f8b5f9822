"""SavedModels in the folder that model servers watch: ``<root>/<model>/<version>/``, whole or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cuvee_tfserving import checksums
from cuvee_tfserving.fitting.artefact import EXTRA, FILES
from cuvee_tfserving.fitting.trainer import SAVED_MODEL

__all__ = ["newest", "publish", "versions"]


def versions(root: Path, model: str) -> list[int]:
    """The published versions, rising."""
    folder = root / model
    if not folder.is_dir():
        return []
    return sorted(int(f.name) for f in folder.iterdir() if f.name.isdecimal() and f.is_dir())


def newest(root: Path, model: str) -> int:
    """The highest version.

    Raises:
        FileNotFoundError: there is none.
    """
    found = versions(root, model)
    if not found:
        raise FileNotFoundError(f"{root / model} holds no version; publish a SavedModel as {root / model / '1'}")
    return found[-1]


def publish(trained: Path, root: Path, model: str) -> int:
    """Publish the trainer's files as the next version, and return its number.

    Written aside, synced and renamed, so that a watching server sees all of it or nothing.

    Raises:
        FileNotFoundError: the trainer wrote no SavedModel.
    """
    saved = trained / SAVED_MODEL
    if not (saved / "saved_model.pb").exists():
        raise FileNotFoundError(f"the training wrote no SavedModel to {saved}")
    folder = root / model
    folder.mkdir(parents=True, exist_ok=True)
    # not a number, so that no server mistakes it for a version
    aside = Path(tempfile.mkdtemp(prefix=".publishing-", dir=folder))
    try:
        shutil.copytree(saved, aside, dirs_exist_ok=True)
        (aside / EXTRA).mkdir(exist_ok=True)
        for name in FILES:
            if (trained / name).exists():
                shutil.copyfile(trained / name, aside / EXTRA / name)
        checksums.write(aside)
        aside.chmod(0o755)  # mkdtemp's folders are private, but the server may run as another user
        _to_disk(aside)
        while True:
            number = max(versions(root, model), default=0) + 1
            try:
                aside.rename(folder / str(number))
            except OSError:
                if not (folder / str(number)).exists():
                    raise
                continue  # someone else published it a moment ago
            break
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _sync(folder)
    return number


def _to_disk(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
