"""The learnt blender: a weighted sum of opinions that it has learnt to read.

A source's opinion on an item is read as ::

    value = calibrated + unknown [no opinion] + unproposed [not among its own candidates]
          + top * 10 / (10 + rank) + (calibrated - mean) * (popularity * p(item) + age * a(item))

with coefficients of its own, or as minus that where it counts ``against``. The score is the weighted
sum of the values, by the weights of the query's segments (how much history there is). So the
contributions of the sources add up to the score exactly; what is known of the item alone works
through the source whose opinion it qualifies, and through nothing else. With nothing learnt this is
:class:`~cuvee.ranking.blend.WeightedSum`.

A source that is not there says nothing, and the weights of the others are shared out anew. Where
only sources that count against are left, they count for the items after all. To count against is no
absurdity: a source of what anyone in the genre would like, taken off what a better one says, leaves
what this one knows of this person.

Learnt by the likelihood of the right items among the candidates (:mod:`cuvee.ranking.listwise`).
Gradient-boosted trees (LightGBM, LambdaRank) over the same features were tried beside it: DESIGN.md
says what they gave and what they cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field, ValidationError, ValidationInfo, model_validator

from cuvee.ranking.blend import BlenderOptions, Lesson, Opinions, WeightedOptions, WeightedSum, with_prior
from cuvee.ranking.listwise import learn_coefficients
from cuvee.recommender import Bools, Floats

__all__ = ["READINGS", "Learned", "LearnedOptions", "Reading", "Readings"]

NEAR_TOP = 10.0
"""The rank at which ``top`` counts half."""

Coefficient = Annotated[float, Field(allow_inf_nan=False)]


class Reading(BlenderOptions):
    """How one source's opinions are transformed: coefficients in units of its calibrated score."""

    against: bool = False
    """Whether a high score of this source lowers an item, given the scores of the others."""
    unknown: Coefficient = 0.0
    """Added where the source has no opinion, which counts as its mean opinion on the query."""
    unproposed: Coefficient = 0.0
    """Added where the source did not propose the item itself."""
    top: Coefficient = 0.0
    """Added at its rank 1 (nearly), half of it at rank 10."""
    popularity: Coefficient = 0.0
    """By how much more its opinion counts for an item that is a standard deviation more popular than average."""
    age: Coefficient = 0.0
    """By how much more its opinion counts for an item that is a standard deviation older than average."""


class Readings(BlenderOptions):
    """What is learnt: the file that ``model`` names."""

    calibrate: str
    """The calibrator whose scores were learnt from."""
    sources: Mapping[str, Reading]


class LearnedOptions(WeightedOptions):
    """``model``: the file that ``cuvee tune --method learned`` writes beside the product's."""

    model: str = ""
    learnt: Readings | None = None
    """Its content."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any, info: ValidationInfo) -> Any:
        """Read the file, beside the product's; refuse one that was learnt for something else."""
        context = info.context or {}
        if not isinstance(given, dict) or "root" not in context or given.get("learnt") is not None:
            return given
        if not isinstance(given.get("model"), str):
            raise ValueError(  # noqa: TRY004 - pydantic collects ValueError
                'needs model = "<file>.json", which `cuvee tune --method learned --apply` writes'
            )
        path = Path(context["root"]) / given["model"]
        again = "run `cuvee tune --method learned --apply`"
        try:
            learnt = Readings.model_validate_json(path.read_bytes())
        except OSError as problem:
            raise ValueError(f"model: {path} cannot be read ({problem.strerror}); {again}") from problem
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"model: {path} is not what was learnt ({where}: {first['msg']}); {again}") from problem
        if learnt.calibrate != context.get("calibrate", learnt.calibrate):
            raise ValueError(
                f"model: {path} was learnt from scores by {learnt.calibrate!r}, not {context['calibrate']!r}; {again}"
            )
        if missing := set(context.get("sources", ())) - learnt.sources.keys():
            raise ValueError(f"model: {path} was learnt without {', '.join(sorted(missing))}; {again}")
        return {**given, "learnt": learnt}


