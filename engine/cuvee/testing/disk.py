"""Finds pickles in what a recommender saved, since loading a pickle can run any code."""

from __future__ import annotations

import gzip
import pickletools
import zipfile
import zlib
from pathlib import Path

__all__ = ["find_pickles"]

_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth"})
_GZIP, _ZLIB, _ZIP, _NPY = b"\x1f\x8b", b"\x78", b"PK\x03\x04", b"\x93NUMPY"


def find_pickles(directory: Path) -> list[str]:
    """One line for each file under the directory that is, or holds, a pickle: which, and why."""
    found = []
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_file() and (why := _why(path)):
            found.append(f"{name}: {why}")
    return found


def _why(path: Path) -> str:
    """Why a file counts as a pickle; empty if it does not."""
    if path.suffix.lower() in _SUFFIXES:
        return f"a name in {path.suffix} says pickle"
    content = path.read_bytes()
    if content.startswith(_ZIP):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if why := _why_bytes(archive.read(name)):
                    return f"its member {name} is {why}"
        return ""
    return _why_bytes(content)


def _why_bytes(content: bytes) -> str:
    content = _plain(content)
    if content.startswith(_NPY):
        return "an npy array of objects" if _holds_objects(content) else ""
    return "a pickle" if _is_pickle(content) else ""


def _plain(content: bytes) -> bytes:
    """The content without its compression, where it has one."""
    try:
        if content.startswith(_GZIP):
            return gzip.decompress(content)
        if content.startswith(_ZLIB):
            return zlib.decompress(content)
    except (OSError, EOFError, zlib.error):
        pass  # it is not compressed after all
    return content


def _holds_objects(npy: bytes) -> bool:
    size_of_length = 2 if npy[6] == 1 else 4
    start = 8 + size_of_length
    header = npy[start : start + int.from_bytes(npy[8:start], "little")].decode("latin-1")
    return "'O'" in header or "|O" in header


def _is_pickle(content: bytes) -> bool:
    """Whether the bytes are a pickle of protocol 2 or later, all the way to a STOP."""
    if len(content) < 3 or content[0] != 0x80 or content[1] > 5:
        return False
    try:
        for opcode, _, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return True
    except Exception:  # noqa: BLE001 (genops raises whatever a decoder does on bytes that are no pickle)
        return False
    return False
