"""If the newest SavedModel is damaged, the log names it, and the last good version is served, after a restart too."""

import shutil

import pytest


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


@pytest.mark.timeout(240)
def test_a_damaged_newest_version_is_not_served_and_the_last_good_one_is(serving, made, publish, tmp_path):
    root, spoilt = tmp_path / "models", tmp_path / "spoilt"
    publish(made["one"], root, 1)
    running = serving("--model_name", "deep", "--model_base_path", root / "deep")
    running.wait_for("version available", model="deep", version=1)
    for version, damage in enumerate((cut, flipped, garbage, without_variables, empty, a_folder), start=2):
        shutil.rmtree(spoilt, ignore_errors=True)
        shutil.copytree(made["two"], spoilt)
        damage(spoilt)
        publish(spoilt, root, version)
        running.wait_for("version broken", model="deep", version=version)
    again = serving("--model_name", "deep", "--model_base_path", root / "deep")
    again.wait_for("version available", model="deep", version=1)
