"""CSV as people have it: however it is packed, encoded, separated and ended."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cuvee.data.catalog import Role
from cuvee.data.files.cleaning import clean
from cuvee.data.files.raw import RawData
from cuvee.data.files.readers import ReadOptions, gather
from cuvee.errors import DataError

ROWS = [("ann", "café", 1700000000), ("bob", "x", 1700000010)]


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("events.csv", data)
    return file.getvalue()


def zstd(data: bytes) -> bytes:
    file = io.BytesIO()
    pl.read_lines(io.BytesIO(data)).lazy().sink_csv(
        file, include_header=False, quote_style="never", separator="\x01", compression="zstd"
    )
    return file.getvalue()


PACKED = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "zstd": zstd,
}
ENCODED = {
    "utf-8": str.encode,
    "utf-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 big-endian": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-le"),
    "utf-16 big-endian without a mark": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "utf-32 big-endian": lambda text: codecs.BOM_UTF32_BE + text.encode("utf-32-be"),
    "gb18030": lambda text: ("\ufeff" + text).encode("gb18030"),
}
ENDS = {"LF": "\n", "CR LF": "\r\n", "CR": "\r", "CR CR LF": "\r\r\n"}


def table(separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(map(str, row)) + end for row in [("user", "item", "time"), *ROWS])


def events(raw: RawData) -> list[tuple[object, ...]]:
    return raw.interactions.select("user", "item", "time").rows()


@pytest.mark.parametrize("name", ["events.csv", "events", "events.gz", "events.csv.zip", "events.dat"])
@pytest.mark.parametrize("packed", PACKED)
def test_packed_by_anything_under_any_name(packed: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(PACKED[packed](table().encode()))
    assert events(gather(file)) == ROWS


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("encoded", ENCODED)
def test_encodings_and_line_ends(encoded: str, end: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(ENCODED[encoded](table(end=ENDS[end])))
    assert events(gather(file)) == ROWS


@pytest.mark.parametrize("packed", ["gzip", "zip", "xz"])
@pytest.mark.parametrize("encoded", ["utf-16", "utf-32", "utf-16 without a mark"])
def test_encoded_and_packed(encoded: str, packed: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(PACKED[packed](ENCODED[encoded](table(";", "\r\n"))))
    assert events(gather(file)) == ROWS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "\n\n", "sep={}\n", '"sep={}"\n', "SEP={}\n"])
def test_separators_and_what_excel_says_of_them(before: str, separator: str, end: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes((before.format(separator).replace("\n", end) + table(separator, end)).encode())
    assert events(gather(file)) == ROWS


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("above", "header"),
    [
        ("# exported 2024-01-02\n", 2),
        ("#\n# from the shop, by hand, 2024\n", 3),
        ("\n# from the shop\n\n# of 2024\n\n", 6),
        ("Report of plays\n", 2),
        ("Report of plays, by us\n", 2),
        ("Report of plays\nGenerated: 2024-01-02 10:00\n\n", 4),
        ("sep={}\n# exported 2024-01-02\n", 3),
    ],
)
def test_lines_above_the_header_are_left_out_and_told(above: str, header: int, separator: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(above.format(separator) + table(separator))
    raw = gather(file)
    assert events(raw) == ROWS
    assert raw.interactions["line"].to_list() == [header + 1, header + 2]
    assert any(f": the header is line {header};" in note for note in raw.notes)


@pytest.mark.parametrize("header", ["#user,item,time", "# user,item,time", "#user_id,item_id,timestamp"])
@pytest.mark.parametrize("before", ["", "# exported 2024-01-02\n"])
def test_a_header_that_is_written_as_a_comment(before: str, header: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(f"{before}{header}\nann,café,1700000000\nbob,x,1700000010\n")
    assert events(gather(file)) == ROWS


@pytest.mark.parametrize(
    "rows",
    [
        ["user,item", "ann,x", "# of,y", "#bob,z"],  # an id may begin so
        ["user,item", "ann,x,3", "bob,y,4", "bob,z,5"],  # a header that is too short is a mistake in all rows
    ],
)
def test_rows_are_not_taken_for_lines_above_the_header(rows: list[str], tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("\n".join(rows) + "\n")
    raw = gather(file)
    assert len(raw.interactions) + len(raw.malformed) == len(rows) - 1


@pytest.mark.parametrize("around", ["\u00a0", "\u200b", "\ufeff", "\u202f", "  \u2060"])
def test_invisible_characters_around_names(around: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    header = ",".join(f"{around}{name}{around}" for name in ("user", "item", "time"))
    file.write_text(table().replace("user,item,time", header), encoding="utf-8")
    assert events(gather(file)) == ROWS


def test_a_byte_order_mark_in_the_middle_is_no_part_of_an_id(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    lines = table().encode().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1] + codecs.BOM_UTF8 + lines[2])
    assert events(gather(file)) == ROWS


def test_a_few_nuls_cost_their_rows_alone(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(table().encode() + b"a\0,b,1700000020\nc,d,17000\x0000030\n")
    raw = gather(file)
    assert events(raw) == ROWS
    assert raw.malformed["line"].to_list() == [4, 5]


@pytest.mark.parametrize("unit", ["{} €", "€{}", "{} EUR", "$ {}", "{} %"])
def test_values_with_a_unit_are_numbers(unit: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    rows = [f"u{n},i{n},{unit.format(f'{n}.50')}" for n in range(1, 4)]
    file.write_text("\n".join(["user,item,rating", *rows]) + "\n", encoding="utf-8")
    assert gather(file).interactions["value"].to_list() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("who", ["user", "item"])
def test_ids_that_a_spreadsheet_rounded_are_told(who: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    rows = [{"user": "ann", "item": "x", who: f"1.2{n}E+12"} for n in range(3)]
    pl.DataFrame(rows).write_csv(file)
    assert any(f"{who}: 3 ids are written like 1.23E+12" in note for note in gather(file).notes)


@pytest.mark.parametrize("named", ["", "named"])
@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (",user,item,time", ["0,ann,café,1700000000", "1,bob,x,1700000010"]),
        ('"",user,item,time', ["0,ann,café,1700000000", "1,bob,x,1700000010"]),
        ("Unnamed: 0,user,item,time", ["0,ann,café,1700000000", "1,bob,x,1700000010"]),
        ("user,,item,time", ["ann,q,café,1700000000", "bob,,x,1700000010"]),
        (",user,,item,time,", ["0,ann,q,café,1700000000,", "1,bob,q,x,1700000010,"]),
        ("user,item,time,", ["ann,café,1700000000,", "bob,x,1700000010,"]),
        ("user,item,time,", ["ann,café,1700000000", "bob,x,1700000010"]),
        ("user,item,time", ["ann,café,1700000000,", "bob,x,1700000010,,,"]),
        ("user,item,time", ['"ann",café,1700000000,', '"bob","x",1700000010,,']),
        ('"user","item","time"', ['"1","ann","café",1700000000', '"2","bob","x",1700000010']),
        ("user,item,time", ["1,ann,café,1700000000", "2,bob,x,1700000010"]),
    ],
)
def test_columns_without_a_name(header: str, rows: list[str], named: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    raw = gather(file)
    assert raw.malformed.is_empty()
    assert events(raw) == ROWS


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text(",user,,item\n0,a,b,c\n")
    assert gather(file).notes[0] == "events.csv: column 1, 3 has no name in the header and is left out"


def test_too_many_fields_that_say_something_are_still_told(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_text("user,item,time\na,x,1700000000,more\nb,y,1700000000,\nc,z\n")
    raw = gather(file)
    assert raw.malformed.select("line", "reason").rows() == [(2, "4 fields, expected 3"), (4, "2 fields, expected 3")]
    assert raw.interactions["user"].to_list() == ["b"]


@pytest.mark.parametrize("size", [127_000, 131_073, 200_000, 3_000_000])
@pytest.mark.parametrize("text", ["word, ", 'a ""quoted"" word, ', "line\n"])
def test_a_long_quoted_field(size: int, text: str, tmp_path: Path) -> None:
    long = text * (min(size, 5_000) if "\n" in text else size) if "\n" not in text else text * 900
    long = long[: size if "\n" not in text else None].rstrip('"')
    file = tmp_path / "items.csv"
    file.write_text(f'id,title,description\ni0,Lamp,"{long}"\ni1,"Desk, large",short\n')
    raw = gather(items=file)
    assert raw.items is not None
    assert raw.malformed.is_empty()
    assert raw.items.frame["title"].to_list() == ["Lamp", "Desk, large"]
    assert len(raw.items.frame["description"][0]) == len(long.replace('""', '"').strip())


def test_a_header_with_a_line_break_in_quotes(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text('id,"price\nin euros"\ni0,1.5\n')
    raw = gather(items=file)
    assert raw.items is not None
    assert raw.items.roles == {"price in euros": Role.NUMBER}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(b"") + b"", "is empty"),
        (b"PK\x03\x04 not a zip", "cannot be read"),
        (b"BZh9 not bzip2", "cannot be read"),
        (b"\xfd7zXZ\0 not xz", "cannot be read"),
        (b"\x28\xb5\x2f\xfd not zstd", "cannot be read"),
        (gzip.compress(table().encode(), mtime=0)[:-9], "cannot be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a workbook; save its sheet as CSV"),
        (codecs.BOM_UTF16_LE, "is empty"),
    ],
)
def test_what_cannot_be_unpacked_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        gather(file, form="csv")


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a.csv", "b.csv"], "packs 2 files"), (["[Content_Types].xml", "xl/workbook.xml"], "is a workbook")],
)
def test_archives_of_several_files_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "events.csv", "w") as archive:
        for name in names:
            archive.writestr(name, "user,item\na,x\n")
    with pytest.raises(DataError, match=message):
        gather(tmp_path / "events.csv", form="csv")


def test_a_line_that_is_no_utf16_is_told(tmp_path: Path) -> None:
    lines = table().encode("utf-16").split("\n".encode("utf-16-le"))
    lines[2] = lines[2][:2] + b"\x00\xd8" + lines[2][2:]
    (tmp_path / "e.csv").write_bytes("\n".encode("utf-16-le").join(lines))
    raw = gather(tmp_path / "e.csv")
    assert raw.malformed["line"].to_list()[0] == 3
    assert events(raw) == ROWS[:1]


def test_a_line_with_nul_is_told(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(b"user,item\na,x\nb\0,y\n")
    raw = gather(tmp_path / "e.csv", form="csv")
    assert raw.malformed.select("line", "reason").rows() == [(3, "holds the character NUL")]


NUMBERS = [
    (["0.5", "1.5", "2.5", "3.5", "4.5", "—"], [0.5, 1.5, 2.5, 3.5, 4.5, None]),
    (["1", "n/a", "2", "NULL", "-", "nan"], [1, None, 2, None, None, None]),
    (["1", "2", "100000000000000000000"], [1.0, 2.0, 1e20]),
    (["1.5", "2,5", "3.5"], None),
    (["1,5", "2,25", "3"], [1.5, 2.25, 3.0]),
    (["1.234,5", "2,5"], [1234.5, 2.5]),
    (["1,234.5", "2.5"], [1234.5, 2.5]),
    (["1,234,567", "2"], [1234567, 2]),
    (["1.234.567", "2"], [1234567, 2]),
    (["1 234", "5"], [1234, 5]),
    (["1\u202f234,5", "5"], [1234.5, 5.0]),
    (["1\xa0234", "5"], [1234, 5]),
    (["1'234.5", "5"], [1234.5, 5.0]),
    (["1,234", "2,345"], None),
    (["+1", "-2.", ".5", "1e3"], [1.0, -2.0, 0.5, 1000.0]),
]


@pytest.mark.parametrize(("texts", "values"), NUMBERS)
def test_numbers_as_people_write_them(texts: list[str], values: list[object] | None, tmp_path: Path) -> None:
    file = tmp_path / "i.csv"
    file.write_text("id;price\n" + "".join(f"i{at};{text}\n" for at, text in enumerate(texts)))
    if values is None:
        with pytest.raises(DataError, match=r"price '.*' may be .* say --decimal"):
            gather(items=file)
        return
    raw = gather(items=file)
    assert raw.items is not None
    assert raw.items.roles == {"price": Role.NUMBER}
    assert raw.items.frame["price"].to_list() == values


@pytest.mark.parametrize(("decimal", "value"), [(",", 1.234), (".", 1234)])
def test_what_a_comma_means_can_be_said(decimal: str, value: float, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id;price\na;1,234\n")
    raw = gather(items=tmp_path / "i.csv", options=ReadOptions(decimal=decimal))
    assert raw.items is not None
    assert raw.items.frame["price"].to_list() == [value]


@pytest.mark.parametrize(
    "texts", [["007", "008"], ["XL", "10", "12"], ["1.2.3", "2.0.1"], ["555-1234", "555-1235"], ["-", "n/a"]]
)
def test_codes_are_no_numbers(texts: list[str], tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id,code\n" + "".join(f"i{at},{text}\n" for at, text in enumerate(texts)))
    raw = gather(items=tmp_path / "i.csv")
    assert raw.items is not None
    assert raw.items.roles["code"] in {Role.TEXT, Role.CATEGORY}
    assert raw.items.frame["code"].to_list() == texts


def test_one_word_among_many_numbers_costs_its_row(tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id,price\n" + "".join(f"i{at},{at}.5\n" for at in range(6)) + "i6,call us\n")
    raw = gather(items=tmp_path / "i.csv")
    assert raw.malformed.select("line", "reason").rows() == [(8, "price 'call us' is not a number")]


@pytest.mark.parametrize("label", ["5+", "5 +", "> 4", "<=1", "5-9", "5 \u2013 9", "5 or more", "under 1", "Over 4"])
def test_a_class_beside_numbers_is_no_bad_number(label: str, tmp_path: Path) -> None:
    """The last class of a household's size stands beside 1, 2, 3 and 4: a category, and no row is lost."""
    values = ["1", "2", "3", "4"] * 10 + [label] * 5
    (tmp_path / "u.csv").write_text("id,size\n" + "".join(f"u{at},{value}\n" for at, value in enumerate(values)))
    raw = gather(users=tmp_path / "u.csv")
    assert raw.users is not None
    assert raw.users.roles["size"] == Role.CATEGORY
    assert raw.users.frame["size"].to_list() == values
    assert not len(raw.malformed)


