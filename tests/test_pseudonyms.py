"""Ids of users as keyed hashes: RFC 2104's own, the same everywhere, and never mixed with others."""

from __future__ import annotations

import polars as pl
import pytest
from cuvee.config import PrivacyConfig
from cuvee.errors import DataError
from cuvee.pseudonyms import Pseudonyms
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

KEYED, OTHER, PLAIN = Pseudonyms(b"k" * 32), Pseudonyms(b"z" * 32), Pseudonyms()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_it_is_the_hash_of_rfc_4231():
    """Test case 2 of the RFC's vectors for HMAC-SHA-256, whose key is "Jefe"."""
    made = Pseudonyms(b"Jefe").of("what do ya want for nothing?")
    assert made.endswith(":5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")


@given(TEXT)
def test_an_id_becomes_another_text_of_80_characters_and_stays_that(user_id: str):
    made = KEYED.of(user_id)
    assert len(made) == 80
    assert user_id not in made or len(user_id) < 8
    assert KEYED.of(made) == made
    assert KEYED.kept_so(made)
    assert not OTHER.kept_so(made)
    assert not PLAIN.kept_so(made)
    assert OTHER.of(user_id) != made
    assert PLAIN.of(user_id) == user_id
    assert not KEYED.kept_so(user_id)


@given(st.lists(st.one_of(st.none(), st.just(""), TEXT)))
def test_a_column_becomes_what_each_of_its_ids_does(ids: list[str | None]):
    column = pl.Series("user", ids, pl.String)
    made = KEYED.of_each(column, "here")
    assert made.to_list() == [one and KEYED.of(one) for one in ids]
    assert KEYED.of_each(made, "here").to_list() == made.to_list()
    assert PLAIN.of_each(column, "here").to_list() == ids


def test_what_was_kept_otherwise_is_refused():
    for fits, kept in ((KEYED, KEYED.of("ann")), (PLAIN, "ann")):
        fits.check(pl.Series([kept]), "here")
    for differs, kept in ((KEYED, "ann"), (KEYED, OTHER.of("ann")), (PLAIN, KEYED.of("ann"))):
        with pytest.raises(DataError, match="here holds ids of users that were kept in another way"):
            differs.check(pl.Series([differs.of("bob"), kept]), "here")
    for differs, kept in ((OTHER, KEYED.of("ann")), (PLAIN, KEYED.of("ann"))):
        with pytest.raises(DataError, match="here holds ids of users that were kept in another way"):
            differs.of_each(pl.Series(["bob", None, kept]), "here")
    for anyone in (KEYED, PLAIN):
        anyone.check(pl.Series([], dtype=pl.String), "here")


def test_the_key_is_shown_nowhere():
    config = PrivacyConfig(user_ids="hashed", key="secret " * 6)  # type: ignore[arg-type]
    for shown in (repr(config), str(config), str(config.model_dump(mode="json"))):
        assert "secret" not in shown
    assert config.pseudonyms
    with pytest.raises(ValidationError) as failure:
        PrivacyConfig(user_ids="hashed", key="too short")  # type: ignore[arg-type]
    assert "32 or more" in str(failure.value)
    assert "has 9 bytes" in str(failure.value)
    assert not PrivacyConfig().pseudonyms
