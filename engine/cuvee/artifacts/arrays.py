"""Arrays on disk, for ``Recommender.save`` and ``load``: plain npy files, memory-mapped, checked before they are used.

npy rather than safetensors, since numpy maps it without a copy: worker processes that load the
same artefact share its pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from cuvee.errors import ArtifactError

__all__ = ["load_arrays", "save_arrays"]

Array = npt.NDArray[Any]

BLOCK = 1 << 20
"""Numbers whose values are checked at a time."""
KINDS = {"int": np.signedinteger, "float": np.floating}
"""Words for several types."""
_SAID = re.compile(r"(\w+)\[([\w +,]*)\](?: (finite|known|in|to))?(?: (\w+))?")
_SIZE = re.compile(r"(\d+)|([A-Za-z_]\w*)(?: ?\+ ?(\d+))?")


class _Wanted(NamedTuple):
    """What one array must be."""

    kind: str
    sizes: tuple[str, ...]
    promise: str
    bound: str


def save_arrays(directory: Path, arrays: Mapping[str, Array]) -> None:
    """Write each array to ``<name>.npy``. Object arrays raise ValueError: they would need pickle."""
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


class _Mapped(np.memmap[Any, Any]):
    """A mapped file, with what its values were checked for."""

    held: set[tuple[object, ...]]


_MAPPED: WeakValueDictionary[tuple[str, int, int, int, int], _Mapped] = WeakValueDictionary()
"""The files that are mapped now, by path, inode and modification time. A mapping keeps its file open."""


def _mapped(path: Path) -> _Mapped:
    found = path.stat()
    key = (str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    mapped = _MAPPED.get(key)
    if mapped is None:
        # this reads npy alone: np.load would open archives as well
        opened = np.lib.format.open_memmap(path, mode="r")
        if opened.offset + opened.nbytes != found.st_size:
            raise ValueError(f"it has {found.st_size} bytes, and {opened.offset + opened.nbytes} by its header")
        mapped = opened.view(_Mapped)
        mapped.held = set()
        _MAPPED[key] = mapped
    return mapped


def load_arrays(directory: Path, arrays: Mapping[str, str], **sizes: int) -> dict[str, Array]:
    """Map the named arrays, read-only, and check that each is what it must be.

    What it must be is said as in a docstring: ``float32[n, d]``, ``int64[n + 1]``, ``bool[n]``; ``int`` and ``float``
    stand for any width. A size that has a name is the same in all arrays of the call. One promise on the values may
    follow:

    =================  ===========================================================================
    ``finite``         neither NaN nor infinity
    ``known``          no infinity
    ``in n``           positions: 0 to n - 1
    ``to n``           offsets into something of length n: they begin at 0, never fall, and end at n
    =================  ===========================================================================

    A file that is mapped already and has not changed is not opened again, nor are its values checked again: models that
    are reloaded as the catalogue grows share their mapped files.

    Args:
        directory: where :func:`save_arrays` wrote them.
        arrays: name -> what it must be.
        sizes: those that are known already.

    Raises:
        cuvee.errors.ArtifactError: a file is missing, damaged, or of another kind; names it.
        ValueError: what an array must be is not said in this form.
    """
    wanted = {name: _understood(said) for name, said in arrays.items()}
    found: dict[str, _Mapped] = {}
    for name in arrays:
        try:
            found[name] = _mapped(directory / f"{name}.npy")
        except Exception as problem:  # numpy's parser of headers raises whatever it meets
            raise _refused(directory, name, str(problem) or type(problem).__name__) from problem
    known = dict(sizes)
    for name, one in wanted.items():
        for why in _misfits(one, found[name], known):
            raise _refused(directory, name, f"it is {_form(found[name])}, and should be {arrays[name]}: {why}")
    for name, one in wanted.items():
        bound = _size(one.bound, known) if one.bound else 0
        promise = (one.promise, bound)
        if one.promise and promise not in found[name].held:
            if not _kept(found[name], one.promise, bound):
                raise _refused(directory, name, f"its values are not {arrays[name]}")
            found[name].held.add(promise)
    # a plain view: every small operation on the memmap subclass is slower
    return {name: mapped.view(np.ndarray) for name, mapped in found.items()}


def _refused(directory: Path, name: str, why: str) -> ArtifactError:
    return ArtifactError(f"cannot use {directory / f'{name}.npy'} ({why}); run `cuvee fit` again")


def _understood(said: str) -> _Wanted:
    found = _SAID.fullmatch(said)
    if found is None or (found[3] in {"in", "to"}) != (found[4] is not None):
        raise ValueError(f"{said!r} does not say what an array must be")
    return _Wanted(found[1], tuple(s.strip() for s in found[2].split(",") if s.strip()), found[3] or "", found[4] or "")


def _form(array: Array) -> str:
    return f"{array.dtype}[{', '.join(map(str, array.shape))}]"


def _misfits(wanted: _Wanted, array: Array, known: dict[str, int]) -> Iterator[str]:
    """Why an array is of another kind; sizes that are met for the first time are noted in ``known``."""
    kind: Any = KINDS.get(wanted.kind, wanted.kind)
    if not np.issubdtype(array.dtype, kind) or not array.dtype.isnative:
        yield "another type"
        return
    if array.ndim != len(wanted.sizes):
        yield f"{array.ndim} dimensions"
        return
    for said, size in zip(wanted.sizes, array.shape, strict=True):
        parts = _SIZE.fullmatch(said)
        if parts is None:
            raise ValueError(f"{said!r} is no size")
        if parts[2] and parts[2] not in known and size >= int(parts[3] or 0):
            known[parts[2]] = size - int(parts[3] or 0)
        if size != _size(said, known):
            yield f"{said} is {known.get(parts[2], 0) + int(parts[3] or parts[1] or 0)}"


def _size(said: str, known: Mapping[str, int]) -> int:
    """The number that a size stands for; -1 where that is not known."""
    parts = _SIZE.fullmatch(said)
    if parts is None:
        raise ValueError(f"{said!r} is no size")
    if parts[1]:
        return int(parts[1])
    return known[parts[2]] + int(parts[3] or 0) if parts[2] in known else -1


def _kept(array: Array, promise: str, bound: int) -> bool:
    """Whether all values keep a promise; a block at a time, so that a mapped file needs no memory of its own."""
    flat = array.view(np.ndarray).reshape(-1)
    blocks = (flat[at : at + BLOCK + 1] for at in range(0, len(flat), BLOCK))  # each with the first of the next
    if promise == "finite":
        return all(bool(np.isfinite(block).all()) for block in blocks)
    if promise == "known":
        return not any(bool(np.isinf(block).any()) for block in blocks)
    if promise == "in":
        return all(bool(((block >= 0) & (block < bound)).all()) for block in blocks)
    return len(flat) > 0 and flat[0] == 0 and flat[-1] == bound and all(bool((b[1:] >= b[:-1]).all()) for b in blocks)
