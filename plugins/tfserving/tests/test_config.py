"""What the settings mean, and which mistakes are refused."""

import pytest
from cuvee.config import load_settings
from cuvee.registry import Registry
from cuvee_tfserving import TfServingConfig
from pydantic import ValidationError

CUVEE = """
[recommenders.deep]
plugin = "tfserving"
{settings}
"""


def configured(folder, settings=""):
    """The instance of a ``cuvee.toml`` with one product."""
    (folder / "products").mkdir(parents=True, exist_ok=True)
    (folder / "products/toy.toml").write_text('sources = [{ use = "deep" }]')
    (folder / "cuvee.toml").write_text(CUVEE.format(settings=settings))
    return load_settings(folder / "cuvee.toml", Registry.load()).recommenders["deep"]


def test_models_lie_beside_the_configuration_and_outlive_a_move_of_the_server(tmp_path):
    one = configured(tmp_path / "one")
    assert one.config.model_root == tmp_path / "one" / "models"
    served_elsewhere = 'address = "models:8500"\nversion_label = "stable"\ndeadline = 2.0\nmodel_root = "/srv/models"'
    assert configured(tmp_path / "two", served_elsewhere).digest == one.digest
    assert configured(tmp_path / "two", 'version = 3\npublish_wait = 5.0\ncheckpoints = "var"').digest == one.digest
    assert configured(tmp_path / "two", "training = { epochs = 41 }").digest != one.digest
    assert configured(tmp_path / "two", "train = false").digest != one.digest


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": ""},
        {"model": "a/b"},
        {"version": 0},
        {"version": 3, "version_label": "stable"},
        {"deadline": 0},
        {"training": {"architecture": "oracle"}},
        {"modle": "deep"},
    ],
    ids=str,
)
def test_mistakes_in_the_config(wrong):
    with pytest.raises(ValidationError):
        TfServingConfig.model_validate(wrong)
