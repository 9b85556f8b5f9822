"""A fit checks that what it published is served, and can be asked as it is configured."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from cuvee.testing import two_tribes
from cuvee_tfserving import TfServing
from cuvee_tfserving.fitting.trial import check_signatures


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("one", {}, None),
        ("toy", {}, None),
        ("scoring", {}, None),
        ("one", {"max_history": 9}, "set max_history = 8"),
        ("one", {"user_signature": "no_such"}, "Set user_signature, or export"),
        ("toy", {"item_signature": "score"}, "Set item_signature, or export"),
        ("scoring", {"score_signature": "no_such"}, r"it has: score: \['history', 'items'\] to \['scores'\]"),
        ("name", {}, "'user_vector' from .* to 'vector'"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else None,
)
def test_a_fit_checks_what_the_model_can_be_asked(recommender, shared, model, settings, said):
    fitted = recommender(model, **settings)
    outcome = pytest.raises(RuntimeError, match=said) if said else nullcontext()
    with outcome:
        check_signatures(shared[0].address, fitted._config, fitted._fitted)


def test_a_fit_says_that_a_model_is_not_there(recommender, shared):
    fitted = recommender("one")._fitted
    absent = recommender("no_such_model", fitted=fitted)
    with pytest.raises(RuntimeError, match="signatures of version 1 of 'no_such_model': NOT_FOUND"):
        check_signatures(shared[0].address, absent._config, fitted)


def test_a_fit_says_what_is_wrong_with_what_it_published(recommender, shared, caplog, monkeypatch, tmp_path):
    """The configured server watches another folder, so the fit tries its own, which cannot serve the model either."""
    (tmp_path / "one" / "5").mkdir(parents=True)
    stopped = []
    own = SimpleNamespace(address=shared[0].address, stop=lambda: stopped.append(True))
    monkeypatch.setattr("cuvee_tfserving.fitting.trial.start", lambda arguments: own)
    config = recommender("one", model_root=tmp_path, publish_wait=0.5, train=False)._config
    with pytest.raises(RuntimeError, match=r"one/5 cannot be served: version 1: served"):
        TfServing.fit(two_tribes().data, config, lambda done, total, note="": None)
    assert "which was just published" in caplog.text
    assert stopped == [True]
