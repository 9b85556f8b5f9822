"""The settings of ``popular``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from cuvee.recommender import RecommenderConfig
from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator

__all__ = ["PopularConfig"]

_EDGES: Mapping[str, tuple[float, ...]] = {"age": (18.0, 25.0, 35.0, 45.0, 55.0)}
"""The usual age bands of surveys."""
_WORDS: Mapping[str, str] = {"age": "aged {}"}


class PopularConfig(RecommenderConfig):
    """How popularity is computed."""

    count: Literal["people", "events"] = "people"
    """What is counted. ``people``: a user's events with an item on one day are one vote of 1 at most, and those of the
    n-th day count 1 / n^2, so that nobody makes an item popular alone. ``events``: every event by its weight."""
    half_life: PositiveFloat | None = 180.0
    """Days after which an event counts half; None (in TOML the word ``"none"``) counts all alike.
    The present is the dataset's last event, so that an old dataset works like a new one."""
    trending: NonNegativeFloat = 0.0
    """Weight of the trend: the last ``window`` days against the whole time. 0 leaves it out."""
    window: PositiveFloat = 7.0
    """Days that count as recent for the trend."""
    smoothing: PositiveFloat = 20.0
    """Expected number of events at which a lift, of the trend or of a segment, is shrunk to half."""
    segments: tuple[str, ...] | None = None
    """Columns of the users to count by; None is every category and number, () is none."""
    segment_weight: NonNegativeFloat = 0.5
    """Weight of the lifts of a user's segments. Below 1, since columns are correlated (many young people
    are students)."""
    bins: dict[str, Annotated[tuple[float, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Inner edges of number columns, by name: ``{"age": (18, 25, 35, 45, 55)}`` is built in.
    A column without edges is split into fifths of its users."""
    words: dict[str, str] = Field(default_factory=dict)
    """The phrase for a segment after "popular with", by column, ``{}`` being its value: with
    ``occupation = "{}s"`` it is "popular with artists aged 25-34", without "users aged 25-34 of
    occupation artist"."""

    @field_validator("half_life", mode="before")
    @classmethod
    def _spelt_none(cls, value: Any) -> Any:
        """TOML has no null."""
        return None if isinstance(value, str) and value.lower() == "none" else value

    @field_validator("bins")
    @classmethod
    def _rising(cls, bins: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for name, edges in bins.items():
            if any(low >= high for low, high in pairwise(edges)):
                raise ValueError(f"the edges of {name} must rise")
        return bins

    @property
    def edges(self) -> Mapping[str, tuple[float, ...]]:
        """The edges given, over those built in."""
        return {**_EDGES, **self.bins}

    def describe(self, segments: Sequence[tuple[str, str]]) -> str:
        """A phrase for users with these (column, value): "artists aged 25-34 of gender F".

        Phrases that begin with their value are nouns and come first.
        """
        words = {**_WORDS, **self.words}
        phrases = [(words[column], value) for column, value in segments if column in words]
        nouns = [phrase.replace("{}", value) for phrase, value in phrases if phrase.startswith("{}")]
        others = [phrase.replace("{}", value) for phrase, value in phrases if not phrase.startswith("{}")]
        plain = ", ".join(f"{column} {value}" for column, value in segments if column not in words)
        return " ".join([*(nouns or ["users"]), *others, *(["of", plain] if plain else [])])

    @property
    def needs_times(self) -> str | None:
        """Days after which an event counts half, and trends, unless both are off."""
        used = [f"half_life = {self.half_life:g} days"] if self.half_life is not None else []
        return ", ".join([*used, *(["trending"] if self.trending else [])]) or None
