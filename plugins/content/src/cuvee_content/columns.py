"""Columns of items as features: words, labels, numbers and ready-made vectors.

Each kind learns its features from a column once (``learn``), and encodes values later (``encode``)
into one row per value: unit length or zero, sparse csr or dense. What it learnt is plain values
(``to_json``) and arrays (``arrays``). A value that is missing, of the wrong kind or unknown is a
zero row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from cuvee_content.config import ContentConfig
from cuvee_content.sentences import Sentences
from cuvee_content.vectors import unit_rows

__all__ = ["KINDS", "Column", "Labels", "Numbers", "ReadyVectors", "Words"]

Floats: TypeAlias = npt.NDArray[np.float32]
Rows: TypeAlias = Any
"""csr_array or float32 array, float32[n, width]; scipy's types tell nothing here."""

KNOTS = 8
"""Points of a number's scale, at its quantiles."""


def _labels_of(value: object) -> list[str]:
    """A label or several, as strings."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [str(v) for v in value if v is not None]
    return [str(value)]


@dataclass(frozen=True)
class Labels:
    """Categories: multi-hot, each label by its inverse document frequency (Spärck Jones 1972)."""

    kind: ClassVar[str] = "labels"
    stored: ClassVar[Mapping[str, str]] = {"idf": "float32[n] finite"}
    labels: tuple[str, ...]
    idf: Floats
    dense: ClassVar[bool] = False

    @classmethod
    def learn(cls, values: Sequence[object], config: ContentConfig) -> Self:
        """The most frequent labels, by name."""
        counts = Counter(label for value in values for label in set(_labels_of(value)))
        kept = sorted(sorted(counts, key=lambda label: (-counts[label], label))[: config.max_features])
        df = np.asarray([counts[label] for label in kept], np.float64)
        return cls(tuple(kept), (np.log((1 + len(values)) / (1 + df)) + 1).astype(np.float32))

    @property
    def width(self) -> int:
        """Features."""
        return len(self.labels)

    @cached_property
    def _at(self) -> Mapping[str, int]:
        return {label: at for at, label in enumerate(self.labels)}

    def encode(self, values: Sequence[object]) -> Rows:
        """One row per value: a label or a sequence of them."""
        rows = [sorted({self._at[label] for label in _labels_of(value) if label in self._at}) for value in values]
        indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
        indices = np.asarray([at for row in rows for at in row], np.int32)
        return unit_rows(sparse.csr_array((self.idf[indices], indices, indptr), shape=(len(rows), self.width)))

    def liked(self, values: Sequence[str]) -> Rows:
        """One row for liked values."""
        return self.encode([list(values)])

    def word(self, feature: int) -> str:
        """A feature in words."""
        return self.labels[feature]

    def to_json(self) -> dict[str, Any]:
        """As plain values, less the arrays."""
        return {"labels": list(self.labels)}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is kept as arrays, by name."""
        return {"idf": self.idf}

    @classmethod
    def of(cls, plain: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From what :meth:`to_json` and :meth:`arrays` gave."""
        return cls(tuple(plain["labels"]), arrays["idf"])


@dataclass(frozen=True)
class Words:
    """Text: TF-IDF with sublinear counts, optionally reduced by a truncated SVD (Deerwester 1990)."""

    kind: ClassVar[str] = "words"
    stored: ClassVar[Mapping[str, str]] = {"idf": "float[n] finite", "components": "float32[rows, d] finite"}
    terms: tuple[str, ...]
    idf: Floats
    settings: Mapping[str, Any]
    """How text is cut into terms."""
    components: Floats
    """float32[terms, dims]; dims = 0 keeps the terms themselves."""

    @classmethod
    def learn(cls, values: Sequence[object], config: ContentConfig) -> Self:
        """The most frequent terms, and the components by them."""
        settings = {"ngram_range": list(config.ngrams), "stop_words": config.stop_words}
        texts = _texts(values)
        try:
            vectorizer = _vectorizer(settings, min_df=config.min_df, max_features=config.max_features)
            counts = vectorizer.fit_transform(texts)
        except ValueError:  # scikit-learn raises this where no term occurs in enough texts
            return cls((), np.empty(0, np.float32), settings, np.empty((0, 0), np.float32))
        terms, idf = vectorizer.get_feature_names_out().tolist(), vectorizer.idf_.astype(np.float32)
        components = np.empty((len(terms), 0), np.float32)
        if 0 < config.dims < min(counts.shape):
            svd = TruncatedSVD(config.dims, random_state=0).fit(counts)
            components = np.ascontiguousarray(svd.components_.T, np.float32)
        return cls(tuple(terms), idf, settings, components)

    @property
    def dense(self) -> bool:
        """Whether rows are dense."""
        return bool(self.components.shape[1] > 0)

    @property
    def width(self) -> int:
        """Features."""
        return self.components.shape[1] or len(self.terms)

    @cached_property
    def _encoder(self) -> Any:
        encoder = _vectorizer(self.settings, vocabulary={term: at for at, term in enumerate(self.terms)})
        encoder.idf_ = self.idf
        return encoder

    def encode(self, values: Sequence[object]) -> Rows:
        """One row per text."""
        if not self.terms or not len(values):
            return np.zeros((len(values), self.width), np.float32) if self.dense else _no_rows(len(values), self.width)
        counts = sparse.csr_array(self._encoder.transform(_texts(values)))
        if self.dense:
            return unit_rows(np.asarray(counts @ self.components, np.float32))
        counts.sort_indices()
        return counts

    def liked(self, values: Sequence[str]) -> Rows:
        """One row for liked words."""
        return self.encode([" ".join(values)])

    def word(self, feature: int) -> str:
        """A feature in words."""
        return self.terms[feature]

    def to_json(self) -> dict[str, Any]:
        """As plain values, less the arrays."""
        return {"terms": list(self.terms), "settings": dict(self.settings)}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is kept as arrays, by name."""
        return {"idf": self.idf, "components": self.components}

    @classmethod
    def of(cls, plain: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From what :meth:`to_json` and :meth:`arrays` gave."""
        return cls(tuple(plain["terms"]), arrays["idf"], plain["settings"], arrays["components"])


def _texts(values: Sequence[object]) -> list[str]:
    return ["" if value is None else str(value) for value in values]


def _no_rows(n: int, width: int) -> Rows:
    return sparse.csr_array((n, width), dtype=np.float32)


def _vectorizer(settings: Mapping[str, Any], **more: Any) -> Any:
    return TfidfVectorizer(
        ngram_range=tuple(settings["ngram_range"]),
        stop_words=settings["stop_words"],
        strip_accents="unicode",
        sublinear_tf=True,
        dtype=np.float32,
        **more,
    )


@dataclass(frozen=True)
class Numbers:
    """A quantity, encoded by its nearness to each of a few points of its scale (linear hat functions).

    So close numbers have a high cosine and distant ones 0, whatever their unit or spread.
    """

    kind: ClassVar[str] = "numbers"
    stored: ClassVar[Mapping[str, str]] = {"knots": "float64[n] finite"}
    knots: npt.NDArray[np.float64]
    """float64[width], rising."""
    dense: ClassVar[bool] = False

    @classmethod
    def learn(cls, values: Sequence[object], config: ContentConfig) -> Self:
        """Points at the quantiles of the finite values."""
        del config
        found = _numbers(values)
        found = found[np.isfinite(found)]
        knots = np.unique(np.quantile(found, np.linspace(0, 1, KNOTS))) if len(found) else np.empty(0)
        return cls(knots if len(knots) > 1 else np.empty(0))  # a single point cannot distinguish items

    @property
    def width(self) -> int:
        """Features."""
        return len(self.knots)

    def encode(self, values: Sequence[object]) -> Rows:
        """One row per number; numbers beyond the scale are clipped to its ends."""
        numbers = _numbers(values)
        known = np.flatnonzero(np.isfinite(numbers)) if self.width else np.empty(0, np.int64)
        if not len(known):
            return _no_rows(len(values), self.width)
        place = np.interp(numbers[known], self.knots, np.arange(self.width))
        low = np.minimum(place.astype(np.int64), self.width - 2)
        share = place - low
        rows = sparse.coo_array(
            (np.concatenate([1 - share, share]), (np.tile(known, 2), np.concatenate([low, low + 1]))),
            shape=(len(values), self.width),
        ).tocsr()
        rows.eliminate_zeros()
        return unit_rows(rows)

    def liked(self, values: Sequence[str]) -> Rows:
        """One row for liked numbers: the mean of their rows."""
        return unit_rows(sparse.csr_array(self.encode(values).sum(axis=0)[None]))

    def word(self, feature: int) -> str:
        """A feature in words."""
        return f"around {self.knots[feature]:.6g}"

    def to_json(self) -> dict[str, Any]:
        """As plain values, less the arrays."""
        return {}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What is kept as arrays, by name."""
        return {"knots": self.knots}

    @classmethod
    def of(cls, plain: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From what :meth:`to_json` and :meth:`arrays` gave."""
        del plain
        return cls(arrays["knots"])


def _numbers(values: Sequence[object]) -> npt.NDArray[np.float64]:
    """float64[n]; NaN where a value is no number."""
    numbers = np.full(len(values), np.nan)
    for at, value in enumerate(values):
        try:
            numbers[at] = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
    return numbers


@dataclass(frozen=True)
class ReadyVectors:
    """Embeddings that came with the items, of any modality, as they are."""

    kind: ClassVar[str] = "vectors"
    stored: ClassVar[Mapping[str, str]] = {}
    width: int = field(default=0)
    dense: ClassVar[bool] = True

    @classmethod
    def learn(cls, values: Sequence[object] | npt.NDArray[Any], config: ContentConfig) -> Self:
        """Their length, which is the first one's."""
        del config
        if isinstance(values, np.ndarray):
            return cls(values.shape[1])
        return cls(next((len(v) for v in values if isinstance(v, list | tuple)), 0))

    def encode(self, values: Sequence[object] | npt.NDArray[Any]) -> Rows:
        """One row per vector, float[n, width] or a sequence; zeros for one of another length or not finite."""
        rows = np.zeros((len(values), self.width), np.float32)
        if isinstance(values, np.ndarray) and values.shape[1] == self.width:
            rows[:] = values
        else:
            for at, value in enumerate(values):
                if isinstance(value, list | tuple) and len(value) == self.width and None not in value:
                    rows[at] = value
        rows[~np.isfinite(rows).all(axis=1)] = 0
        return unit_rows(rows)

    def liked(self, values: Sequence[str]) -> Rows:
        """Zeros: vectors cannot be declared."""
        del values
        return np.zeros((1, self.width), np.float32)

    def word(self, feature: int) -> str:
        """A feature has no words."""
        return f"dimension {feature}"

    def to_json(self) -> dict[str, Any]:
        """As plain values, less the arrays."""
        return {"width": self.width}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Nothing is kept as arrays."""
        return {}

    @classmethod
    def of(cls, plain: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From what :meth:`to_json` and :meth:`arrays` gave."""
        del arrays
        return cls(plain["width"])


Column: TypeAlias = Labels | Words | Sentences | Numbers | ReadyVectors
KINDS: Mapping[str, type[Column]] = {c.kind: c for c in (Labels, Words, Sentences, Numbers, ReadyVectors)}
