"""What is published: a wheel of each distribution, with everything that it needs and nothing else."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from pathlib import Path

import cuvee
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = [ROOT, *sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))]

pytestmark = [pytest.mark.installs, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, zipfile.ZipFile]:
    """One wheel of each project, by the name of its distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "-w", folder, *PROJECTS], check=True)
    return {path.name.split("-")[0]: zipfile.ZipFile(path) for path in folder.glob("*.whl")}


def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_each_distribution_has_one_and_all_have_the_same_version(wheels: dict[str, zipfile.ZipFile]) -> None:
    assert len(wheels) == len(PROJECTS)
    assert {metadata(wheel)["Version"] for wheel in wheels.values()} == {cuvee.__version__}
    for name, wheel in wheels.items():
        needed = [one.replace(" ", "") for one in metadata(wheel).get_all("Requires-Dist") or []]
        bound = [one for one in needed if one.startswith(("cuvee<", "cuvee>"))]
        assert name == "cuvee" or (len(bound) == 1 and "<0." in bound[0]), f"{name} needs an engine of its own series"


def test_each_has_its_licence_and_its_types(wheels: dict[str, zipfile.ZipFile]) -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    for name, wheel in wheels.items():
        (copy,) = (one for one in wheel.namelist() if one.endswith(".dist-info/licenses/LICENSE"))
        assert wheel.read(copy) == licence, name
        assert metadata(wheel)["License-Expression"] == "Apache-2.0"
        assert f"{name}/py.typed" in wheel.namelist()


def test_each_has_its_package_and_nothing_else(wheels: dict[str, zipfile.ZipFile]) -> None:
    for name, wheel in wheels.items():
        tops = {one.split("/")[0] for one in wheel.namelist()}
        assert tops == {name, f"{name}-{metadata(wheel)['Version']}.dist-info"}
        assert not [one for one in wheel.namelist() if one.endswith((".pyx", ".c", ".pyc")) or "/tests/" in one]


def test_the_engine_has_its_kernels_and_every_file_of_the_package(wheels: dict[str, zipfile.ZipFile]) -> None:
    held = set(wheels["cuvee"].namelist())
    assert [one for one in held if one.startswith("cuvee/kernels/compiled") and one.endswith(".so")]
    tracked = subprocess.run(["git", "ls-files", "engine/cuvee"], cwd=ROOT, capture_output=True, text=True, check=False)
    missing = {one.removeprefix("engine/") for one in tracked.stdout.split() if not one.endswith(".pyx")} - held
    assert not missing
