"""Which versions are served: policies, labels, broken versions, the last good one. No TensorFlow."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from cuvee_tfserving.model_server.configuration import Model, Policy, models_of, read_models
from cuvee_tfserving.model_server.library import Library
from cuvee_tfserving.model_server.refusals import Refused
from cuvee_tfserving.protos import ModelServerConfig, ModelSpec, ModelVersionStatus

GOOD, BAD = "good", "bad"


def load(path, name, version):
    if (path / "saved_model.pb").read_text() != GOOD:
        raise ValueError("not a SavedModel")
    return SimpleNamespace(name=name, version=version)


def put(base, version, content=GOOD):
    folder = base / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_text(content)


def library(*models):
    made = Library(models, load)
    made.refresh()
    return made


def spec(name="m", **more):
    found = ModelSpec(name=name)
    if "version" in more:
        found.version.value = more["version"]
    if "label" in more:
        found.version_label = more["label"]
    return found


def served(made, name="m"):
    states = made.states(spec(name))
    return [v for v, s in states.items() if s.state == ModelVersionStatus.AVAILABLE]


def code(call, *args):
    with pytest.raises(Refused) as refused:
        call(*args)
    return refused.value.code.name


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        (Policy(), [4]),
        (Policy(latest=2), [4, 3]),
        (Policy(latest=9), [4, 3, 1]),
        (Policy(all=True), [4, 3, 1]),
        (Policy(specific=(1, 3, 7)), [3, 1]),
    ],
    ids=["newest", "two newest", "more than there are", "all", "specific"],
)
def test_policies(tmp_path, policy, versions):
    for version in (1, 3, 4):
        put(tmp_path, version)
    (tmp_path / ".writing").mkdir()
    (tmp_path / "notes").mkdir()
    made = library(Model("m", tmp_path, policy))
    assert served(made) == versions
    assert made.find(spec()).version == versions[0]
    assert made.find(spec(version=versions[-1])).version == versions[-1]


def test_a_new_version_takes_the_place_of_the_old(tmp_path):
    put(tmp_path, 1)
    made = library(Model("m", tmp_path))
    old = made.find(spec())
    put(tmp_path, 2)
    made.refresh()
    assert served(made) == [2]
    assert made.states(spec())[1].state == ModelVersionStatus.END
    assert code(made.find, spec(version=1)) == "NOT_FOUND"
    assert old.version == 1


def test_a_broken_version_changes_nothing_even_at_a_start(tmp_path):
    put(tmp_path, 1)
    made = library(Model("m", tmp_path))
    put(tmp_path, 2, BAD)
    made.refresh()
    made.refresh()
    assert served(made) == [1]
    assert "not a SavedModel" in made.states(spec(version=2))[2].problem
    assert served(library(Model("m", tmp_path))) == [1]


def test_a_mended_version_is_tried_again(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2, BAD)
    made = library(Model("m", tmp_path))
    put(tmp_path, 2)
    made.refresh()
    assert served(made) == [2]


def test_the_last_good_one_stays_when_its_folder_goes(tmp_path):
    put(tmp_path / "m", 1)
    made = library(Model("m", tmp_path / "m"))
    (tmp_path / "m").rename(tmp_path / "elsewhere")
    made.refresh()
    assert served(made) == [1]


def test_going_back_by_taking_the_newest_away(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2)
    made = library(Model("m", tmp_path))
    (tmp_path / "2").rename(tmp_path / "bad-2")
    made.refresh()
    assert served(made) == [1]


def test_nothing_there_yet(tmp_path):
    made = library(Model("m", tmp_path / "m"))
    assert code(made.find, spec()) == "NOT_FOUND"
    assert code(made.states, spec()) == "NOT_FOUND"
    put(tmp_path / "m", 1)
    made.refresh()
    assert served(made) == [1]


def test_labels(tmp_path):
    for version in (1, 2):
        put(tmp_path, version)
    made = library(Model("m", tmp_path, Policy(all=True), {"stable": 1}))
    assert made.find(spec(label="stable")).version == 1
    assert list(made.states(spec(label="stable"))) == [1]
    assert code(made.find, spec(label="canary")) == "INVALID_ARGUMENT"
    assert code(made.states, spec(label="canary")) == "INVALID_ARGUMENT"
    made.configure([Model("m", tmp_path, Policy(all=True), {"stable": 2})])
    assert made.find(spec(label="stable")).version == 2
    wrong = [Model("m", tmp_path, Policy(all=True), {"stable": 9})]
    assert code(made.configure, wrong) == "FAILED_PRECONDITION"
    assert made.find(spec(label="stable")).version == 2


def test_configure_adds_drops_and_reports(tmp_path):
    put(tmp_path / "m", 1)
    put(tmp_path / "n", 5)
    made = library(Model("m", tmp_path / "m"))
    made.configure([Model("n", tmp_path / "n")])
    assert served(made, "n") == [5]
    assert code(made.find, spec("m")) == "NOT_FOUND"
    assert code(made.configure, [Model("n", tmp_path / "n"), Model("o", tmp_path / "o")]) == "UNKNOWN"
    assert served(made, "n") == [5]


def test_a_model_may_move_to_another_folder(tmp_path):
    put(tmp_path / "a", 7)
    put(tmp_path / "b", 1)
    made = library(Model("m", tmp_path / "a"))
    made.configure([Model("m", tmp_path / "b")])
    assert served(made) == [1]


def test_old_ends_are_forgotten(tmp_path):
    made = library(Model("m", tmp_path))
    for version in range(1, 40):
        put(tmp_path, version)
        made.refresh()
    assert len(made.states(spec())) < 20


CONFIG = """
model_config_list {
  config {
    name: "m" base_path: "file:///models/m" model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 2 } }
    version_labels { key: "stable" value: 3 }
  }
  config { name: "all" base_path: "/all" model_platform: "tensorflow" model_version_policy { all {} } }
  config { name: "some" base_path: "/some" model_platform: "tensorflow"
           model_version_policy { specific { versions: 4 versions: 2 } } }
}
"""


def test_the_configuration_file(tmp_path):
    file = tmp_path / "models.config"
    file.write_text(CONFIG)
    one, everything, some = read_models(file)
    assert (one.name, str(one.base), one.policy.latest, dict(one.labels)) == ("m", "/models/m", 2, {"stable": 3})
    assert everything.policy.all
    assert some.policy.specific == (4, 2)


def test_the_configuration_that_is_deployed():
    (model,) = read_models(Path(__file__).parents[3] / "deploy" / "model-server" / "models.config")
    assert (model.name, str(model.base), model.policy.latest) == ("deep", "/models/deep", 2)


MISTAKES = {
    "no list": "",
    "no name": 'model_config_list { config { base_path: "/m" model_platform: "tensorflow" } }',
    "no path": 'model_config_list { config { name: "m" model_platform: "tensorflow" } }',
    "no platform": 'model_config_list { config { name: "m" base_path: "/m" } }',
    "twice": 'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" } '
    'config { name: "m" base_path: "/n" model_platform: "tensorflow" } }',
    "nothing specific": 'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" '
    "model_version_policy { specific {} } } }",
    "not a configuration": "[models]",
    "a misspelt field": "model_config_lists {}",
}


@pytest.mark.parametrize("text", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_in_the_configuration(tmp_path, text):
    file = tmp_path / "models.config"
    file.write_text(text)
    assert code(read_models, file) == "INVALID_ARGUMENT"


def test_models_of_an_empty_list():
    config = ModelServerConfig()
    config.model_config_list.SetInParent()
    assert models_of(config) == []
