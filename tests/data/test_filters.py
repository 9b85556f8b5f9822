"""Filters: SQL over columns, vectorised, and a mistake is told with its place."""

import contextlib

import numpy as np
import polars as pl
import pytest
from cuvee.data.catalog import Entities
from cuvee.data.filters import MAX_LENGTH, compile_filter
from cuvee.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

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
