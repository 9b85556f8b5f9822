"""Artefacts: a version is published as a whole or not at all, and damage is detected."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cuvee import load_arrays, save_arrays
from cuvee.artifacts.versions import ArtifactRoot, Manifest, ModelEntry, describe_files, new_version
from cuvee.errors import ArtifactError


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactRoot:
    """A local folder, and a remote file system as object stores are."""
    if request.param == "folder":
        return ArtifactRoot(str(tmp_path / "artifacts"))
    return ArtifactRoot(f"memory://{uuid.uuid4().hex}", cache=tmp_path / "cache")


def publish(root: ArtifactRoot, version: str | None = None) -> Manifest:
    workspace = root.workspace("shop")
    folder = workspace / "ease"
    folder.mkdir()
    save_arrays(folder, {"weights": np.arange(6, dtype=np.float32).reshape(2, 3)})
    entry = ModelEntry(
        plugin="neighbors",
        distribution="cuvee-neighbors",
        distribution_version="1",
        config_digest="d",
        fit_seconds=1.0,
        peak_bytes=1,
        files=describe_files(folder),
        calibration={},
    )
    manifest = Manifest(
        product="shop",
        version=version or new_version(),
        created=datetime.now(UTC),
        config_revision="r",
        n_items=3,
        n_users=2,
        n_events=1,
        items_digest="i",
        users_digest="u",
        models={"ease": entry},
    )
    root.publish(workspace, manifest)
    return manifest


def test_what_was_published_is_read_back(root: ArtifactRoot) -> None:
    manifest = publish(root)
    assert root.versions("shop") == [manifest.version]
    assert root.manifest("shop") == manifest
    arrays = load_arrays(root.fetch(manifest, "ease"), {"weights": "float32[n, 3]"})
    np.testing.assert_array_equal(arrays["weights"], [[0, 1, 2], [3, 4, 5]])
    assert not arrays["weights"].flags.writeable


def test_the_newest_version_is_the_default_and_any_can_be_named(root: ArtifactRoot) -> None:
    old = publish(root, "20260101T000000000Z")
    new = publish(root, "20260102T000000000Z")
    assert root.manifest("shop") == new
    assert root.manifest("shop", old.version) == old


def test_a_workspace_is_not_a_version(root: ArtifactRoot) -> None:
    root.workspace("shop")
    assert root.versions("shop") == []
    with pytest.raises(ArtifactError, match="run `cuvee fit shop`"):
        root.manifest("shop")


def test_an_unknown_version_names_those_that_are_there(root: ArtifactRoot) -> None:
    manifest = publish(root)
    with pytest.raises(ArtifactError, match=manifest.version):
        root.manifest("shop", "20000101T000000000Z")


def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    root = ArtifactRoot(str(tmp_path))
    manifest = publish(root)
    path = tmp_path / "shop" / manifest.version / "ease" / "weights.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtifactError, match=r"weights\.npy.*cuvee fit"):
        root.fetch(manifest, "ease")


def test_a_damaged_manifest_is_found(tmp_path: Path) -> None:
    root = ArtifactRoot(str(tmp_path))
    manifest = publish(root)
    (tmp_path / "shop" / manifest.version / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="damaged"):
        root.manifest("shop")


def test_arrays_of_objects_are_refused_both_ways(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        save_arrays(tmp_path, {"bad": np.array([{}], object)})
    np.save(tmp_path / "evil.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ArtifactError, match="evil"):
        load_arrays(tmp_path, {"evil": "float32[n]"})
