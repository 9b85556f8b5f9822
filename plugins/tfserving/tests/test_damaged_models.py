"""If the newest SavedModel is damaged, the log names it, and the last good version is served, after a restart too."""

import json
import shutil

import pytest
from cuvee_tfserving import checksums


def cut(folder):
    path = folder / "saved_model.pb"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(folder):
    path = next((folder / "variables").glob("variables.data*"))
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), 64):
        data[at] ^= 1
    path.write_bytes(data)


def garbage(folder):
    (folder / "saved_model.pb").write_bytes(b"\xff\x00 no model" * 1000)


def without_variables(folder):
    shutil.rmtree(folder / "variables")


def empty(folder):
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def a_folder(folder):
    (folder / "saved_model.pb").unlink()
    (folder / "saved_model.pb").mkdir()


def one_bit(folder):
    """Which TensorFlow would not notice: the model answers, and differently."""
    path = next((folder / "variables").glob("variables.data*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def of_another(folder):
    """Variables of another model of the same form."""
    other = folder.with_name("another")
    for path in (other / "variables").iterdir():
        shutil.copy(path, folder / "variables")


def a_link(folder):
    outside = folder.with_name("outside.pb")
    (folder / "saved_model.pb").rename(outside)
    (folder / "saved_model.pb").symlink_to(outside)


def added(folder):
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "more.txt").write_text("not published")


def no_note(folder):
    (folder / checksums.FILE).write_text("{")


def noted_as_text(folder):
    (folder / checksums.FILE).write_text(json.dumps(["saved_model.pb"]))


DIGESTS = (
    cut,
    flipped,
    garbage,
    without_variables,
    a_folder,
    one_bit,
    of_another,
    a_link,
    added,
    no_note,
    noted_as_text,
)


@pytest.mark.parametrize("damage", DIGESTS)
def test_each_file_is_the_one_that_was_published(damage, made, tmp_path):
    folder = tmp_path / "1"
    shutil.copytree(made["one"], folder)
    shutil.copytree(made["two"], tmp_path / "another")
    checksums.check(folder)  # one from elsewhere has no note, and is taken
    checksums.write(folder)
    checksums.check(folder)
    damage(folder)
    with pytest.raises(ValueError, match=f"{folder}/.*"):
        checksums.check(folder)


@pytest.mark.timeout(240)
def test_a_damaged_newest_version_is_not_served_and_the_last_good_one_is(serving, made, publish, tmp_path):
    root, spoilt = tmp_path / "models", tmp_path / "spoilt"
    whole = tmp_path / "whole"
    shutil.copytree(made["one"], whole)
    checksums.write(whole)
    publish(whole, root, 1)
    running = serving("--model_name", "deep", "--model_base_path", root / "deep")
    running.wait_for("version available", model="deep", version=1)
    for version, damage in enumerate((cut, flipped, garbage, without_variables, empty, a_folder, one_bit), start=2):
        shutil.rmtree(spoilt, ignore_errors=True)
        shutil.copytree(made["two"], spoilt)
        if damage is one_bit:  # the others are noticed without digests, too
            checksums.write(spoilt)
        damage(spoilt)
        publish(spoilt, root, version)
        told = running.wait_for("version broken", model="deep", version=version)
        assert damage is not one_bit or "variables.data" in told["problem"], told
    again = serving("--model_name", "deep", "--model_base_path", root / "deep")
    again.wait_for("version available", model="deep", version=1)
    for server in (running, again):
        served = {line["version"] for line in server.events("version available")}
        assert served == {1}, "no damaged version was served at any time"
