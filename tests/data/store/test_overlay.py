"""The current catalogue: rows of the store override imported ones, and positions do not change."""

from __future__ import annotations

import datetime

import numpy as np
import polars as pl
from cuvee.data.catalog import Entities, Role
from cuvee.data.store.catalogue.overlay import hidden, overlaid, plain_row, title_column
from cuvee.data.store.rows import ItemRow
from hypothesis import given
from hypothesis import strategies as st


def films() -> Entities:
    return Entities.of(
        pl.DataFrame(
            {
                "id": ["alien", "brazil"],
                "title": ["Alien", "Brazil"],
                "genres": [["Horror"], ["Comedy", "SciFi"]],
                "year": [1979, 1985],
                "colour": [True, None],
                "shown": [datetime.date(1979, 5, 25), None],
                "poster": [[1.0, 2.0], [3.0, 4.0]],
            },
            schema_overrides={"poster": pl.Array(pl.Float32, 2)},
        )
    )


def test_a_row_replaces_all_that_the_wire_can_hold():
    now = overlaid(films(), [ItemRow("brazil", "Brazil!", {"genres": ["Satire"], "colour": False})])
    assert now.frame["id"].to_list() == ["alien", "brazil"]
    assert now.row(0) == films().row(0)
    assert now.row(1) == {"title": "Brazil!", "genres": ["Satire"], "colour": False, "poster": [3.0, 4.0]}
    assert now.frame.schema == films().frame.schema


def test_new_items_come_last_in_their_order_and_new_names_make_columns():
    rows = [ItemRow("cube", "Cube", {"year": 1997.0, "price": 3.5}), ItemRow("dune", "", {"price": 4.0, "tags": ["x"]})]
    now = overlaid(films(), rows)
    assert now.frame["id"].to_list() == ["alien", "brazil", "cube", "dune"]
    assert now.row(2) == {"title": "Cube", "year": 1997, "price": 3.5}
    assert now.row(3) == {"price": 4.0, "tags": ["x"]}
    assert (now.roles["price"], now.roles["tags"]) == (Role.NUMBER, Role.CATEGORIES)
    assert now.frame["poster"].null_count() == 2
    assert overlaid(now, [ItemRow("cube", "Cube")]).row(2) == {"title": "Cube"}


def test_values_that_do_not_fit_a_column_are_left_out():
    odd = {"year": "soon", "genres": "Horror", "colour": 1.0, "title": "no", "shown": "1997-09-09"}
    assert overlaid(films(), [ItemRow("cube", "Cube", odd)]).row(2) == {
        "title": "Cube",
        "shown": datetime.date(1997, 9, 9),
    }
    two = [ItemRow("c", "", {"price": 3.0}), ItemRow("d", "", {"price": "cheap"})]
    assert overlaid(films(), two).frame["price"].to_list() == [None, None, 3.0, None]


def test_what_is_imported_is_told_as_the_wire_knows_it_and_comes_back_the_same():
    items = films()
    title, values = plain_row(items, 0, title_column(items))
    assert title == "Alien"
    assert values == {"genres": ["Horror"], "year": 1979.0, "colour": True, "shown": "1979-05-25"}
    again = overlaid(items, [ItemRow("alien", title, values)])
    assert again.frame.equals(items.frame)


def test_what_is_deleted_or_not_available_is_hidden():
    rows = [ItemRow("cube", "", {"available": False}), ItemRow("dune", "", {"available": True}), ItemRow("eden")]
    now = overlaid(films(), rows)
    assert hidden(now, {"alien", "never heard of"}).tolist() == [True, False, True, False, False]
    assert hidden(films(), set()).tolist() == [False, False]


def test_an_empty_catalogue_grows_too():
    now = overlaid(Entities.of_ids([]), [ItemRow("cube", "Cube", {"year": 1997.0})])
    assert now.row(0) == {"title": "Cube", "year": 1997.0}
    assert title_column(now) == "title"


VALUE = st.one_of(
    st.floats(-1e6, 1e6), st.booleans(), st.text("ab", max_size=3), st.lists(st.text("ab", max_size=2), max_size=2)
)
ROW = st.builds(
    ItemRow,
    st.sampled_from(["alien", "brazil", "cube", "dune", "eden"]),
    st.sampled_from(["", "A", "B"]),
    st.dictionaries(st.sampled_from(["year", "genres", "colour", "price", "tags", "available"]), VALUE, max_size=4),
)


@given(st.lists(ROW, max_size=12), st.integers(0, 12))
def test_replicas_that_read_in_different_portions_agree(rows: list[ItemRow], cut: int):
    """Only the newest row of each item is read; a table is read in portions, new items in their order."""
    born = list(dict.fromkeys(row.item_id for row in rows))

    def newest(some: list[ItemRow]) -> list[ItemRow]:
        return sorted({row.item_id: row for row in some}.values(), key=lambda row: born.index(row.item_id))

    # every name is used by its first type alone, as the service sees to
    types: dict[str, type] = {}
    clean = [
        ItemRow(r.item_id, r.title, {k: v for k, v in r.attributes.items() if types.setdefault(k, type(v)) is type(v)})
        for r in rows
    ]
    once = overlaid(films(), newest(clean))
    twice = overlaid(overlaid(films(), newest(clean[:cut])), newest(clean[cut:]))
    assert once.frame["id"].to_list() == twice.frame["id"].to_list()
    assert set(once.roles) <= set(twice.roles)
    for position in range(len(once)):
        assert once.row(position) == twice.row(position)
    assert np.array_equal(hidden(once, ()), hidden(twice, ()))