@pytest.mark.parametrize(
    ("written", "read", "unit"),
    [
        (["$1,000.50", "$2", "-$3.5"], [1000.5, 2.0, -3.5], "$"),
        (["0,90 €", "12,5 €", ""], [0.9, 12.5, None], "€"),
        (["3%", "45 %", "n/a"], [3, 45, None], "%"),
        (["EUR 12.5", "12.75 EUR", "1"], [12.5, 12.75, 1.0], "EUR"),
    ],
)
def test_a_unit_is_no_part_of_a_number(written: list[str], read: list[float | None], unit: str, tmp_path: Path) -> None:
    rows = "".join(f'i{at},"{one}"\n' for at, one in enumerate(written * 5))
    (tmp_path / "i.csv").write_text(f"id,price\n{rows}")
    raw = gather(items=tmp_path / "i.csv")
    assert raw.items is not None
    assert raw.items.roles["price"] == Role.NUMBER
    assert raw.items.frame["price"].to_list() == read * 5
    assert any(f"price: {unit!r} is left out of its numbers" in note for note in raw.notes)
    assert not len(raw.malformed)


@pytest.mark.parametrize("written", [["$1", "€2"], ["SKU 1", "SKU 2"], ["1 kg", "2 g"]])
def test_amounts_in_several_units_and_codes_are_no_numbers(written: list[str], tmp_path: Path) -> None:
    rows = "".join(f"i{at},{one}\n" for at, one in enumerate(written * 5))
    (tmp_path / "i.csv").write_text(f"id,price\n{rows}")
    raw = gather(items=tmp_path / "i.csv")
    assert raw.items is not None
    assert raw.items.roles["price"] in {Role.TEXT, Role.CATEGORY}
    assert raw.items.frame["price"].to_list() == written * 5


