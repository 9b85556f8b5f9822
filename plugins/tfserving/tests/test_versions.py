"""User and item vectors are always one version's, and new items get theirs by its tower."""

import shutil

import numpy as np
import pytest
from cuvee.recommender import DegradedReason, Serves, SourceFailure
from cuvee.testing import two_tribes
from cuvee_tfserving.fitting.artefact import Artefact, beside
from cuvee_tfserving.training.features import ItemFeatures

N, FEW = 30, 20


async def test_it_follows_a_swap_with_the_vectors_of_the_version_that_answers(
    recommender, made, publish, shared, ask, every, expected
):
    running, root = shared
    model = recommender("swap")
    queries = ask([1, 2])
    np.testing.assert_allclose(await model.score(queries, every(queries)), expected("one", [1, 2]), atol=1e-5)
    publish(made["two"], root, 2, "swap")
    running.wait_for("version available", model="swap", version=2)
    # a request that began before the swap ends with the version that it began with
    np.testing.assert_allclose(await model.score(queries, every(queries)), expected("one", [1, 2]), atol=1e-5)
    later = ask([1, 2])
    proposed = await model.candidates(later, 3)
    right = expected("two", [1, 2])
    np.testing.assert_array_equal(proposed.items, np.argsort(-right, axis=1)[:, :3])
    np.testing.assert_allclose(await model.score(later, every(later)), right, atol=1e-5)
    assert model.model_version == "2"
    # pinned, it stays
    pinned = recommender("swap", version=2, fitted=Artefact.read(beside(root, "swap", 1), 1, N))
    assert pinned._asked.version == 2
    stays = recommender("swap", fitted=Artefact.read(beside(root, "swap", 1), 1, N), version="fitted")
    await stays.candidates(ask([1]), 3)
    assert stays.model_version == "1"


async def test_without_the_vectors_of_the_version_that_answers_it_says_so(recommender, made, publish, shared, ask):
    running, root = shared
    fitted = Artefact.read(beside(root, "swap", 1), 1, N)
    publish(made["two"], root, 3, "swap")
    running.wait_for("version available", model="swap", version=3)
    vectors = root / "swap" / "3" / "assets.extra" / "item_vectors.npy"
    aside = vectors.rename(vectors.with_suffix(".aside"))
    model = recommender("swap", fitted=fitted)
    with pytest.raises(SourceFailure, match="version 3, whose item vectors are not at hand") as failed:
        await model.candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.ERROR
    aside.rename(vectors)
    assert (await model.candidates(ask([1]), 3)).items[0, 0] >= 0


@pytest.mark.parametrize(("more", "fewer"), [("one", "few"), ("scoring", "few_scoring")])
async def test_a_server_that_goes_back_to_a_model_of_fewer_items(
    more, fewer, recommender, made, publish, serving, tmp_path, ask, every, expected
):
    """One typed failure; then histories are cut to what the older model knows."""
    publish(made[fewer], tmp_path, 1)
    publish(made[more], tmp_path, 2)
    running = serving("--model_base_path", tmp_path / "deep")
    running.wait_for("version available", version=2)
    model = recommender("deep", 2, address=running.address, model_root=tmp_path)
    newer = FEW + 1, 1
    queries = ask(newer)
    np.testing.assert_allclose(await model.score(queries, every(queries)), expected("one", newer), atol=1e-5)
    shutil.rmtree(tmp_path / "deep" / "2")
    running.wait_for("version unloaded", version=2)
    with pytest.raises(SourceFailure, match="other inputs") as failed:
        await model.candidates(ask(newer), 3)
    assert failed.value.degraded is DegradedReason.ERROR
    queries = ask(newer)
    scores = await model.score(queries, every(queries))
    np.testing.assert_allclose(scores[:, :FEW], expected("few", [1]), atol=1e-5)
    assert np.isnan(scores[:, FEW:]).all()
    assert model.model_version == "1"


async def test_new_items_have_vectors_by_the_item_tower(made, recommender, ask, every):
    grown = two_tribes().grown.items
    vectors = np.load(made["toy"] / "assets.extra" / "item_vectors.npy")
    features = ItemFeatures.load(made["toy"] / "assets.extra" / "item_features.json")
    tower = np.load(made["toy"].with_name("tower.npy"))
    n = len(vectors)
    model = recommender("toy", items=grown)
    assert model.serves == Serves.SESSION | Serves.COLD_ITEM
    queries = ask([1, 2])
    scores = await model.score(queries, every(queries, len(grown)))
    whole = np.concatenate([vectors, features.matrix(grown, n) @ tower])
    np.testing.assert_allclose(scores[0], whole @ vectors[[1, 2]].mean(axis=0), atol=1e-5)
    # where the tower cannot be asked, what is known stays of use
    without = recommender("toy", items=grown, item_signature="no_such")
    scores = await without.score(queries, every(queries, len(grown)))
    assert np.isfinite(scores[0, :n]).all()
    assert np.isnan(scores[0, n:]).all()
