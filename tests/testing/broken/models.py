"""Recommenders that break what is promised of a config and of a model's life."""

from __future__ import annotations

import itertools
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
from cuvee import RecommenderConfig, Serves
from pydantic import BaseModel, ConfigDict, field_validator

from ..reference import Settings, Together
from .mutants import breaks

# The config


@breaks("config_has_defaults", shrink=1.0)
class NeedsASetting(Together):
    class Config(RecommenderConfig):
        shrink: float


@breaks("config_survives_a_round_trip", shrink=8.0)
class HalvesItsSetting(Together):
    class Config(Settings):
        @field_validator("shrink")
        @classmethod
        def halved(cls, value: float) -> float:
            return value / 2


@breaks("config_survives_a_round_trip")
class HasAConfigOfItsOwn(Together):
    class Config(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")
        shrink: float = 1.0


@breaks("config_refuses_unknown_keys")
class TakesAnyKey(Together):
    class Config(Settings):
        model_config = ConfigDict(extra="ignore")


@breaks("config_is_frozen")
class ThawedConfig(Together):
    class Config(Settings):
        model_config = ConfigDict(frozen=False)


# The life of a model


@breaks("fit_is_deterministic")
class FitsAtRandom(Together):
    counter = itertools.count()

    @classmethod
    def fit(cls, data, config, progress):
        fitted = super().fit(data, config, progress)
        noise = np.random.default_rng(next(cls.counter)).normal(0, 1e-3, fitted.pairs.shape)
        return cls((fitted.pairs + noise).astype(np.float32))


@breaks("loaded_answers_like_fitted")
class SavesHalfPrecision(Together):
    def save(self, directory):
        np.save(directory / "pairs.npy", self.pairs.astype(np.float16).astype(np.float32))


@breaks("loaded_answers_like_fitted", "serves_what_it_claims")
class ForgetsWhatItServes(Together):
    @classmethod
    def load(cls, directory, config, catalog):
        loaded = super().load(directory, config, catalog)
        loaded.serves = Serves.SESSION | Serves.KNOWN_USER
        return loaded


@breaks("loads_after_the_catalogue_grew")
class ScalesByTheCatalogue(Together):
    @classmethod
    def load(cls, directory, config, catalog):
        loaded = super().load(directory, config, catalog)
        return cls(loaded.pairs * np.float32(120 / len(catalog.items)))


@breaks("loaded_answers_like_fitted", and_more=True)
class RemembersAPath(Together):
    def save(self, directory):
        np.save(directory / "pairs.npy", self.pairs)
        (directory / "where.json").write_text(json.dumps(str(directory)))

    @classmethod
    def load(cls, directory, config, catalog):
        return super().load(Path(json.loads((directory / "where.json").read_text())), config, catalog)


@breaks("loads_after_the_catalogue_grew", and_more=True)
class WantsTheSameCatalogue(Together):
    @classmethod
    def load(cls, directory, config, catalog):
        loaded = super().load(directory, config, catalog)
        if len(loaded.pairs) != len(catalog.items):
            raise ValueError("another catalogue")
        return loaded


class Pickles(Together):
    def write(self, directory):
        raise NotImplementedError

    def save(self, directory):
        super().save(directory)
        self.write(directory)


@breaks("saves_no_pickle")
class PicklesUnderAnotherName(Pickles):
    def write(self, directory):
        (directory / "model.bin").write_bytes(pickle.dumps({"pairs": self.pairs}))


@breaks("saves_no_pickle")
class SavesObjects(Pickles):
    def write(self, directory):
        np.save(directory / "names.npy", np.asarray([{}, ()], dtype=object), allow_pickle=True)


@breaks("saves_no_pickle")
class PicklesInAZip(Pickles):
    def write(self, directory):
        with zipfile.ZipFile(directory / "model.zip", "w") as archive:
            archive.writestr("model/data.bin", pickle.dumps([1]))
