"""``available`` is a flag whatever it looks like in a file, or refused with the remedy; a hidden item stays hidden."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cuvee.data.catalog import Role
from cuvee.data.dataset import Dataset
from cuvee.data.files.cleaning import clean
from cuvee.data.files.raw import Part, RawData
from cuvee.data.files.readers import ReadOptions, gather
from cuvee.data.store.catalogue.overlay import hidden
from cuvee.errors import DataError

YES_NO = [
    ("1", "0"), ("true", "false"), ("True", "FALSE"), ("t", "f"), ("Y", "N"), ("yes", "no"), ("ON", "Off"),
    ("1.0", "0.0"), ("ja", "nein"), ("Oui", "Non"), ("wahr", "falsch"), (" yes ", " no "), ("available", "unavailable"),
]  # fmt: skip
UNKNOWN = ["", "n/a", "NULL", "None", "-", "nan"]


def hides(raw: RawData, folder: Path) -> list[str]:
    """The ids that no list may show, after the dataset was saved and loaded."""
    clean(raw)[0].save(folder / "data")
    items = Dataset.load(folder / "data").catalog.items
    assert items.roles["available"] is Role.FLAG
    assert items.frame.schema["available"] == pl.Boolean
    return items.ids(np.flatnonzero(hidden(items, [])))


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize(("yes", "no"), YES_NO)
def test_words_in_csv(yes: str, no: str, unknown: str, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text(f"id,available\na,{yes}\nb,{no}\nc,{unknown}\nd,{yes}\ne,{no}\n")
    raw = gather(items=tmp_path / "i.csv")
    assert raw.malformed.is_empty()
    assert hides(raw, tmp_path) == ["b", "e"]


@pytest.mark.parametrize("only", ["yes", "no"])
def test_one_word_alone(only: str, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text(f"id,available\na,{only}\nb,{only}\n")
    assert hides(gather(items=tmp_path / "i.csv"), tmp_path) == (["a", "b"] if only == "no" else [])


@pytest.mark.parametrize("name", ["available", "Available", "AVAILABLE", " available "])
def test_the_name_in_any_case(name: str, tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "b"], name: [1, 0]}).write_parquet(tmp_path / "i.parquet")
    assert hides(gather(items=tmp_path / "i.parquet"), tmp_path) == ["b"]


def test_a_mapped_column(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id,in_stock\na,Y\nb,N\n")
    options = ReadOptions(columns={"available": "in_stock"})
    assert hides(gather(items=tmp_path / "i.csv", options=options), tmp_path) == ["b"]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([True, False, None]),
        *(pl.Series([1, 0, None], dtype=kind) for kind in (pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Float64)),
        pl.Series([1.0, 0.0, float("nan")]),
        pl.Series([Decimal("1.00"), Decimal("0.00"), None]),
        pl.Series(["Y", "N", "n/a"]).cast(pl.Categorical),
        pl.Series(["Y", "N", None], dtype=pl.Enum(["Y", "N"])),
        pl.Series([b"1", b"0", None]),
    ],
    ids=lambda c: str(c.dtype),
)
def test_types_in_parquet(column: pl.Series, tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "b", "c"], "available": column}).write_parquet(tmp_path / "i.parquet")
    assert hides(gather(items=tmp_path / "i.parquet"), tmp_path) == ["b"]


def test_parts_that_write_it_differently(tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    for at, column in enumerate([[True, False], [1, 0], ["Y", "N"], [None, None], [1.0, 0.0]]):
        frame = pl.DataFrame({"id": [f"{at}a", f"{at}b"], "available": column})
        frame.write_parquet(tmp_path / "i" / f"part-{at}.parquet")
    assert hides(gather(items=tmp_path / "i"), tmp_path) == ["0b", "1b", "2b", "4b"]


@pytest.mark.parametrize("odd", ["maybe", "2", "-1", "0.5", "soon"])
def test_an_item_whose_flag_cannot_be_read_stays_hidden_and_is_told(odd: str, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text(f"id,available\na,yes\nb,{odd}\nc,no\n")
    (tmp_path / "e.csv").write_text("user,item,time\nu,a,1\nu,b,2\nu,c,3\n")
    raw = gather(tmp_path / "e.csv", items=tmp_path / "i.csv")
    assert hides(raw, tmp_path) == ["b", "c"]
    (told,) = [note for note in raw.notes if "are hidden" in note]
    assert f"1 of available are neither true nor false, such as {odd!r} at {tmp_path / 'i.csv'}:3" in told


@pytest.mark.parametrize("values", [["in stock", "sold out"], ["5", "12", "0"], ["2031-01-01", "2031-01-02"]])
def test_what_is_mostly_no_flag_is_refused_with_the_remedy(values: list[str], tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id,available\n" + "".join(f"i{at},{v}\n" for at, v in enumerate(values)))
    with pytest.raises(DataError, match=r"true or false, yes or no, 1 or 0; it holds '.*'.*--map stock=available"):
        gather(items=tmp_path / "i.csv")
    raw = gather(items=tmp_path / "i.csv", options=ReadOptions(columns={"stock": "available"}))
    assert raw.items is not None
    assert list(raw.items.roles) == ["stock"]


@pytest.mark.parametrize("values", [[[True], [False]], [{"a": 1}, {"a": 0}]])
def test_a_nested_column_is_refused(values: list[object], tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "b"], "available": values}).write_parquet(tmp_path / "i.parquet")
    with pytest.raises(DataError, match="available"):
        gather(items=tmp_path / "i.parquet")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.FLAG])
def test_another_role_is_refused(role: Role, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id,available\na,1\nb,0\n")
    with pytest.raises(DataError, match="always a flag"):
        gather(items=tmp_path / "i.csv", options=ReadOptions(roles={"available": role}))


def test_users_may_have_a_column_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("id,available\na,mornings\nb,evenings\n")
    raw = gather(users=tmp_path / "u.csv")
    assert raw.users is not None
    assert raw.users.frame["available"].to_list() == ["mornings", "evenings"]


@pytest.mark.parametrize("first", ["yes", "1", "true"])
def test_a_later_import_may_write_it_differently(first: str, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text(f"id,available\na,{first}\nb,{first}\n")
    dataset, _ = clean(gather(items=tmp_path / "i.csv"))
    (tmp_path / "j.csv").write_text("id,available\nb,N\nc,Y\n")
    raw = gather(items=tmp_path / "j.csv", there={Part.ITEMS: dataset.catalog.items, Part.USERS: dataset.catalog.users})
    after, _ = clean(raw, into=dataset)
    assert after.catalog.items.frame["available"].to_list() == [True, False, True]
