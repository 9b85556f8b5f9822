"""Pickles are found whatever they are called and wrapped in; other formats are left alone."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from cuvee.testing.disk import find_pickles


def npy(array: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("member", content)
    return buffer.getvalue()


# its first bytes, the length of the header, are those of a pickle of protocol 2
SAFETENSORS = (
    (0x0280).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(0x0280) + bytes(4)
)
OBJECTS = np.asarray([{}, None], dtype=object)
RECORDS = np.asarray([(1, {})], dtype=[("id", np.int32), ("what", object)])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [bytes, gzip.compress, zlib.compress, zipped])
def test_pickles_are_found(protocol: int, wrap: object, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "model.json").write_bytes(wrap(pickle.dumps({"a": np.zeros(2)}, protocol)))
    assert [found.split(":")[0] for found in find_pickles(tmp_path)] == ["deep/model.json"]


@pytest.mark.parametrize("content", [npy(OBJECTS), npy(RECORDS), zipped(npy(OBJECTS))])
def test_arrays_of_objects_are_found(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "array.npy").write_bytes(content)
    assert len(find_pickles(tmp_path)) == 1


@pytest.mark.parametrize("name", ["model.pkl", "model.JOBLIB"])
def test_a_name_that_says_pickle_is_enough(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert len(find_pickles(tmp_path)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"\x80\x04 not a pickle",
        json.dumps({"O": "'O'"}).encode(),
        npy(np.arange(3.0)),
        npy(np.asarray(["On", "Off"])),
        npy(np.zeros(2, [("id", np.int32)])),
        zipped(npy(np.arange(3))),
        gzip.compress(b"plain", mtime=0),
        SAFETENSORS,
    ],
)
def test_others_are_left_alone(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    assert find_pickles(tmp_path) == []
