"""Which values are true and which are false, for every type and spelling."""

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from cuvee.data.flags import FALSE, MISSING, TRUE, as_flag, as_flags, is_missing
from hypothesis import given
from hypothesis import strategies as st

YES = ["true", "TRUE", "True", " t ", "T", "yes", "Y", "1", "1.0", "on", "ON", "ja", "Ja", "oui", "si", "wahr",
       True, 1, 1.0, Decimal("1.00"), np.int8(1), np.float32(1)]  # fmt: skip
NO = ["false", "FALSE", "f", "F", "no", "N", "0", "0.0", "-0", "off", "Off", "nein", "NEIN", "non", "falsch",
      False, 0, 0.0, Decimal(0), np.int8(0), np.float32(0)]  # fmt: skip
NEITHER = ["maybe", "2", "0.5", "-1", 2, 0.5, -1, float("inf"), Decimal("0.1"), [True], [], {}, b"1",
           dt.date(2020, 1, 1), slice(1)]  # fmt: skip
UNKNOWN = [None, float("nan"), "", "  ", "n/a", "N/A", "NaN", "None", "NULL", "-", "—"]


@pytest.mark.parametrize("value", YES, ids=repr)
def test_true(value: object) -> None:
    assert as_flag(value) is True
    assert not is_missing(value)


@pytest.mark.parametrize("value", NO, ids=repr)
def test_false(value: object) -> None:
    assert as_flag(value) is False
    assert not is_missing(value)


@pytest.mark.parametrize("value", NEITHER, ids=repr)
def test_neither(value: object) -> None:
    assert as_flag(value) is None
    assert not is_missing(value)


@pytest.mark.parametrize("value", UNKNOWN, ids=repr)
def test_missing(value: object) -> None:
    assert as_flag(value) is None
    assert is_missing(value)


def test_no_word_means_two_things() -> None:
    assert not TRUE & FALSE
    assert not (TRUE | FALSE) & MISSING


@pytest.mark.parametrize(
    "kind", [pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Float64, pl.Decimal(10, 2), pl.Boolean, pl.String]
)
def test_a_column_of_any_type(kind: pl.DataType) -> None:
    column = pl.Series("available", [0, 1, None, 1]).cast(kind)
    assert as_flags(column).to_list() == [False, True, None, True]


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["Y", "N", "n/a"])])
def test_a_column_of_categories(kind: pl.DataType) -> None:
    column = pl.Series("available", ["Y", "N", None, "n/a"], kind)
    assert as_flags(column).to_list() == [True, False, None, None]


@pytest.mark.parametrize(
    "values", [[[1], [0]], [{"a": 1}, {"a": 0}], [b"1", b"0"], [dt.date(2020, 1, 1), None], [None, None], []]
)
def test_a_column_that_holds_no_flags(values: list[object]) -> None:
    assert as_flags(pl.Series("available", values)).to_list() == [None] * len(values)


scalar = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text()


@given(st.lists(st.none() | st.text() | st.sampled_from([v for v in (*YES, *NO) if isinstance(v, str)])))
def test_a_column_is_read_like_each_of_its_texts(values: list[str | None]) -> None:
    assert as_flags(pl.Series("f", values, pl.String)).to_list() == [as_flag(v) for v in values]


@given(st.lists(st.none() | st.floats() | st.sampled_from([0.0, 1.0, -0.0])))
def test_a_column_is_read_like_each_of_its_numbers(values: list[float | None]) -> None:
    assert as_flags(pl.Series("f", values, pl.Float64)).to_list() == [as_flag(v) for v in values]


@given(scalar)
def test_a_value_is_true_or_false_or_neither(value: object) -> None:
    assert as_flag(value) in {True, False, None}
    if is_missing(value):
        assert as_flag(value) is None
