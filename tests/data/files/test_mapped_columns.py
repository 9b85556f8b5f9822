"""Parquet and CSV whose columns the caller maps, and the roles of all others."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.catalog import Entities, Role
from cuvee.data.files.cleaning import clean
from cuvee.data.files.readers import Part, ReadOptions, TimeUnit, gather
from cuvee.errors import DataError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(separator: str, tmp_path: Path) -> None:
    rows = [("uid", "sku", "at", "stars"), ("ann", "x", "5", "4.5"), ("bob", "y", "6", "2")]
    file = write(tmp_path / "events.txt", "".join(separator.join(row) + "\n" for row in rows))
    columns = {"user": "uid", "item": "sku", "time": "at", "value": "stars"}
    found = gather(file, options=ReadOptions(columns=columns)).interactions
    assert found.select("user", "item", "time", "value").rows() == [("ann", "x", 5, 4.5), ("bob", "y", 6, 2)]


def test_usual_names_are_found_whatever_their_case(tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", "UserID,movie_id,Rating,Timestamp,note\na,x,4,1700000000,hm\n")
    raw = gather(file, form="csv")
    assert raw.interactions.select("user", "item", "value", "time").rows() == [("a", "x", 4, 1700000000)]
    assert raw.notes == ("e.csv: user is 'UserID', item is 'movie_id', time is 'Timestamp', value is 'Rating'",)


def test_parquet_ids_of_any_type_are_text(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": [1.0, 2.0, None], "item": [10, 20, 30], "time": [1, 2, 3]})
    frame.write_parquet(tmp_path / "e.parquet")
    found = gather(tmp_path / "e.parquet").interactions
    assert found["user"].to_list() == ["1", "2", None]
    assert found["item"].to_list() == ["10", "20", "30"]


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    for part in (1, 2):
        pl.DataFrame({"user": [f"u{part}"], "item": ["x"]}).write_parquet(tmp_path / f"part-{part}.parquet")
    found = gather(tmp_path).interactions
    assert found["user"].to_list() == ["u1", "u2"]
    assert [Path(f).name for f in found["file"]] == ["part-1.parquet", "part-2.parquet"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1937933100", 1937933100),
        ("1937933100.5", 1937933100.5),
        ("2031-05-30 18:45:00", 1937933100),
        ("2031-05-30T18:45:00", 1937933100),
        ("2031-05-30T18:45:00Z", 1937933100),
        ("2031-05-30T18:45:00.250Z", 1937933100.25),
        ("2031-05-30T20:45:00+02:00", 1937933100),
        ("2031-05-30 18:45", 1937933100),
        ("2031-05-30", 1937865600),
    ],
)
def test_times_as_text(text: str, seconds: float, tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", f"user,item,time\na,x,{text}\n")
    raw = gather(file)
    assert raw.malformed.is_empty()
    assert raw.interactions["time"].to_list() == [seconds]


def test_times_as_dates_in_parquet(tmp_path: Path) -> None:
    moment = dt.datetime(2031, 5, 30, 18, 45, tzinfo=dt.UTC)
    zoned = moment.astimezone(dt.timezone(dt.timedelta(hours=2)))
    for name, value in (("naive", moment.replace(tzinfo=None)), ("zoned", zoned)):
        pl.DataFrame({"user": ["a"], "item": ["x"], "time": [value]}).write_parquet(tmp_path / f"{name}.parquet")
        assert gather(tmp_path / f"{name}.parquet").interactions["time"].to_list() == [1937933100]
    pl.DataFrame({"user": ["a"], "item": ["x"], "time": [moment.date()]}).write_parquet(tmp_path / "d.parquet")
    assert gather(tmp_path / "d.parquet").interactions["time"].to_list() == [1937865600]


@pytest.mark.parametrize("unit", TimeUnit)
def test_time_units(unit: TimeUnit, tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", f"user,item,time\na,x,{round(1937933100 * unit.per_second)}\n")
    found = gather(file, options=ReadOptions(time_unit=unit)).interactions
    assert found["time"].to_list() == [1937933100]


def test_a_mapped_column_that_is_not_there(tmp_path: Path) -> None:
    file = write(tmp_path / "e.csv", "user,item\na,x\n")
    with pytest.raises(DataError, match="has no column 'when' for the time; it has: user, item"):
        gather(file, options=ReadOptions(columns={"time": "when"}))


ITEMS = """sku,name,price,stock,genres,zip,listed,colour,embedding
x,"Lamp, small",9.50,3,Home|Light,01002,true,red,0.5|1
y,Chair,20,4,Home,99501,false,blue,0|2
z,Desk,80,,,10001,true,red,1|1
"""


def test_roles_are_guessed_from_text(tmp_path: Path) -> None:
    items = gather(items=write(tmp_path / "i.csv", ITEMS), options=ReadOptions(columns={"item": "sku"})).items
    assert items is not None
    assert items.roles == {
        "name": Role.TEXT,
        "price": Role.NUMBER,
        "stock": Role.NUMBER,
        "genres": Role.CATEGORIES,
        "zip": Role.TEXT,  # not a number: a leading zero means something
        "listed": Role.FLAG,
        "colour": Role.CATEGORY,
        "embedding": Role.CATEGORIES,  # unless the caller says that it is a vector
    }
    assert items.frame["price"].to_list() == [9.5, 20, 80]
    assert items.frame["stock"].to_list() == [3, 4, None]
    assert items.frame["genres"].to_list() == [["Home", "Light"], ["Home"], None]
    assert items.frame["listed"].to_list() == [True, False, True]
    assert items.frame["id"].to_list() == ["x", "y", "z"]


def test_roles_as_given(tmp_path: Path) -> None:
    options = ReadOptions(
        columns={"item": "sku", "title": "name"},
        roles={"zip": Role.OTHER, "items.embedding": Role.VECTOR, "colour": Role.CATEGORIES, "stock": Role.CATEGORY},
    )
    items = gather(items=write(tmp_path / "i.csv", ITEMS), options=options).items
    assert items is not None
    assert items.roles["zip"] is Role.OTHER
    assert items.frame.schema["embedding"] == pl.Array(pl.Float32, 2)
    assert items.frame["embedding"].to_list() == [[0.5, 1], [0, 2], [1, 1]]
    assert items.frame["colour"].to_list() == [["red"], ["blue"], ["red"]]
    assert items.frame["stock"].to_list() == ["3", "4", None]
    assert items.frame["title"].to_list() == ["Lamp, small", "Chair", "Desk"]


@pytest.mark.parametrize(
    ("role", "cell", "reason"),
    [
        (Role.NUMBER, "many", "extra 'many' is not a number"),
        (Role.FLAG, "perhaps", "extra 'perhaps' is not true or false"),
        (Role.VECTOR, "1|2|3", "extra '1|2|3' is not a vector of 2 numbers"),
        (Role.VECTOR, "1|two", "extra '1|two' is not a vector of 2 numbers"),
    ],
)
def test_a_cell_that_does_not_fit_its_role_is_malformed(role: Role, cell: str, reason: str, tmp_path: Path) -> None:
    good = {Role.NUMBER: "1", Role.FLAG: "yes", Role.VECTOR: "1|2"}[role]
    file = write(tmp_path / "i.csv", f"id,extra\na,{good}\nb,{cell}\nc,{good}\n")
    raw = gather(items=file, options=ReadOptions(roles={"extra": role}))
    assert raw.items is not None
    assert raw.items.frame["id"].to_list() == ["a", "c"]
    assert raw.malformed.select("part", "line", "reason").rows() == [("items", 3, reason)]


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "id": ["a", "b"],
            "tags": [["p", "q"], []],
            "codes": [[1, 2], [3]],
            "vector": pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2)),
            "uneven": [[1.0], [1.0, 2.0]],
            "price": [1.5, None],
            "sold": [True, False],
            "since": [dt.date(2031, 1, 1), None],
        }
    )
    frame.write_parquet(tmp_path / "i.parquet")
    items = gather(items=tmp_path / "i.parquet").items
    assert items is not None
    assert items.roles == {
        "tags": Role.CATEGORIES,
        "codes": Role.CATEGORIES,
        "vector": Role.VECTOR,
        "uneven": Role.OTHER,
        "price": Role.NUMBER,
        "sold": Role.FLAG,
        "since": Role.OTHER,
    }
    assert items.frame["codes"].to_list() == [["1", "2"], ["3"]]
    assert items.frame.schema["vector"] == pl.Array(pl.Float32, 2)
    Entities.of(items.frame, items.roles).save(tmp_path / "items.arrow")
    assert Entities.load(tmp_path / "items.arrow").frame.equals(items.frame)


def test_another_list_separator_and_encoding(tmp_path: Path) -> None:
    file = tmp_path / "i.csv"
    file.write_bytes("id,tags\na,café / bar\n".encode("latin-1"))
    options = ReadOptions(list_separator="/", encoding="latin-1", roles={"tags": Role.CATEGORIES})
    items = gather(items=file, options=options).items
    assert items is not None
    assert items.frame["tags"].to_list() == [["café", "bar"]]
    with pytest.raises(DataError, match="no known encoding"):
        gather(items=file, options=ReadOptions(encoding="klingon"))


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_bytes(b"\xef\xbb\xbfuser,item\na,x\n")
    assert gather(file).interactions["user"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(roles={"colour": Role.TEXT}), r"--role colour=text: no items or users file has such a column"),
        (ReadOptions(columns={"titel": "name"}), r"--map titel=name: no items or users file has a column 'name'"),
    ],
)
def test_a_misspelt_name_is_not_passed_over(options: ReadOptions, message: str, tmp_path: Path) -> None:
    file = write(tmp_path / "i.csv", "id,price\na,1\n")
    with pytest.raises(DataError, match=message):
        gather(items=file, options=options)


def test_columns_that_are_there_keep_their_roles(tmp_path: Path) -> None:
    there = Entities.of(
        pl.DataFrame({"id": ["a"], "genres": [["Noir"]], "code": ["x1"]}),
        {"genres": Role.CATEGORIES, "code": Role.CATEGORY},
    )
    file = write(tmp_path / "new.csv", "id,genres,code\nb,Drama,7\n")
    raw = gather(items=file, there={Part.ITEMS: there})
    assert raw.items is not None
    assert raw.items.frame.row(0) == ("b", ["Drama"], "7")


def test_one_role_for_two_columns_of_one_name(tmp_path: Path) -> None:
    items = write(tmp_path / "i.csv", "id,code\na,1\n")
    users = write(tmp_path / "u.csv", "id,code\nu,1\n")
    raw = gather(items=items, users=users, options=ReadOptions(roles={"items.code": Role.CATEGORY}))
    assert raw.items is not None
    assert raw.users is not None
    assert (raw.items.roles["code"], raw.users.roles["code"]) == (Role.CATEGORY, Role.NUMBER)


def test_everything_together(tmp_path: Path) -> None:
    events = write(tmp_path / "e.csv", "who,sku,at\nann,x,5\nbob,y,6\nann,q,7\n")
    items = write(tmp_path / "i.csv", ITEMS)
    users = write(tmp_path / "u.csv", "who,age\nbob,33\n")
    options = ReadOptions(columns={"user": "who", "item": "sku", "time": "at"})
    dataset, report = clean(gather(events, items=items, users=users, options=options))
    assert dataset.catalog.items.frame["id"].to_list() == ["x", "y", "z", "q"]
    assert dataset.catalog.users.frame["id"].to_list() == ["bob", "ann"]
    assert (report.items.bare, report.users.bare) == (1, 1)
    assert dataset.catalog.items.row(3) == {}


def shop(folder: Path, items: str = "sku,weight,nam\nx,7,Hat\n") -> tuple[Path, Path, Path]:
    events = write(folder / "sales.csv", "uid,track,time\na,x,1\nb,x,2\n")
    return events, write(folder / "goods.csv", items), write(folder / "people.csv", "customer,age\na,30\nb,40\n")


def test_each_file_has_its_own_name_for_an_id(tmp_path: Path) -> None:
    events, items, users = shop(tmp_path)
    columns = {"user": "uid", "item": "track", "items.item": "sku", "users.user": "customer", "items.title": "nam"}
    raw = gather(events, items=items, users=users, options=ReadOptions(columns=columns))
    assert raw.interactions.select("user", "item").rows() == [("a", "x"), ("b", "x")]
    assert raw.items is not None
    assert raw.users is not None
    assert raw.items.frame.select("id", "title", "weight").rows() == [("x", "Hat", 7)]
    assert raw.users.frame.select("id", "age").rows() == [("a", 30), ("b", 40)]


def test_a_name_for_one_file_goes_before_one_for_every_file(tmp_path: Path) -> None:
    events, items, _ = shop(tmp_path, "item,sku,track\n9,x,z\n")
    columns = {"user": "uid", "item": "track", "items.item": "sku", "items.weight": "item"}
    raw = gather(events, items=items, options=ReadOptions(columns=columns))
    assert raw.items is not None
    assert raw.items.frame.select("id", "weight").rows() == [("x", 9)]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"items.item": "nothere"}, "--map items.item=nothere: .*goods.csv has no column 'nothere'"),
        ({"items.title": "nothere"}, "--map items.title=nothere: .*goods.csv has no column 'nothere'"),
        ({"users.user": "customer"}, "--map users.user=customer: no file of users is given"),
        ({"interactions.titel": "nam"}, "--map interactions.titel=nam: .* of interactions only user, item, time"),
        ({"item": "sku"}, "has no column 'sku' for the item; .*for the items file alone, say --map items.item=sku"),
        ({"interactions.item": "sku"}, "sales.csv has no column 'sku' for the item; it has: uid, track, time$"),
    ],
)
def test_a_name_for_one_file_that_fits_nothing_is_refused(columns: dict[str, str], says: str, tmp_path: Path) -> None:
    events, items, _ = shop(tmp_path)
    named = {"user": "uid", "item": "track", "items.item": "sku"}
    with pytest.raises(DataError, match=says):
        gather(events, items=items, options=ReadOptions(columns={**named, **columns}))