LISTS = [
    (["['a', 'b']", "[]", "['c']"], Role.CATEGORIES, [["a", "b"], [], ["c"]]),
    (['["x, y", "z"]', '["it\'s"]', ""], Role.CATEGORIES, [["x, y", "z"], ["it's"], None]),
    (["['it\\'s', None]", "{'a'}", "('b', 'c')"], Role.CATEGORIES, [["it's"], ["a"], ["b", "c"]]),
    (["[1, 2]", "[3]", "[]"], Role.CATEGORIES, [["1", "2"], ["3"], []]),
    (["[0.5, 1]", "[2.0, -1e-1]", "[1.5, 3]"], Role.VECTOR, [[0.5, 1.0], [2.0, -0.1], [1.5, 3.0]]),
    (["[draft] a", "b", "c [x]"], Role.TEXT, ["[draft] a", "b", "c [x]"]),
]


@pytest.mark.parametrize(("written", "role", "read"), LISTS)
def test_lists_that_a_program_wrote_as_texts(written: list[str], role: Role, read: list[Any], tmp_path: Path) -> None:
    """A column of lists, as pandas writes it into CSV."""
    frame = pl.DataFrame({"id": [f"i{at}" for at in range(len(written))], "genres": written})
    frame.write_csv(tmp_path / "i.csv")
    raw = gather(items=tmp_path / "i.csv")
    assert raw.items is not None
    assert raw.items.roles["genres"] == role
    found = raw.items.frame["genres"].to_list()
    assert [one if one is None or isinstance(one, str) else list(one) for one in found] == (
        read if role != Role.VECTOR else [pytest.approx(one) for one in read]
    )


