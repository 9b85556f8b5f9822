"""Wrong first steps: each message names the cause and what to do next. One table, a kind of mistake a row."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import gzip
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cuvee.testing import RunningServer, run_server

from .conftest import HERE, TOYPLUGIN, Run, toy_data

EVENTS = "user,item,time\n" + "".join(f"u{n % 30},i{n % 20},2024-01-{1 + n % 27:02d}\n" for n in range(400))


def zipped(path: Path, **files: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


def files(place: Path) -> None:
    """Files as people have them, good and bad, beside a good configuration."""
    write: dict[str, str] = {
        "plays.csv": EVENTS, "empty.csv": "", "header.csv": "user,item,time\n",
        "goods.csv": "id,title,price\n" + "".join(f"{n},Thing {n},{n / 4}\n" for n in range(50)),
        "events.json": '[{"user": "1", "item": "2"}]', "events.jsonl": '{"user": "1", "item": "2"}\n' * 50,
        "dates.csv": "user,item,date\n" + "".join(f"u{n % 9},i{n % 7},0{1 + n % 9}/0{1 + n % 8}/2024\n" for n in range(99)),
        "blocked": "a file where a folder is wanted",
    }  # fmt: skip
    for name, text in write.items():
        (place / name).write_text(text)
    (place / "half.parquet").write_bytes(b"PAR1" + bytes(500))
    (place / "half.csv.gz").write_bytes(gzip.compress(EVENTS.encode())[:400])
    zipped(place / "both.zip", **{"plays.csv": EVENTS, "goods.csv": write["goods.csv"]})
    zipped(place / "book.xlsx", **{"[Content_Types].xml": "<a/>", "xl/workbook.xml": "<a/>"})
    (place / "folder").mkdir()
    (place / "elsewhere").mkdir()
    shutil.copyfile(place / "cuvee.toml", place / "elsewhere" / "cuvee.toml")
    (place / "lonely").mkdir()
    shutil.copyfile(place / "products" / "toys.toml", place / "lonely" / "lonely.toml")
    (place / "lonely.toml").write_text('products = "lonely"\n' + (place / "cuvee.toml").read_text())
    plugins = (place / "cuvee.toml").read_text() + '\n[recommenders.factors]\nplugin = "lightfmm"\n'
    (place / "plugins.toml").write_text(plugins)


# a name, the command, what the message says of the cause, and of what to do
STEPS = [
    ("no configuration", "serve --config none.toml", r"none\.toml\s+does not exist", "cuvee init FILES"),
    ("the same for a fit", "fit --config none.toml", r"none\.toml\s+does not exist", "--config FILE"),
    ("a configuration of another folder", "fit --config elsewhere/cuvee.toml", "holds no product", "add NAME.toml"),
    ("serve before fit", "serve --workers 1 --listen 127.0.0.1:0", "nothing was fitted yet", "cuvee fit toys"),
    ("snapshots before fit", "snapshots list toys", "nothing was fitted yet", "cuvee fit toys"),
    ("a product without its dataset", "fit --config lonely.toml", "lonely.events.arrow does not exist", "cuvee import FILE --dataset lonely"),
    ("a product misspelt", "fit toyz", "no product named 'toyz'", "there are: .*toys"),
    ("a plugin that is not installed", "fit --config plugins.toml", "registers the recommender 'lightfmm'", "there are: "),
    ("a command misspelt", "recomend toys", "No such command 'recomend'", "Did you mean"),
    ("an option misspelt", "fit --confg cuvee.toml", "No such option: --confg", "--config"),
    ("no argument", "recommend", "Missing argument 'PRODUCT'", "--help"),
    ("a file that is not there", "init playz.csv --yes --folder new", "playz.csv does not exist", r"is plays\.csv meant\?"),
    ("an empty file", "init empty.csv --yes --folder new", "empty.csv is empty", "Write it again"),
    ("a header alone", "init header.csv --yes --folder new", "has no rows", "nothing to start with"),
    ("an empty folder", "init folder --yes --folder new", "is an empty folder", "name a file"),
    ("a zip with two files", "init both.zip --yes --folder new", "packs 2 files", "unpack it"),
    ("items as interactions", "init goods.csv --yes --folder new", "no file looks like interactions", "--map user=COLUMN"),
    ("an Excel file", "init book.xlsx --yes --folder new", "is a workbook", "save its sheet as CSV"),
    ("JSON", "init events.json --yes --folder new", "holds JSON", "write_parquet"),
    ("JSON lines", "init events.jsonl --yes --folder new", "holds JSON", "write_parquet"),
    ("dates of two meanings", "init dates.csv --yes --folder new", "may be", "--time-format"),
    ("half a Parquet file", "init half.parquet --yes --folder new", "cannot be read as Parquet", "wait for its end"),
    ("half a gzip", "init half.csv.gz --yes --folder new", "is it whole", "wait for its end"),
    ("no place to write", "init plays.csv --yes --folder blocked/new", "cannot be written: Not a directory", "folder of your own"),
    ("a second init", "init plays.csv --yes", "cuvee.toml exists", "say --folder NEW"),
    ("plaintext for other machines", "serve --workers 1 --listen 0.0.0.0:0", "reached from other machines", "cuvee token new"),
    ("no server", "recommend toys --user u1 --address 127.0.0.1:1", "no server answers", "cuvee serve"),
    ("a port alone", "recommend toys --user u1 --address 50051", "no server answers at 50051", "127.0.0.1:50051"),
    ("nobody is asked for", "recommend toys --address {server}", "user_id", "context_item_ids"),
    ("a product that the server has not", "recommend toyz --user u1 --address {server}", "toyz", "toys"),
    ("a port that is taken", "serve --workers 1 --listen {server}", "cannot listen on", "give another address"),
    ("another program's port", "recommend toys --user u1 --timeout 1 --address {silent}", "did not answer in time", "--address"),
]  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    place = tmp_path_factory.mktemp("fitted")
    shutil.copytree(HERE / "good", place, dirs_exist_ok=True)
    toy_data().save(place / "data" / "toys")
    paths = {"PYTHONPATH": os.pathsep.join([str(TOYPLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(place / "cuvee.toml")]
    subprocess.run(command, check=True, env={**os.environ, **paths}, capture_output=True)
    with run_server(place / "cuvee.toml", environment=paths) as server:
        yield server


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a program that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def at(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files(place)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(("command", "cause", "remedy"), [pytest.param(*rest, id=name) for name, *rest in STEPS])
def test_a_wrong_step_says_why_and_what_next(
    command: str, cause: str, remedy: str, run: Run, at: Path, request: pytest.FixtureRequest
) -> None:
    address: dict[str, Callable[[], str]] = {
        "{server}": lambda: request.getfixturevalue("fitted").address,
        "{silent}": lambda: request.getfixturevalue("silent"),
    }
    for name, found in address.items():
        command = command.replace(name, found()) if name in command else command
    done = run(*command.split())
    said = done.err + done.out
    assert re.search(cause, said), said
    assert re.search(remedy, said), said
    assert "Traceback" not in said
    assert done.code in ((0,) if command.startswith("snapshots") else (1, 2))
    assert not (at / "new" / "cuvee.toml").exists()


def test_the_same_import_again_adds_nothing_and_says_so(run: Run, at: Path) -> None:
    for new, updated in ((400, 0), (0, 400)):
        done = run("import", "plays.csv", "--dataset", "again", "--data-dir", "elsewhere")
        assert done.code == 0, done.err
        (row,) = (line.split() for line in done.out.splitlines() if line.startswith("interactions"))
        assert [int(row[4].replace(",", "")), int(row[5].replace(",", ""))] in ([new, updated], [new, 0])


def test_an_unknown_user_gets_a_list_and_is_said_to_be_unknown(run: Run, fitted: RunningServer) -> None:
    done = run("recommend", "toys", "--user", "nobody", "--address", fitted.address)
    assert done.code == 0, done.err
    assert "user unknown" in done.out or "not known" in done.out


def test_models_of_other_settings_are_told_with_the_remedy(run: Run, at: Path) -> None:
    assert run("fit").code == 0
    config = at / "cuvee.toml"
    config.write_text(config.read_text().replace("strength = 2.0", "strength = 3.0"))
    done = run("check")
    assert "has changed since version" in done.err
    assert "cuvee fit toys" in done.err
