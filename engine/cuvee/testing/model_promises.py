"""The part of the conformance suite that is about a config, and about a model from fit to load."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import ValidationError

from cuvee.recommender import RecommenderConfig
from cuvee.testing.disk import find_pickles
from cuvee.testing.promises import alike, promise
from cuvee.testing.trial import Trial, questions

__all__ = ["ModelPromises"]


class ModelPromises:
    """Checks of :class:`cuvee.testing.RecommenderContract`."""

    rounding: ClassVar[float]

    # The config

    def test_config_survives_a_round_trip(self, trial: Trial) -> None:
        """A dumped config validates to an equal config, through Python values and through JSON."""
        config, kind = trial.config, trial.recommender.Config
        promise(issubclass(kind, RecommenderConfig), "Config must be a subclass of cuvee.RecommenderConfig")
        promise(kind.model_validate(config.model_dump()) == config, "Config must equal itself after model_dump")
        promise(
            kind.model_validate_json(config.model_dump_json()) == config,
            "Config must equal itself after model_dump_json: artefacts keep it as JSON",
        )

    def test_config_has_defaults(self, trial: Trial) -> None:
        """Every field of the config has a default."""
        needed = [name for name, field in trial.recommender.Config.model_fields.items() if field.is_required()]
        promise(not needed, f"every field of Config must have a default; none has: {', '.join(needed)}")

    def test_config_refuses_unknown_keys(self, trial: Trial) -> None:
        """A key that the config does not know is refused, so that a misspelt one is not lost."""
        try:
            trial.recommender.Config.model_validate({**trial.config.model_dump(), "no_such_setting": 1})
        except ValidationError:
            return
        promise(False, 'Config must refuse unknown keys: keep model_config\'s extra="forbid"')

    def test_config_is_frozen(self, trial: Trial) -> None:
        """A config cannot be changed once it was validated."""
        frozen = trial.recommender.Config.model_config.get("frozen")
        promise(frozen is True, "Config must be frozen: keep model_config's frozen=True")

    # The life of a model

    def test_fit_is_deterministic(self, trial: Trial) -> None:
        """Two fits on equal data with equal config give bit-identical scores."""
        queries = questions(trial.toy).queries
        items = trial.items(len(queries))
        one, two = (trial.score(instance, queries, items) for instance in (trial.fitted, trial.fit()))
        promise(
            np.array_equal(one, two, equal_nan=True),
            "two fits on equal data and config must score equally, to the bit: seed whatever is random",
        )

    def test_loaded_answers_like_fitted(self, trial: Trial) -> None:
        """Fit, save, load gives bit-identical scores and candidates."""
        queries = questions(trial.toy).queries
        items = trial.items(len(queries))
        fitted, loaded = trial.fitted, trial.loaded
        promise(fitted.serves == loaded.serves, f"serves was {fitted.serves} after fit, is {loaded.serves} after load")
        one, two = (trial.score(instance, queries, items) for instance in (fitted, loaded))
        promise(np.array_equal(one, two, equal_nan=True), "scores after load must equal those after fit, to the bit")
        was, now = (trial.candidates(instance, queries, 10) for instance in (fitted, loaded))
        promise(
            np.array_equal(was.items, now.items) and np.array_equal(was.scores, now.scores, equal_nan=True),
            "candidates after load must equal those after fit, to the bit",
        )

    def test_loads_after_the_catalogue_grew(self, trial: Trial) -> None:
        """A model loads with a catalogue that has grown at its end, and its scores of old items are unchanged."""
        queries = questions(trial.toy).queries
        items = trial.items(len(queries))
        before, after = (trial.score(instance, queries, items) for instance in (trial.loaded, trial.grown))
        promise(
            alike(before, after, self.rounding),
            "scores of old items for old users must stay what they were when the catalogue grows at its end",
        )
        trial.candidates(trial.grown, queries, 10)

    def test_saves_no_pickle(self, trial: Trial) -> None:
        """No saved file is a pickle, since loading a pickle can run any code."""
        found = find_pickles(trial.saved)
        promise(not found, "save must write safetensors, npy or json, never pickles:\n" + "\n".join(found))