class _Heard:
    """Opinions, and values that several transformations use."""

    def __init__(self, opinions: Opinions) -> None:
        self.opinions = opinions
        self.known: Bools = ~np.isnan(opinions.calibrated) & opinions.present
        self.live: Bools = np.asarray(self.known.any(axis=2))
        self.values, self._mean = with_prior(opinions.calibrated, self.known)
        # nobody could have learnt an opinion on an item without events, so a missing one means nothing
        self._telling = ~(opinions.untouched & ~self.known)

    @cached_property
    def centred(self) -> Floats:
        """float32[p, B, M]: how far above its source's mean each opinion is, 0 where there is none."""
        return np.where(self.known, self.opinions.calibrated - self._mean, np.float32(0))

    def read(self, name: str) -> Floats:
        """What a coefficient multiplies: float32[p, B, M]."""
        ranks = self.opinions.ranks
        if name == "unknown":
            return np.asarray(np.isnan(self.opinions.calibrated) & self._telling, np.float32)
        if name == "unproposed":
            return np.asarray((ranks == 0) & self._telling, np.float32)
        if name == "top":
            worth = np.float32(NEAR_TOP) / (np.float32(NEAR_TOP) + ranks.astype(np.float32))
            return np.where(ranks > 0, worth, np.float32(0))
        return self.centred * (self.opinions.popularity if name == "popularity" else self.opinions.age)


READINGS: Final = ("unknown", "unproposed", "top", "popularity", "age")
"""The coefficients of a :class:`Reading`."""


class Learned(WeightedSum):
    """The weighted sum of the transformed opinions."""

    Options = LearnedOptions
    learns = True
    linear = True

    def contributions(self, opinions: Opinions) -> Floats:
        """Weight x value. A missing opinion is read as was learnt, whatever the policy.

        Of items without events it is the source's mean, lifted by ``optimism`` where the source does not count against.
        """
        heard = _Heard(opinions)
        against = self._of_each("against", opinions.sources) > 0
        hoped = self._hoped(opinions, heard)
        values = heard.values + np.where(against[:, None, None], np.float32(0), hoped)
        for name in READINGS:
            coefficients = self._of_each(name, opinions.sources)
            if coefficients.any():
                values += coefficients[:, None, None] * heard.read(name)
        signs = np.where(against[:, None] & (heard.live & ~against[:, None]).any(axis=0), np.float32(-1), np.float32(1))
        # a source that is not there contributes nothing
        values *= np.where(heard.live, signs * opinions.weights, np.float32(0))[:, :, None]
        blended: Floats = np.where(opinions.present, values, np.float32(0))
        return blended

    def _hoped(self, opinions: Opinions, heard: _Heard) -> Floats:
        """float32[p, B, M]: how far above its mean a source's missing opinion on an item without events counts."""
        if not self._optimism or not opinions.untouched.any():
            return np.zeros((1, 1, 1), np.float32)
        count = np.maximum(heard.known.sum(axis=2, keepdims=True), 1)
        deviation = np.sqrt((heard.centred.astype(np.float64) ** 2).sum(axis=2, keepdims=True) / count)
        return np.where(opinions.untouched & ~heard.known, self._optimism * deviation, 0).astype(np.float32)

    def _of_each(self, name: str, sources: Sequence[str]) -> Floats:
        """float32[p]: one entry of each source's reading, 0 for a source that was not learnt."""
        learnt = self.options.learnt if isinstance(self.options, LearnedOptions) else None
        of = learnt.sources if learnt else {}
        return np.array([getattr(of[s], name) if s in of else 0.0 for s in sources], np.float32)

    @property
    def reads_items(self) -> bool:
        """The learnt coefficients use them."""
        return True

    @classmethod
    def learn(cls, lessons: Sequence[Lesson], calibrate: str) -> dict[str, Any]:
        """The options, with what was learnt of the sources' opinions."""
        if not lessons:
            return {"learnt": Readings(calibrate=calibrate, sources={}).model_dump(mode="json")}
        sources = lessons[0].opinions.sources

        def features(lesson: Lesson) -> Floats:
            heard = _Heard(lesson.opinions)
            there = heard.live[:, :, None] & lesson.opinions.present
            read = [heard.values, *(heard.read(name) for name in READINGS)]
            return np.stack([np.where(there, one, np.float32(0)) for one in read], axis=1)

        against, found = learn_coefficients(lessons, features)
        readings = {}
        for at, source in enumerate(sources):
            coefficients = dict(zip(READINGS, np.round(found[at], 4).tolist(), strict=True))
            readings[source] = Reading(against=bool(against[at]), **coefficients)
        return {"learnt": Readings(calibrate=calibrate, sources=readings).model_dump(mode="json")}
