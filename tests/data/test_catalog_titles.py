"""What a row is called in words."""

import polars as pl
from cuvee.data.catalog import Entities


def test_a_title_or_a_name_or_the_id() -> None:
    titled = Entities.of(pl.DataFrame({"id": ["a", "b"], "name": ["x", "y"], "title": ["Alder", None]}))
    assert [titled.title(0), titled.title(1)] == ["Alder", "b"]
    assert Entities.of(pl.DataFrame({"id": ["a"], "name": ["Ash"]})).title(0) == "Ash"
    assert Entities.of_ids(["a"]).title(0) == "a"
