"""Manifests of artefacts are checked, and if a version is damaged an older whole one answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cuvee.artifacts.snapshot import load_snapshot
from cuvee.artifacts.versions import ArtifactRoot, digest_of
from cuvee.cli import main
from cuvee.config import load_settings
from cuvee.errors import ArtifactError
from cuvee.registry import Registry
from fsspec.implementations.memory import MemoryFileSystem

from .test_versions import publish

HOSTILE = ["../../outside.npy", "/tmp/cuvee-outside.npy", "a/../../x.npy", "..", "./weights.npy", "a//b.npy", "",
           "..\\outside.npy", "weights.npy/", "we\0ights.npy"]  # fmt: skip


def changed(text: bytes | str, change: Callable[[dict[str, Any]], None]) -> bytes:
    found = json.loads(text)
    change(found)
    found["digest"] = digest_of(found)
    return json.dumps(found).encode()


def as_file(name: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        files = manifest["models"]["ease"]["files"]
        files[name] = files["weights.npy"]

    return change


def as_model(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["models"].update({name: manifest["models"]["ease"]})


def as_catalogue(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["catalog"].update({name: {"sha256": "x", "size": 1}})


CHANGES = {
    **{f"a file {name!r}": as_file(name) for name in HOSTILE},
    **{f"a model {name!r}": as_model(name) for name in ["../ease", "/ease", "a/b", "..", ""]},
    "a catalogue's file": as_catalogue("../users.arrow"),
    "another version's": lambda m: m.update(version="20200101T000000000Z"),
    "a version that leads away": lambda m: m.update(version="../.."),
    "another product's": lambda m: m.update(product="other"),
    "a product that leads away": lambda m: m.update(product="../shop"),
}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("remote", [False, True])
def test_a_manifest_that_leads_elsewhere_is_refused_and_writes_nothing(tmp_path: Path, what: str, remote: bool):
    place = f"memory://hostile-{tmp_path.name}" if remote else str(tmp_path / "artifacts")
    root = ArtifactRoot(place, cache=tmp_path / "cache")
    manifest = publish(root)
    path = f"{place}/shop/{manifest.version}/manifest.json"
    if remote:
        files = MemoryFileSystem()
        files.pipe_file(path, changed(files.cat_file(path), CHANGES[what]))
    else:
        Path(path).write_bytes(changed(Path(path).read_text(), CHANGES[what]))
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ArtifactError, match="cuvee fit"):
        root.manifest("shop")
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("version", ["../other/20260101T000000000Z", "..", "20260101T000000000Z/../..", "", "latest"])
def test_a_version_that_is_asked_for_leads_nowhere_else(tmp_path: Path, version: str):
    root = ArtifactRoot(str(tmp_path))
    publish(root)
    with pytest.raises(ArtifactError, match="has no version"):
        root.manifest("shop", version)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path):
    root = ArtifactRoot(str(tmp_path / "artifacts"))
    manifest = publish(root)
    file = tmp_path / "artifacts/shop" / manifest.version / "ease/weights.npy"
    file.rename(tmp_path / "weights.npy")
    file.symlink_to(tmp_path / "weights.npy")
    with pytest.raises(ArtifactError, match=r"weights\.npy leads out of its folder"):
        root.fetch(manifest, "ease")


def no_json(folder: Path) -> None:
    (folder / "manifest.json").write_text("{ garbage")


def no_text(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"\xff\xfe\x00" * 100)


def empty(folder: Path) -> None:
    (folder / "manifest.json").write_text("")


def a_list(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


def a_folder(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    (folder / "manifest.json").mkdir()


def foreign(folder: Path) -> None:
    text = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(changed(text, lambda m: m.update(product="other")))


def arrays_cut(folder: Path) -> None:
    for path in folder.glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1])


def arrays_flipped(folder: Path) -> None:
    for path in folder.glob("*/*"):
        path.write_bytes(bytes(b ^ 1 for b in path.read_bytes()))


def arrays_gone(folder: Path) -> None:
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)


def one_array_flipped(folder: Path) -> None:
    path = sorted(folder.glob("*/*"))[0]
    path.write_bytes(bytes(b ^ 1 for b in path.read_bytes()))


DAMAGES = [no_json, no_text, empty, a_list, a_folder, foreign, arrays_cut, arrays_flipped, arrays_gone,
           one_array_flipped]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_older_whole_version_answers_where_the_newest_is_damaged(place: Path, damage: Callable[[Path], None]):
    registry = Registry.load()
    settings = load_settings(place / "cuvee.toml", registry)
    root = ArtifactRoot(settings.artifact_url)
    old, new = root.versions("toys")
    assert load_snapshot(settings, registry, "toys").version == new
    damage(Path(settings.artifact_url) / "toys" / new)
    snapshot = load_snapshot(settings, registry, "toys")
    assert snapshot.version == old
    assert snapshot.problems[0].startswith(f"version {new} cannot be used, so {old} answers: ")
    assert all(source.recommender for source in snapshot.plan.sources)
    damage(Path(settings.artifact_url) / "toys" / old)
    if damage is one_array_flipped:
        both = load_snapshot(settings, registry, "toys")
        assert both.version == new, "the newest of those that can be used"
        assert both.problems
    else:
        with pytest.raises(ArtifactError):
            load_snapshot(settings, registry, "toys")


def test_a_fit_goes_on_beside_a_damaged_older_version(place: Path):
    settings = load_settings(place / "cuvee.toml", Registry.load())
    newest = ArtifactRoot(settings.artifact_url).versions("toys")[-1]
    no_json(Path(settings.artifact_url) / "toys" / newest)
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--config", str(place / "cuvee.toml"), "--json"])
    assert not ended.value.code
    assert load_snapshot(settings, Registry.load(), "toys").version > newest
