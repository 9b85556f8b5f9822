"""What an array on disk must be is said by who reads it, and checked before anything uses it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from cuvee import load_arrays, save_arrays
from cuvee.errors import ArtifactError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SAID = {
    "data": "float32[m] finite",
    "indices": "int[m] in F",
    "indptr": "int64[n + 1] to m",
    "known": "bool[n]",
    "share": "float32[n] known",
    "pair": "float64[2]",
}
GOOD = {
    "data": np.array([1, 2, 3], np.float32),
    "indices": np.array([0, 4, 2], np.int32),
    "indptr": np.array([0, 2, 3], np.int64),
    "known": np.array([True, False]),
    "share": np.array([np.nan, -1], np.float32),
    "pair": np.array([1.0, np.nan]),
}


def test_what_fits_is_mapped(tmp_path: Path) -> None:
    save_arrays(tmp_path, GOOD)
    found = load_arrays(tmp_path, SAID, F=5)
    assert found.keys() == GOOD.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, GOOD[name])
        assert not array.flags.writeable
    assert type(found["data"]) is np.ndarray


BAD: dict[str, tuple[str, npt.NDArray[np.generic]]] = {
    "another width": ("data", np.array([1, 2, 3], np.float64)),
    "another byte order": ("data", np.array([1, 2, 3], ">f4")),
    "integers": ("data", np.array([1, 2, 3], np.int32)),
    "complex": ("data", np.array([1, 2, 3], np.complex64)),
    "text": ("data", np.array(["a", "b", "c"])),
    "a time": ("pair", np.array([1, 2], "datetime64[s]")),
    "records": ("pair", np.zeros(2, [("x", np.float64)])),
    "no dimension": ("data", np.array(1, np.float32)),
    "one dimension more": ("data", np.ones((3, 1), np.float32)),
    "shorter than its fellow": ("data", np.array([1, 2], np.float32)),
    "longer": ("known", np.ones(3, np.bool_)),
    "empty": ("indptr", np.array([], np.int64)),
    "another fixed size": ("pair", np.ones(3)),
    "NaN": ("data", np.array([1, np.nan, 3], np.float32)),
    "infinity": ("data", np.array([1, np.inf, 3], np.float32)),
    "infinity where NaN may be": ("share", np.array([np.nan, -np.inf], np.float32)),
    "unsigned": ("indices", np.array([0, 4, 2], np.uint32)),
    "a position outside": ("indices", np.array([0, 5, 2], np.int32)),
    "a negative position": ("indices", np.array([0, -1, 2], np.int32)),
    "offsets that begin late": ("indptr", np.array([1, 2, 3], np.int64)),
    "offsets that fall": ("indptr", np.array([0, 4, 3], np.int64)),
    "offsets that end early": ("indptr", np.array([0, 2, 2], np.int64)),
    "offsets that end behind": ("indptr", np.array([0, 2, 4], np.int64)),
    "offsets that overflow": ("indptr", np.array([0, 2**62, 3], np.int64)),
    "flags that are numbers": ("known", np.array([1, 0], np.uint8)),
}


@pytest.mark.parametrize("what", BAD)
def test_what_does_not_fit_is_refused_by_its_name(tmp_path: Path, what: str) -> None:
    name, array = BAD[what]
    save_arrays(tmp_path, {**GOOD, name: array})
    with pytest.raises(ArtifactError, match=r"\.npy .*run `cuvee fit` again") as refused:
        load_arrays(tmp_path, SAID, F=5)
    lengths = {"shorter than its fellow", "longer", "no dimension"}  # either of two may be the wrong one
    assert f"{name}.npy" in str(refused.value) or what in lengths


@pytest.mark.parametrize("change", ["cut", "cut to the header", "longer", "gone", "empty", "a folder", "an archive"])
def test_a_file_that_is_not_whole_is_refused_by_its_name(tmp_path: Path, change: str) -> None:
    save_arrays(tmp_path, GOOD)
    path = tmp_path / "data.npy"
    data = path.read_bytes()
    path.unlink()
    match change:
        case "cut":
            path.write_bytes(data[:-1])
        case "cut to the header":
            path.write_bytes(data[:-12])
        case "longer":
            path.write_bytes(data + b"\0")
        case "empty":
            path.write_bytes(b"")
        case "a folder":
            path.mkdir()
        case "an archive":
            np.savez(path.with_suffix(""), data=GOOD["data"])
            path.with_suffix(".npz").rename(path)
    with pytest.raises(ArtifactError, match=r"data\.npy"):
        load_arrays(tmp_path, SAID, F=5)


def test_values_are_looked_at_once_as_long_as_the_file_is_the_same(tmp_path: Path) -> None:
    """And a file that was replaced is looked at anew, though the first is mapped still."""
    save_arrays(tmp_path, GOOD)
    first = load_arrays(tmp_path, SAID, F=5)
    again = load_arrays(tmp_path, SAID, F=5)
    assert np.shares_memory(first["data"], again["data"])
    with pytest.raises(ArtifactError, match="indices"):
        load_arrays(tmp_path, SAID, F=4)
    aside = tmp_path / "aside"
    aside.mkdir()
    save_arrays(aside, {"data": np.array([1, np.nan, 3], np.float32)})
    (aside / "data.npy").rename(tmp_path / "data.npy")
    with pytest.raises(ArtifactError, match="data"):
        load_arrays(tmp_path, SAID, F=5)
    np.testing.assert_array_equal(first["data"], GOOD["data"])


@pytest.mark.parametrize("said", ["", "float32", "float32[n", "float32[n] in", "float32[n] finite n", "float32[n - 1]"])
def test_what_says_nothing_is_a_mistake_of_the_plugin(tmp_path: Path, said: str) -> None:
    save_arrays(tmp_path, GOOD)
    with pytest.raises(ValueError, match=r"data|say|size"):
        load_arrays(tmp_path, {"data": said})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2_200_000), bad=st.sampled_from(["nan", "fall", "outside"]))
def test_one_wrong_value_among_many_is_found(tmp_path: Path, at: int, bad: str) -> None:
    n = 2_200_001
    name, said, array = {
        "nan": ("a", "float32[n] finite", np.zeros(n, np.float32)),
        "fall": ("a", "int32[n + 1] to m", np.arange(n, dtype=np.int32)),
        "outside": ("a", "int32[n] in m", np.zeros(n, np.int32)),
    }[bad]
    array[at] = {"nan": np.nan, "fall": array[at] + (2 if at < n - 1 else 1), "outside": n}[bad]
    save_arrays(tmp_path, {name: array})
    with pytest.raises(ArtifactError):
        load_arrays(tmp_path, {name: said}, m=n - 1)
