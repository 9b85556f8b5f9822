"""What files and their columns are taken for: by names, by values, by ids that meet."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.catalog import Role
from cuvee.data.files.raw import Part, TimeUnit
from cuvee.errors import DataError
from cuvee.starting.columns import liked_from
from cuvee.starting.plan import Plan, looked_at

N = 120
USERS = [f"u{n % 12}" for n in range(N)]
ITEMS = [f"i{(n * 7 + n // 12) % 20}" for n in range(N)]
TIMES = [1_700_000_000 + 60 * n for n in range(N)]


def plan(folder: Path, events: dict[str, object], **files: dict[str, object]) -> Plan:
    paths = []
    for name, columns in (("events", events), *files.items()):
        pl.DataFrame(columns).write_csv(folder / f"{name}.csv")
        paths.append(folder / f"{name}.csv")
    return looked_at(paths[::-1], {})  # in any order


def meant(found: Plan, part: Part = Part.INTERACTIONS) -> dict[str, str]:
    """Ours -> the file's."""
    start = f"{part}."
    return {ours.removeprefix(start): theirs for ours, theirs in found.columns.items() if ours.startswith(start)}


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("user", "item", "time"),
        ("User-ID", "ISBN", "Timestamp"),
        ("customer_id", "article_id", "t_dat date"),
        ("CustomerID", "StockCode", "InvoiceDate"),
        ("reviewerID", "asin", "unixReviewTime"),
        ("household_key", "PRODUCT_ID", "DAY"),
        ("visitorid", "itemid", "timestamp"),
        ("用户", "商品", "时间"),
    ],
)
def test_columns_of_interactions_by_name(user: str, item: str, time: str, tmp_path: Path) -> None:
    found = plan(tmp_path, {item: ITEMS, "page": ["x"] * N, time: TIMES, user: USERS})
    said = meant(found)
    assert (said["user"], said["item"]) == (user, item)
    if time.lower() in {"time", "timestamp", "unixreviewtime", "时间"}:
        assert said["time"] == time


def test_names_that_tell_nothing_are_asked_about(tmp_path: Path) -> None:
    found = plan(tmp_path, {"a": USERS, "b": ITEMS, "c": TIMES})
    assert meant(found) == {"user": "a", "item": "b"}
    assert [(one.about, one.answers[0]) for one in found.questions] == [("user", "a"), ("item", "b")]
    user, item = found.questions
    turned = found.answered(user, "b")
    assert meant(turned) == {"user": "b", "item": "a"}
    assert "b" in found.still(user).answers
    assert "b" not in turned.still(item).answers


@pytest.mark.parametrize(
    ("times", "column", "unit"),
    [
        (TIMES, "time", None),
        ([1000 * t for t in TIMES], "time", TimeUnit.MILLISECONDS),
        ([10**6 * t for t in TIMES], "time", TimeUnit.MICROSECONDS),
        ([10**9 * t for t in TIMES], "time", TimeUnit.NANOSECONDS),
        ([dt.datetime.fromtimestamp(t, dt.UTC).isoformat() for t in TIMES], "time", None),
        ([f"{20240101 + n % 28}" for n in range(N)], "time", None),
        ([45000 + n for n in range(N)], "time", None),
        (list(range(1, N + 1)), "order", None),
    ],
)
def test_units_of_times(times: list[object], column: str, unit: TimeUnit | None, tmp_path: Path) -> None:
    found = plan(tmp_path, {"user": USERS, "item": ITEMS, "time": times})
    assert meant(found)[column] == "time"
    assert found.time_unit == unit


def test_dates_whose_month_nobody_knows_must_be_said(tmp_path: Path) -> None:
    found = plan(tmp_path, {"user": USERS, "item": ITEMS, "date": [f"0{1 + n % 9}/05/2024" for n in range(N)]})
    (question,) = found.questions
    assert question.must
    assert question.answers == ("%d/%m/%Y", "%m/%d/%Y")
    assert found.answered(question, "%m/%d/%Y").time_format == "%m/%d/%Y"


@pytest.mark.parametrize(
    ("ratings", "liked"),
    [
        ([1, 2, 3, 4, 5], 4),
        ([0.5, 1, 2.5, 3.5, 4, 5], 4),
        ([-1, 1, 5, 7, 8, 9, 10], 8),  # -1: watched, not rated
        ([0, 1, 6, 7, 8, 10], 8),  # 0: read, not rated
        ([0, 1], 1),
        ([3, 3, 3], None),
        (["1,5", "2,5", "4,5", "5,0"], 4.5),
    ],
)
def test_from_which_rating_on_an_event_is_a_like(ratings: list[object], liked: float | None) -> None:
    assert liked_from(pl.Series(ratings)) == liked


