"""Artefacts and batches in a bucket, by a server that speaks S3: published, served, cached, and lost half-way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cuvee.artifacts.cache import Cache
from cuvee.artifacts.versions import ArtifactRoot
from cuvee.cli import main
from cuvee.folder import Folder
from cuvee.testing import two_tribes
from cuvee.testing.server import run_server

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("moto")

TESTS = Path(__file__).parents[1]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of clients of a running S3."""
    port = _free_port()
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "the S3 server has ended"
            time.sleep(0.1)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        process.terminate()


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of an empty bucket."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"b{abs(hash(request.node.name)) % 10**12}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


@pytest.fixture
def place(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose artefacts lie in the bucket, fitted once."""
    monkeypatch.syspath_prepend(str(TESTS / "toyplugin"))
    (tmp_path / "data").mkdir()
    two_tribes().data.save(tmp_path / "data" / "toys")
    good = TESTS / "cli/good"
    (tmp_path / "products").mkdir()
    (tmp_path / "products/toys.toml").write_text((good / "products/toys.toml").read_text())
    text = (good / "cuvee.toml").read_text().replace('artifacts = "artifacts"', f'artifacts = "{bucket}/models"')
    (tmp_path / "cuvee.toml").write_text('artifact_cache = "cache"\n' + text)
    cuvee("fit", "toys", "--config", tmp_path / "cuvee.toml")
    return tmp_path / "cuvee.toml"


def cuvee(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    assert not ended.value.code


def files(url: str) -> list[str]:
    found = s3fs.S3FileSystem()
    found.invalidate_cache()
    return sorted(str(one) for one in found.find(url.removeprefix("s3://")))


def test_a_server_with_an_empty_disk_starts_from_the_bucket_and_follows_it(place: Path, bucket: str) -> None:
    root = ArtifactRoot(f"{bucket}/models")
    (version,) = root.versions("toys")
    environment = {"PYTHONPATH": str(TESTS / "toyplugin"), "CUVEE_CONFIG": ""}
    assert not (place.parent / "cache").exists()  # a fit fills no cache
    with run_server(place, environment=environment) as server:
        answer = server.client.recommend("toys", "viewer-001", timeout=20)
        assert answer.snapshot_version == version
        assert len(answer.items) == 5
        assert (place.parent / "cache/toys" / version / ".used").exists()
        cuvee("fit", "toys", "--config", place)
        newest = root.versions("toys")[-1]
        assert newest != version
        until = time.monotonic() + 90
        while server.client.recommend("toys", "viewer-001", timeout=20).snapshot_version != newest:
            assert time.monotonic() < until, server.log
            time.sleep(0.2)


def test_an_upload_that_is_cut_off_is_no_version(place: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = ArtifactRoot(f"{bucket}/models")
    before = root.versions("toys")
    whole = len(files(f"{bucket}/models"))
    real, sent = s3fs.S3FileSystem._put_file, []

    async def cut_off(self: Any, local: str, remote: str, **options: Any) -> None:
        sent.append(remote)
        if len(sent) > allowed:
            raise ConnectionResetError("the network went away")
        await real(self, local, remote, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_put_file", cut_off)
    s3fs.S3FileSystem.clear_instance_cache()
    for allowed in range(whole):
        sent.clear()
        with pytest.raises(SystemExit) as ended:
            main(["fit", "toys", "--config", str(place)])
        assert ended.value.code == 1  # the same may work later
        assert len(sent) == allowed + 1
        assert root.versions("toys") == before
        assert root.manifest("toys").version == before[-1]
    assert len(files(f"{bucket}/models")) > whole  # some of it is there, and counts for nothing
    sent.clear()
    allowed = whole + 1
    cuvee("fit", "toys", "--config", place)
    assert len(root.versions("toys")) == len(before) + 1


def test_damage_on_this_machine_is_mended_from_the_bucket(place: Path, bucket: str, tmp_path: Path) -> None:
    root = ArtifactRoot(f"{bucket}/models", tmp_path / "own")
    manifest = root.manifest("toys")
    file = next(one for one in root.fetch(manifest, "popular").iterdir())
    good = file.read_bytes()
    for bad in (good[:-1], good[:-1] + bytes([good[-1] ^ 1]), b""):
        file.write_bytes(bad)
        assert root.fetch(manifest, "popular") == file.parent
        assert file.read_bytes() == good


def test_a_batch_into_the_bucket(place: Path, bucket: str, tmp_path: Path) -> None:
    cuvee("batch", "toys", f"{bucket}/lists", "--config", place, "--chunk", "40")
    cuvee("batch", "toys", tmp_path / "lists", "--config", place, "--chunk", "40")
    names = [one.rsplit("/", 1)[-1] for one in files(f"{bucket}/lists")]
    assert names == ["batch.json", *(f"0000{n}.parquet" for n in range(3))]  # and no part under another name
    folder = Folder(f"{bucket}/lists")
    assert json.loads(folder.read("batch.json") or b"{}")["complete"]
    for name in folder.names("lists"):
        there = pl.read_parquet(folder.read(f"lists/{name}") or b"")
        assert there.equals(pl.read_parquet(tmp_path / "lists/lists" / name))


def test_a_bucket_that_is_not_there_is_told_in_a_line(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["batch", "toys", "s3://no-such-bucket-here/lists", "--config", str(place)])
    assert ended.value.code in {1, 2}
    assert "s3://no-such-bucket-here" in capsys.readouterr().err


def fill(cache: Cache, version: str, size: int) -> object:
    lease = cache.hold("toys", version)
    (lease.folder / "model").mkdir(exist_ok=True)
    (lease.folder / "model/x.npy").write_bytes(b"x" * size)
    return lease


def there(folder: Path) -> set[str]:
    return {one.name for one in (folder / "toys").iterdir()}


def test_the_cache_keeps_to_its_bound_and_deletes_nothing_in_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most=250)
    leases = {name: fill(cache, name, 100) for name in ("a", "b")}
    for age, name in enumerate(("b", "a")):  # a was used last
        os.utime(tmp_path / "toys" / name / ".used", (age + 1, age + 1))
    assert cache.make_room(100) == []  # all of it is in use
    assert there(tmp_path) == {"a", "b"}
    del leases["a"]
    assert cache.make_room(100) == ["toys/a"]
    leases["c"] = fill(cache, "c", 100)
    leases.clear()
    assert cache.make_room(50) == []
    assert cache.make_room(51) == ["toys/b"]  # the one that was used longest ago
    assert cache.make_room(10_000) == ["toys/c"]
    assert there(tmp_path) == set()


def test_a_version_that_another_process_uses_stays(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most=0)
    del_later = fill(cache, "a", 10)
    program = "import sys; from pathlib import Path; from cuvee.artifacts.cache import Cache\n"
    program += "lease = Cache(Path(sys.argv[1]), 0).hold('toys', 'a'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        del del_later
        assert cache.make_room(1) == []
        other.kill()
        other.wait()
    assert cache.make_room(1) == ["toys/a"]
