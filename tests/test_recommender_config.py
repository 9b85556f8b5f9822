"""What a recommender's settings promise: which of them ask for a new fit, and where paths start."""

from pathlib import Path
from typing import ClassVar

import pytest
from cuvee.config import Instance
from cuvee.recommender import ConfigPath, RecommenderConfig


class Served(RecommenderConfig):
    serving_only: ClassVar[frozenset[str]] = frozenset({"address", "files"})

    address: str = "here:1"
    files: ConfigPath = Path("files")
    depth: int = 2


def digest(**settings: object) -> str:
    return Instance(name="one", plugin="served", config=Served.model_validate(settings)).digest


@pytest.mark.parametrize("changed", [{"address": "there:2"}, {"files": "/elsewhere"}], ids=str)
def test_a_model_outlives_a_change_that_only_concerns_serving(changed: dict[str, str]) -> None:
    assert digest(**changed) == digest()


def test_any_other_change_asks_for_a_new_fit() -> None:
    assert digest(depth=3) != digest()
    other = Instance(name="one", plugin="another", config=Served())
    assert other.digest != digest()


def test_serving_only_names_are_not_settings() -> None:
    assert set(Served().model_dump()) == {"address", "files", "depth"}
    assert all(name in Served.model_fields for name in Served.serving_only)


def test_relative_paths_start_at_the_folder_of_the_file() -> None:
    validate = Served.model_validate
    root = {"root": Path("/srv/shop")}
    assert validate({}, context=root).files == Path("/srv/shop/files")
    assert validate({"files": "models"}, context=root).files == Path("/srv/shop/models")
    assert validate({"files": "/models"}, context=root).files == Path("/models")
    assert validate({"files": "models"}).files == Path("models")