def test_ids_as_floats_beside_nan_are_small_numbers_all_the_same(tmp_path: Path) -> None:
    events = {"user": [1.0, 2.0, float("nan")], "item": ["a", "b", "c"], "time": [1.7e9] * 3}
    pl.DataFrame(events).write_parquet(tmp_path / "e.parquet")
    raw = gather(tmp_path / "e.parquet")
    assert not any("too large" in note for note in raw.notes)


@pytest.mark.parametrize(("scale", "unit"), [(1e3, "ms"), (1e6, "us"), (1e9, "ns")])
def test_a_time_in_another_unit_is_told_with_the_right_one(scale: float, unit: str, tmp_path: Path) -> None:
    rows = "".join(f"u{at},i,{int((1.7e9 + at) * scale)}\n" for at in range(3))
    (tmp_path / "e.csv").write_text("user,item,time\n" + rows)
    _, report = clean(gather(tmp_path / "e.csv"))
    assert [dropped.reason.endswith(f"--time-unit {unit})") for dropped in report.dropped] == [True]


@pytest.mark.parametrize("word", ["5+", "call us", "12 EUR"])
def test_one_word_among_many_different_numbers_is_a_bad_cell(word: str, tmp_path: Path) -> None:
    rows = "".join(f"i{at},{at}.5\n" for at in range(60))
    (tmp_path / "i.csv").write_text(f"id,price\n{rows}i60,{word}\ni61,{word}\n")
    raw = gather(items=tmp_path / "i.csv")
    assert raw.items is not None
    assert raw.items.roles["price"] == Role.NUMBER
    assert len(raw.malformed) == 2


