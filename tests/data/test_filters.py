"""Filters: SQL over columns, vectorised, and a mistake is told with its place."""

import contextlib
import itertools
import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from cuvee.data.catalog import Entities
from cuvee.data.filters import MAX_LENGTH, compile_filter
from cuvee.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

ITEMS = Entities.of(
    pl.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "title": ["Night", "Day", "Night Train", None],
            "year": [1941, 1999, None, 2020],
            "genres": [["Noir", "Crime"], ["Comedy"], [], None],
            "available": [True, False, True, True],
        }
    )
)


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("year < 2000", "ab"),
        ("year BETWEEN 1940 AND 1950 OR year = 2020", "ad"),
        ("'Noir' IN genres", "a"),
        ("NOT 'Noir' IN genres", "bc"),
        ("title LIKE 'Night%'", "ac"),
        ("LOWER(title) = 'day'", "b"),
        ("year IS NULL", "c"),
        ("id IN ('a', 'd') AND available", "ad"),
        ("available = FALSE", "b"),
        ("(year + 1) * 2 >= 4000", "bd"),
        ("1 = 1", "abcd"),
        ("1 = 2", ""),
    ],
)
def test_what_is_kept(sql: str, kept: str) -> None:
    mask = compile_filter(sql, ITEMS).mask
    assert mask.dtype == np.bool_
    assert "".join(np.array(["a", "b", "c", "d"])[mask]) == kept


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("year <", "line 1, column 6"),
        ("year < 50 AND AND year", "column 17"),
        ("", "SQL"),
        ("price < 50", "no column 'price'; there are: id, title, year"),
        ("year + 1", "not true or false"),
        ("year < 'x' AND (SELECT 1)", "not part of the filter language"),
        ("EXISTS (SELECT 1)", "not part of the filter language"),
        ("1; DROP TABLE x", "not a SQL expression"),
        ("title = 'open", "quote"),
        ("SLEEP(1) = 1", "not part of the filter language"),
        ("year = 1 OR " * 500 + "year = 1", f"at most {MAX_LENGTH}"),
        (" OR ".join(["year=1"] * 150), "parts"),
        ("(" * 900 + "1" + ")" * 900, ""),
    ],
)
def test_a_mistake_names_the_field_and_says_what_to_do(sql: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        compile_filter(sql, ITEMS)
    assert caught.value.field == "filter"
    assert says in caught.value.description


@given(text=st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(InvalidArgument):
        assert compile_filter(text, ITEMS).mask.shape == (4,)


NODES = sorted({kind for kind in vars(exp).values() if isinstance(kind, type) and issubclass(kind, exp.Expr)}, key=str)
OPERATORS = (
    "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "||", "&", "|", "^", "->", "->>", "::", "IN", "LIKE",
    "ILIKE", "IS", "BETWEEN", "AND", "OR", "NOT", "COLLATE", "ESCAPE", "SIMILAR", "RLIKE", "GLOB", "DIV",
)  # fmt: skip
NOT_TOLD = re.compile(
    r"<class|sqlglot|polars|Traceback|object at 0x|site-packages|dtype|Utf8|Float64|Int64|\bf64\b|\bstr\b|i32|Error\b"
)


def texts_of(kind: type) -> Iterator[str]:
    """Filters with a part of a kind: alone, cut off, and over columns of other kinds."""
    with contextlib.suppress(Exception):
        yield kind().sql()
    with contextlib.suppress(Exception):
        yield f"{kind(this=exp.column('title'), expression=exp.column('year')).sql()} = 'x'"
    names = exp.ALL_FUNCTIONS  # the abstract ones have no name
    for name in kind.sql_names() if kind in names else ():
        yield from (f"{name}(", f"{name}()", f"{name}(year", f"{name}(year) = 'x'", f"{name}(title, genres) > 3")


def refusal(sql: str) -> str:
    try:
        compile_filter(sql, ITEMS)
    except InvalidArgument as problem:
        # what the caller wrote himself is no secret
        return problem.description.replace(sql, "")
    return ""


def test_no_message_names_a_class_a_type_or_a_value() -> None:
    assert len(NODES) > 500
    said = {sql: refusal(sql) for kind in NODES for sql in texts_of(kind)}
    assert len(set(said.values())) > 100
    assert not {sql: text for sql, text in said.items() if NOT_TOLD.search(text) or "Night Train" in text}


COLUMNS = ("year", "title", "genres", "available", "3", "'x'", "NULL", "TRUE", "")


@pytest.mark.parametrize("operator", OPERATORS)
def test_no_operator_between_any_two_kinds_tells_more(operator: str) -> None:
    for left, right in itertools.product(COLUMNS, repeat=2):
        said = refusal(f"{left} {operator} {right}")
        assert not NOT_TOLD.search(said), f"{left} {operator} {right}: {said}"
        assert "Night Train" not in said
