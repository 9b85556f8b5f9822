"""Three people, three films and five ratings, in each layout that MovieLens comes in."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.catalog import Role
from cuvee.data.files.cleaning import clean
from cuvee.data.files.movielens import OCCUPATIONS, MovieLensReader
from cuvee.data.files.readers import BUILT_IN, ReadOptions, choose, gather
from cuvee.errors import DataError

LAYOUTS = Path(__file__).parent / "layouts"
ALL = ["100k", "1m", "latest", "atomic"]


@pytest.mark.parametrize("layout", ALL)
def test_interactions_are_the_same_in_every_layout(layout: str) -> None:
    raw = gather(LAYOUTS / layout)
    found = raw.interactions
    assert found["user"].to_list() == ["1", "2", "1", "2", "3"]
    assert found["item"].to_list() == ["11", "12", "12", "11", "13"]
    assert found["value"].to_list() == [5, 3, 2, 4, 1]
    assert found["time"].to_list() == [500, 510, 505, 510, 520]
    header = 1 if layout in {"latest", "atomic"} else 0
    assert found["line"].to_list() == [n + header for n in (1, 2, 3, 4, 5)]
    assert raw.malformed.is_empty()


@pytest.mark.parametrize("layout", ALL)
def test_items_are_the_same_in_every_layout(layout: str) -> None:
    items = gather(LAYOUTS / layout).items
    assert items is not None
    assert items.roles == {"title": Role.TEXT, "year": Role.NUMBER, "genres": Role.CATEGORIES}
    assert items.frame.to_dict(as_series=False) == {
        "id": ["11", "12", "13"],
        "title": ["The Café at Dusk", "Nine Lanterns (Neun Laternen)", "unknown"],
        "year": [1994, 1988, None],
        "genres": [["Drama", "Romance"], ["Film-Noir"], None if layout == "1m" else []],
    }


@pytest.mark.parametrize("layout", ["100k", "1m", "atomic"])
def test_users_are_the_same_in_every_layout_that_has_them(layout: str) -> None:
    users = gather(LAYOUTS / layout).users
    assert users is not None
    assert users.roles == {
        "age": Role.NUMBER,
        "gender": Role.CATEGORY,
        "occupation": Role.CATEGORY,
        "zip": Role.OTHER,
    }
    assert users.frame.select("id", "age", "gender", "occupation", "zip").rows() == [
        ("1", 24, "M", "technician", "85711"),
        ("2", 53, "F", "writer", "T8H1N"),
        ("3", 7, "F", "student", "01002"),
    ]


def test_all_occupation_codes_have_words() -> None:
    assert len(OCCUPATIONS) == 21
    assert len(set(OCCUPATIONS.values())) == 21


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("100k/u.data", "interactions"),
        ("100k/u.item", "items"),
        ("100k/u.user", "users"),
        ("1m/ratings.dat", "interactions"),
        ("1m/movies.dat", "items"),
        ("1m/users.dat", "users"),
        ("latest/ratings.csv", "interactions"),
        ("latest/movies.csv", "items"),
        ("atomic/films.inter", "interactions"),
        ("atomic/films.item", "items"),
        ("atomic/films.user", "users"),
    ],
)
def test_a_file_alone_is_known_by_its_lines_whatever_its_name(file: str, part: str, tmp_path: Path) -> None:
    renamed = tmp_path / "something"
    renamed.write_bytes((LAYOUTS / file).read_bytes())
    assert isinstance(choose(renamed), MovieLensReader)
    raw = MovieLensReader().read(renamed, ReadOptions())
    held = {"interactions": len(raw.interactions) > 0, "items": raw.items is not None, "users": raw.users is not None}
    assert [name for name, there in held.items() if there] == [part]


@pytest.mark.parametrize(
    ("title", "words", "year"),
    [
        ("Plain (1999)", "Plain", 1999),
        ("Plain (1999) ", "Plain", 1999),
        ("No year", "No year", None),
        ("Two (1968) (1999)", "Two (1968)", 1999),
        ("A Series (1999-2004)", "A Series", 1999),
        ("Still Running (1999\N{EN DASH} )", "Still Running", 1999),
        ("(1999)", "(1999)", 1999),
        ("2001: One (1968)", "2001: One", 1968),
        ("Not (a year)", "Not (a year)", None),
    ],
)
def test_the_year_is_parted_from_the_title(title: str, words: str, year: int | None, tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(f'movieId,title,genres\n1,"{title}",Drama\n', encoding="utf-8")
    items = gather(items=tmp_path / "movies.csv").items
    assert items is not None
    assert items.frame.select("title", "year").row(0) == (words, year)


def test_a_title_may_hold_separators_quotation_marks_and_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(
        'movieId,title,genres\n1,"Red, ""White"" and\nBlue (1990)",Drama\n'
        '2,12" of Snow (1991),Comedy\n3,Plain (1992),War\n'
    )
    raw = gather(items=tmp_path / "movies.csv")
    items = raw.items
    assert raw.malformed.is_empty()
    assert items is not None
    assert items.frame["title"].to_list() == ['Red, "White" and\nBlue', '12" of Snow', "Plain"]
    assert items.places["line"].to_list() == [2, 4, 5]


def test_a_folder_needs_no_companions(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_bytes((LAYOUTS / "100k/u.data").read_bytes())
    raw = gather(tmp_path)
    assert raw.items is None
    assert raw.users is None
    assert len(raw.interactions) == 5


def test_a_packed_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv.gz").write_bytes(gzip.compress((LAYOUTS / "latest/ratings.csv").read_bytes()))
    assert len(gather(tmp_path / "ratings.csv.gz").interactions) == 5


def test_a_missing_file_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist; expected(.|\n)*MovieLens folder(.|\n)*\.parquet"):
        gather(tmp_path / "nowhere")


def test_an_unknown_layout_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "song").write_text("la la la")
    with pytest.raises(DataError, match=r"no layout that a reader knows(.|\n)*MovieLens folder"):
        gather(tmp_path / "song")


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no layout"):
        gather(tmp_path)
    with pytest.raises(DataError, match="holds no MovieLens"):
        gather(tmp_path, form="movielens")


def test_two_sets_of_atomic_files_in_a_folder_are_ambiguous(tmp_path: Path) -> None:
    for name in ("a.inter", "b.inter"):
        (tmp_path / name).write_bytes((LAYOUTS / "atomic/films.inter").read_bytes())
    with pytest.raises(DataError, match=r"2 files named \*.inter"):
        gather(tmp_path)


def test_two_readers_that_claim_a_folder_are_ambiguous(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_bytes((LAYOUTS / "latest/ratings.csv").read_bytes())
    pl.DataFrame({"user": ["a"], "item": ["b"]}).write_parquet(tmp_path / "more.parquet")
    with pytest.raises(DataError, match="--format, one of: movielens, parquet"):
        gather(tmp_path)
    assert len(gather(tmp_path, form="movielens").interactions) == 5


def test_a_reader_that_knows_a_layout_goes_before_a_general_one_whatever_their_order() -> None:
    for readers in (BUILT_IN, dict(sorted(BUILT_IN.items())), dict(reversed(BUILT_IN.items()))):
        assert isinstance(choose(LAYOUTS / "latest/ratings.csv", readers), MovieLensReader)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(DataError, match="no reader is named 'excel'; there are: auto, movielens, parquet, csv"):
        choose(LAYOUTS, form="excel")


def test_a_file_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(DataError, match=r"movies\.dat holds no users but items"):
        gather(users=LAYOUTS / "1m/movies.dat")


@pytest.mark.parametrize("layout", ALL)
def test_a_layout_becomes_a_dataset(layout: str) -> None:
    dataset, report = clean(gather(LAYOUTS / layout))
    assert (len(dataset), dataset.n_users, dataset.n_items) == (5, 3, 3)
    assert report.dropped == ()
    # by user, then time; the two events of user 2 at 510 keep the file's order
    assert dataset.catalog.items.ids(dataset.events.items) == ["11", "12", "12", "11", "13"]