FORMS = [
    ("11.0", "x", "11", "'99.9'", "'99'"),
    ("0077", "x", "77", "'9999'", "'99'"),
    ("Ann", "x", "ann", "'Aaa'", "'aaa'"),
    ("café", "x", "cafe\u0301", "'aaaä'", "'aaaa\\u0301'"),
    ("\uff55\uff53\uff45\uff52\uff17", "x", "user7", "'äääää'", "'aaaa9'"),
    ("Ann.O'Hara@example.org", "x", "ann.o'hara@example.org", "Aaa.A'Aaaa@aaaaaaa.aaa", "aaa.a'aaaa@aaaaaaa.aaa"),
    ("1\\2", "x", "01\\2", "'9\\9'", "'99\\9'"),
]


@pytest.mark.parametrize(("named", "other", "listed", "shown", "beside"), FORMS)
def test_ids_that_nearly_meet_are_told_with_both_forms(
    named: str, other: str, listed: str, shown: str, beside: str, tmp_path: Path
) -> None:
    """Of users only the form is shown: an import's output is no place for their ids. Items are shown as they are."""
    (tmp_path / "e.csv").write_text(f"user,item,time\n{named},a,1700000000\n{other},b,1700000001\n")
    (tmp_path / "u.csv").write_text(f"id,age\n{listed},30\nx,31\n")
    raw = gather(tmp_path / "e.csv", users=tmp_path / "u.csv")
    _, report = clean(raw)
    (warning,) = report.warnings
    assert f"such as {shown}" in warning or f'such as "{shown}"' in warning
    assert f"and {beside} among" in warning or f'and "{beside}" among' in warning
    assert not any(given in "".join([*report.warnings, *raw.notes]) for given in (named, listed))
    (tmp_path / "e.csv").write_text(f"item,user,time\n{named},a,1700000000\n{other},b,1700000001\n")
    _, report = clean(gather(tmp_path / "e.csv", items=tmp_path / "u.csv"))
    assert repr(named) in report.warnings[0]
    assert repr(listed) in report.warnings[0]


def test_whole_numbers_with_a_point_are_read_without_it_and_no_user_is_shown(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,time\n4711.0,a,1700000000\n4711.0,b,1700000001\n")
    (tmp_path / "u.csv").write_text("id,age\n4711,30\nx,31\n")
    raw = gather(tmp_path / "e.csv", users=tmp_path / "u.csv")
    _, report = clean(raw)
    assert not report.warnings
    assert any("'1.0' is read as '1'" in note for note in raw.notes)
    assert "4711" not in "".join(raw.notes)


def test_ids_that_do_not_meet_at_all_are_told_with_both_forms(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user,item,time\nu-71,a,1700000000\nu-72,b,1700000001\n")
    (tmp_path / "u.csv").write_text("id,age\n71,30\n72,31\n")
    _, report = clean(gather(tmp_path / "e.csv", users=tmp_path / "u.csv"))
    assert report.warnings == (
        "only 0 of 2 user ids of the interactions have a row among the users; the others are written like 'a-99', "
        "those of the users like '99'",
    )