@pytest.mark.parametrize("name", ["InvoiceDate", "when", "x"])
@pytest.mark.parametrize("form", ["12/{day}/2010 8:26", "2024-05-{day}T10:00:00Z", "{day}.05.2024", "{day} May 2024"])
def test_times_are_known_by_their_values(form: str, name: str, tmp_path: Path) -> None:
    times = [form.format(day=10 + n % 18) for n in range(N)]
    found = plan(tmp_path, {"user": USERS, "item": ITEMS, name: times, "price": [1.5] * N, "version": ["1.2.3"] * N})
    assert meant(found) == {"user": "user", "item": "item", "time": name}


def test_amounts_are_no_ratings(tmp_path: Path) -> None:
    found = plan(tmp_path, {"user": USERS, "item": ITEMS, "value": [n * 1.37 for n in range(N)]})
    assert found.positive_from is None
    assert "value" not in meant(found)


ITEM_IDS = [f"i{n}" for n in range(20)]
USER_IDS = [f"u{n}" for n in range(12)]


def test_items_and_users_are_told_apart_by_the_ids_that_meet(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        {"user": USERS, "item": ITEMS},
        first={"key": USER_IDS, "age": list(range(12))},
        second={"n": list(range(20)), "code": ITEM_IDS, "name": [f"Name {n}" for n in range(20)]},
    )
    assert found.files[Part.USERS].stem == "first"
    assert found.files[Part.ITEMS].stem == "second"
    assert meant(found, Part.USERS) == {"user": "key"}
    assert meant(found, Part.ITEMS) == {"item": "code", "title": "name"}


@pytest.mark.parametrize("name", ["goods", "members"])
def test_where_ids_of_both_are_the_same_numbers_names_decide(name: str, tmp_path: Path) -> None:
    events = {"user": [n % 12 for n in range(N)], "item": [n % 12 for n in range(0, 7 * N, 7)]}
    found = plan(tmp_path, events, **{name: {"id": list(range(12)), "x": ["a"] * 12}})
    assert set(found.files) == {Part.INTERACTIONS, Part.ITEMS if name == "goods" else Part.USERS}


def test_roles_of_columns_that_the_importer_takes_for_prose(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        {"user": USERS, "item": ITEMS},
        books={
            "item": ITEM_IDS,
            "title": [f"Of {n}, and more" for n in range(20)],
            "genre": [("Action, Comedy", "Comedy, Drama", "Action, Drama")[n % 3] for n in range(20)],
            "author": [f"Ann {n % 9} Lee" for n in range(20)],
            "cover": [f"http://x/{n}.jpg" for n in range(20)],
            "publisher_id": [n % 4 for n in range(20)],
            "about": [f"It is long ago that {n} people, some of them old, met again {n * 7} times" for n in range(20)],
        },
    )
    assert {name.partition(".")[2]: role for name, role in found.roles.items()} == {
        "title": Role.TEXT,
        "genre": Role.CATEGORIES,
        "author": Role.CATEGORY,
        "cover": Role.OTHER,
        "publisher_id": Role.CATEGORY,
        "about": Role.TEXT,
    }
    assert found.list_separator == ","


def test_latin_1_is_read_as_it_is(tmp_path: Path) -> None:
    rows = "".join(f"{user},caf\xe9 {item}\n" for user, item in zip(USERS, ITEMS, strict=True))
    (tmp_path / "events.csv").write_bytes(b"user,item\n" + rows.encode("latin-1"))
    assert looked_at([tmp_path / "events.csv"], {}).encoding == "cp1252"


BAD: dict[str, tuple[dict[str, str], str]] = {
    "no users": ({"a.csv": "item,title\na,A\nb,B\n"}, "no file looks like interactions: a row for each event"),
    "no header": ({"a.csv": "1,2,3\n1,3,4\n2,3,5\n"}, "has no header: its first line is 1, 2, 3"),
    "two of them": (
        {"a.csv": "user,item\na,x\na,y\n", "b.csv": "user,item\nb,x\nb,y\n"},
        "several files look like interactions: .*; give only one",
    ),
    "two of items": (
        {"a.csv": "user,item\na,x\na,y\n", "b.csv": "id,t\nx,1\ny,2\n", "c.csv": "id,t\nx,1\ny,2\n"},
        "both look like files of items; give one of them",
    ),
    "ids that do not meet": (
        {"a.csv": "user,item\na,x\na,y\n", "b.csv": "id,t\nX1,1\nY1,2\n"},
        "no column of it holds the ids of items or users",
    ),
    "no rows": ({"a.csv": "user,item\n"}, "has no rows|no rows"),
    "JSON": ({"a.csv": '{"user":"a","item":"x"}\n'}, "holds JSON.*polars.read_ndjson"),
    "not there": ({}, "does not exist"),
}


@pytest.mark.parametrize("why", BAD)
def test_what_cannot_be_understood_is_told_with_the_remedy(why: str, tmp_path: Path) -> None:
    files, message = BAD[why]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        looked_at([tmp_path / name for name in files or ["a.csv"]], {})
