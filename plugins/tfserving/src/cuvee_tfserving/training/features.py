"""Items as numbers for the item tower, with numpy alone: the server builds them without TensorFlow.

A vocabulary is learnt once, at training, and written beside the model as ``item_features.json``.
The matrix has one row for each item and, in this order:

1. one column for each known label of the ``category`` and ``categories`` columns, 1 where the item
   has it, divided by the root of how many it has;
2. two for each ``number`` column: its standard score, clipped to -3 ... 3, and 1 where it is missing;
3. one for each ``flag`` column;
4. ``text_buckets`` for the words of all ``text`` columns: TF-IDF, hashed with a sign
   (Weinberger et al., ICML 2009), of length 1;
5. the numbers of each ``vector`` column, of length 1.

Labels, words and columns that are not in the vocabulary are ignored.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from cuvee import Entities, Role
from cuvee.recommender import Floats

__all__ = ["ItemFeatures"]

_WORD = re.compile(r"[^\W_]{2,}", re.UNICODE)


@dataclass(frozen=True)
class _Number:
    """How a number column is scaled."""

    column: str
    mean: float
    deviation: float


@dataclass(frozen=True)
class _Vector:
    """A column of ready-made vectors, and their length."""

    column: str
    length: int


@dataclass(frozen=True)
class ItemFeatures:
    """The vocabulary: which columns are read, and into which numbers."""

    labels: Sequence[tuple[str, str]]
    """(column, label) of each label column of the matrix."""
    numbers: Sequence[_Number]
    flags: Sequence[str]
    texts: Sequence[str]
    text_buckets: int
    rarity: Sequence[float]
    """Inverse document frequency of each bucket."""
    vectors: Sequence[_Vector]

    @classmethod
    def learn(cls, items: Entities, text_buckets: int, max_categories: int) -> ItemFeatures:
        """The vocabulary of a catalogue's items."""
        counts: Counter[tuple[str, str]] = Counter()
        for column in items.columns(Role.CATEGORY, Role.CATEGORIES):
            counts.update((column, label) for row in _labels(items, column) for label in set(row))
        kept = sorted(sorted(counts), key=lambda key: -counts[key])[:max_categories]
        numbers = []
        for column in items.columns(Role.NUMBER):
            values = _numbers(items, column)
            known = values[np.isfinite(values)]
            mean, deviation = (float(known.mean()), float(known.std())) if len(known) else (0.0, 0.0)
            numbers.append(_Number(column, mean, deviation or 1.0))
        texts = items.columns(Role.TEXT) if text_buckets else []
        seen = np.zeros(text_buckets)
        for words in _words(items, texts):
            seen[list({_bucket(word, text_buckets)[0] for word in words})] += 1
        rarity = np.log((1 + len(items)) / (1 + seen)) + 1
        vectors = [
            _Vector(column, length) for column in items.columns(Role.VECTOR) if (length := _length(items, column))
        ]
        return cls(
            kept, numbers, items.columns(Role.FLAG), texts, text_buckets if texts else 0, rarity.tolist(), vectors
        )

    @property
    def width(self) -> int:
        """F: numbers for each item."""
        return (
            len(self.labels)
            + 2 * len(self.numbers)
            + len(self.flags)
            + self.text_buckets
            + sum(vector.length for vector in self.vectors)
        )

    def matrix(self, items: Entities, first: int = 0) -> Floats:
        """float32[N - first, F]: the items from position ``first`` on."""
        frame = items.frame[first:]
        part = Entities(frame, items.roles)
        there = set(items.roles)
        blocks = [
            self._label_block(part, there),
            *(self._number_block(part, number, there) for number in self.numbers),
            *(self._flag_block(part, flag, there) for flag in self.flags),
            self._text_block(part, [t for t in self.texts if t in there]),
            *(self._vector_block(part, vector, there) for vector in self.vectors),
        ]
        return np.concatenate([np.zeros((len(frame), 0), np.float32), *blocks], axis=1, dtype=np.float32)

    def _label_block(self, items: Entities, there: set[str]) -> Floats:
        block = np.zeros((len(items), len(self.labels)), np.float32)
        at = {key: n for n, key in enumerate(self.labels)}
        for column in sorted({column for column, _ in self.labels} & there):
            for row, labels in enumerate(_labels(items, column)):
                block[row, [at[column, label] for label in labels if (column, label) in at]] = 1
        return np.asarray(block / np.sqrt(np.maximum(block.sum(axis=1, keepdims=True), 1)), np.float32)

    @staticmethod
    def _number_block(items: Entities, number: _Number, there: set[str]) -> Floats:
        values = _numbers(items, number.column) if number.column in there else np.full(len(items), np.nan)
        missing = ~np.isfinite(values)
        scaled = np.clip((np.where(missing, number.mean, values) - number.mean) / number.deviation, -3, 3)
        return np.stack([scaled, missing], axis=1).astype(np.float32)

    @staticmethod
    def _flag_block(items: Entities, flag: str, there: set[str]) -> Floats:
        values = items.frame[flag].to_list() if flag in there else [False] * len(items)
        return np.asarray([[value is True] for value in values], np.float32).reshape(-1, 1)

    def _text_block(self, items: Entities, texts: Sequence[str]) -> Floats:
        block = np.zeros((len(items), self.text_buckets), np.float32)
        for row, words in enumerate(_words(items, texts) if self.text_buckets else ()):
            for word, count in Counter(words).items():
                bucket, sign = _bucket(word, self.text_buckets)
                block[row, bucket] += sign * (1 + np.log(count)) * self.rarity[bucket]
        return _unit(block)

    @staticmethod
    def _vector_block(items: Entities, vector: _Vector, there: set[str]) -> Floats:
        block = np.zeros((len(items), vector.length), np.float32)
        if vector.column in there:
            for row, values in enumerate(items.frame[vector.column].to_list()):
                if values is not None and len(values) == vector.length:
                    block[row] = values
        return _unit(np.nan_to_num(block, posinf=0, neginf=0))

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON."""
        path.write_text(json.dumps(asdict(self), ensure_ascii=False))

    @classmethod
    def load(cls, path: Path) -> ItemFeatures:
        """Read what :meth:`save` wrote."""
        read = json.loads(path.read_text())
        return cls(
            labels=[(str(column), str(label)) for column, label in read["labels"]],
            numbers=[_Number(**number) for number in read["numbers"]],
            flags=read["flags"],
            texts=read["texts"],
            text_buckets=read["text_buckets"],
            rarity=read["rarity"],
            vectors=[_Vector(**vector) for vector in read["vectors"]],
        )


def _labels(items: Entities, column: str) -> Iterable[list[str]]:
    for value in items.frame[column].to_list():
        if isinstance(value, list):
            yield [str(label) for label in value if label is not None]
        else:
            yield [] if value is None else [str(value)]


def _numbers(items: Entities, column: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray([np.nan if value is None else float(value) for value in items.frame[column].to_list()])


def _length(items: Entities, column: str) -> int:
    """The commonest length of a column's vectors, 0 where there is none."""
    lengths = Counter(len(value) for value in items.frame[column].to_list() if value is not None)
    return lengths.most_common(1)[0][0] if lengths else 0


def _words(items: Entities, texts: Sequence[str]) -> Iterable[list[str]]:
    columns = [items.frame[text].to_list() for text in texts]
    for row in range(len(items)):
        yield [word for column in columns for word in _WORD.findall(str(column[row] or "").lower())]


def _bucket(word: str, buckets: int) -> tuple[int, float]:
    """The bucket and the sign of a word, the same on every machine."""
    code = zlib.crc32(word.encode())
    return code // 2 % buckets, 1.0 if code % 2 else -1.0


def _unit(block: Floats) -> Floats:
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    return (block / np.where(lengths > 0, lengths, 1)).astype(np.float32)
