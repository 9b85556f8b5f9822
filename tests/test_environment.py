"""``${NAME}`` in cuvee.toml."""

from typing import Any

import pytest
from cuvee.config.masking import masked
from cuvee.environment import from_environment
from hypothesis import given
from hypothesis import strategies as st

values = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(alphabet=st.characters(exclude_characters="$"))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=10,
)


def fill(table: dict[str, Any], **environment: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    missing: list[tuple[str, str]] = []
    return from_environment(table, environment, lambda path, message: missing.append((path, message))), missing


def test_the_value_stands_in_the_names_place_wherever_that_is() -> None:
    table = {"a": [{"b": "http://${HOST}:${PORT}/"}], "n": 3, "yes": True}
    assert fill(table, HOST="h", PORT="1") == ({"a": [{"b": "http://h:1/"}], "n": 3, "yes": True}, [])


def test_unset_and_empty_take_the_default_which_may_be_empty() -> None:
    assert fill({"a": "${A:-x:1}", "b": "${B:-}"}, A="")[0] == {"a": "x:1", "b": ""}


def test_without_a_default_the_place_is_named() -> None:
    table, missing = fill({"server": {"to": ["", "${A}"]}}, A="")
    assert table == {"server": {"to": ["", "${A}"]}}
    assert [path for path, _ in missing] == ["server.to.1"]


def test_a_value_is_not_read_again() -> None:
    assert fill({"a": "${A}"}, A="${B}", B="no") == ({"a": "${B}"}, [])


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_what_names_nothing_stays_as_it_is(table: dict[str, Any]) -> None:
    assert fill(table) == (table, [])


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://cuvee:PLANTED@host/db",
        "postgresql://cuvee:PLANTED/with:signs@host:5432/db",
        "postgresql://cuvee:PLANTED@half@host/db",
        "postgresql://:PLANTED@host/db",
        "postgresql://host/db?user=cuvee&password=PLANTED",
        "postgresql://host/db?sslpassword=PLANTED&sslmode=require",
        "s3://key:PLANTED@bucket/models",
        "https://host/models?X-Signature=PLANTED",
    ],
)
def test_no_dump_shows_a_password_of_a_url(url: str) -> None:
    shown = masked({"store": {"url": url}, "more": [url]})
    assert "PLANTED" not in str(shown)
    assert "half" not in str(shown)
    assert "host" in str(shown) or "bucket" in str(shown)


@pytest.mark.parametrize(
    "text", ["sqlite:///var/store.db", "postgresql://cuvee@host/db?sslmode=require", "a:b@c", "s3://b/a:b"]
)
def test_what_is_no_password_stays(text: str) -> None:
    assert masked([text, 3, None, True]) == [text, 3, None, True]
