"""Files of a version that are not what they were, with a manifest that agrees with them or does not.

Whatever lies in the newest version: nothing of it runs, an error names the file, and the older version answers.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cuvee.artifacts.snapshot import Snapshot, load_snapshot
from cuvee.artifacts.versions import ArtifactRoot, digest_of
from cuvee.config import Settings, load_settings
from cuvee.errors import ArtifactError
from cuvee.registry import Registry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MODEL = "popular"


class Canary:
    """Runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.close, (os.open(self.path, os.O_CREAT),)) if self.path.exists() else (Path.touch, (self.path,))


def npy(header: bytes, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header + body


def objects(folder: Path) -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([Canary(folder / "ran")], dtype=object), allow_pickle=True)
    return made.getvalue()


def header(dtype: str, shape: str) -> bytes:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"


FILES: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda _: b"",
    "objects": objects,
    "a pickle": lambda folder: pickle.dumps(Canary(folder / "ran")),
    "an oversized header": lambda _: npy(b"{" + b" " * 2**20 + b"}\n", version=b"\x02\x00"),
    "a header that never ends": lambda _: npy(b"(" * 5000),
    "a header that calls": lambda _: npy(b"__import__('os').system('touch ran')\n"),
    "a terabyte by its header": lambda _: npy(header("'<f4'", "(274877906944,)")),
    "a negative shape": lambda _: npy(header("'<f4'", "(-1,)")),
    "a shape that overflows": lambda _: npy(header("'<f4'", "(4294967296, 4294967296, 16)")),
    "no dtype": lambda _: npy(header("'nothing'", "(3,)")),
    "an archive": lambda _: b"PK\x03\x04" + bytes(100),
    "text": lambda _: b"these are no numbers\n",
}


def popular(version: Path) -> Path:
    return sorted((version / MODEL).glob("*.npy"))[0]


def agreed(version: Path) -> None:
    """Rewrite the manifest so that its digests fit the files as they are now."""
    manifest = json.loads((version / "manifest.json").read_text())
    for name, entry in manifest["models"][MODEL]["files"].items():
        data = (version / MODEL / name).read_bytes()
        entry.update(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    manifest["digest"] = digest_of(manifest)
    (version / "manifest.json").write_text(json.dumps(manifest))


def opened(place: Path) -> tuple[Settings, Registry, Path]:
    registry = Registry.load()
    found = load_settings(place / "cuvee.toml", registry)
    return found, registry, Path(found.artifact_url) / "toys"


def loaded(place: Path) -> Snapshot:
    found, registry, _ = opened(place)
    return load_snapshot(found, registry, "toys")


@pytest.mark.parametrize("agree", [False, True], ids=["as it was", "agreeing"])
@pytest.mark.parametrize("what", FILES)
def test_nothing_of_a_file_runs_and_the_older_version_answers(place: Path, what: str, agree: bool):
    _, _, folder = opened(place)
    old, new = (p.name for p in sorted(folder.iterdir()) if p.name[0] != ".")
    path = popular(folder / new)
    path.write_bytes(FILES[what](place))
    if agree:
        agreed(folder / new)
    snapshot = loaded(place)
    assert snapshot.version == old
    assert f"{new}/{MODEL}/{path.name}" in snapshot.problems[0], "the file is named"
    assert not (place / "ran").exists()
    snapshot.close()


def to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def to_another_version(path: Path) -> None:
    other = next(p for p in path.parents[2].iterdir() if p != path.parents[1])
    path.unlink()
    path.symlink_to(other / path.parent.name / path.name)


def to_a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [to_itself, to_another_version, to_a_device, a_pipe, a_directory])
def test_what_is_no_plain_file_is_refused_by_its_name(place: Path, change: Callable[[Path], None]):
    _, _, folder = opened(place)
    old, new = (p.name for p in sorted(folder.iterdir()) if p.name[0] != ".")
    path = popular(folder / new)
    change(path)
    snapshot = loaded(place)
    assert snapshot.version == old
    assert path.name in snapshot.problems[0]
    snapshot.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**63))
def test_any_damage_of_a_manifest_or_a_file_leaves_one_that_answers(place: Path, seed: int):
    rng = random.Random(seed)
    _, _, folder = opened(place)
    old, new = (p.name for p in sorted(folder.iterdir()) if p.name[0] != ".")
    aside = place / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(folder / new, aside)
    path = rng.choice(sorted(p for p in (folder / new).rglob("*") if p.is_file()))
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            data[at] ^= 1 << rng.randrange(8)
        case 1:
            del data[at:]
        case 2:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
        case 3:
            data = bytearray(bytes(len(data)))
    # not over what other snapshots have mapped
    path.unlink()
    path.write_bytes(data)
    try:
        snapshot = loaded(place)
        assert snapshot.version in {old, new}
        assert snapshot.version == new or snapshot.problems
        assert all(source.recommender for source in snapshot.plan.sources)
        snapshot.close()
    finally:
        shutil.rmtree(folder / new)
        aside.rename(folder / new)


def test_where_no_version_is_whole_it_says_which_file(place: Path):
    found, registry, folder = opened(place)
    for version in ArtifactRoot(found.artifact_url).versions("toys"):
        for path in (folder / version).glob("*/*.npy"):
            path.write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"\.npy"):
        load_snapshot(found, registry, "toys")
