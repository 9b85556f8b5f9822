"""Which recommenders suit which data, and that what is written is a configuration."""

import tomllib
from dataclasses import replace

import pytest
from cuvee.data.dataset import Chronology
from cuvee.errors import OperatorError
from cuvee.product import Product
from cuvee.starting.sources import SEGMENTS, Facts, suitable
from cuvee.starting.writing import config_text, product_text

ALL = {"popular", "content", "neighbors", "lightfm"}
FACTS = Facts(1_000, 500, 20_000, Chronology.TIMES, ("title",), ("age",))


def names(facts: Facts) -> set[str]:
    return {one.name for one in suitable(facts, ALL).sources}


CHANGES: dict[str, tuple[dict[str, object], set[str], set[str]]] = {
    "no times": ({"chronology": Chronology.NONE}, {"transitions"}, set()),
    "an order": ({"chronology": Chronology.ORDER}, set(), set()),
    "no texts": ({"described": ()}, {"content"}, set()),
    "many items": ({"n_items": 100_000}, {"ease"}, {"item_knn"}),
    "many users": ({"n_users": 5_000_000}, {"user_knn"}, set()),
    "few events": ({"n_events": 40}, {"lightfm"}, set()),
    "all too many": ({"n_events": 10**9}, {"lightfm"}, set()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_suit_is_left_out_with_a_reason(change: str) -> None:
    values, gone, come = CHANGES[change]
    facts = replace(FACTS, **values)  # type: ignore[arg-type]
    assert names(facts) == (names(FACTS) - gone) | come
    assert gone <= {one.name for one in suitable(facts, ALL).left_out if one.why}


def test_plugins_that_are_not_installed_are_left_out() -> None:
    assert {one.plugin for one in suitable(FACTS, {"popular"}).sources} == {"popular"}
    with pytest.raises(OperatorError, match="install the plugins"):
        suitable(FACTS, set())


@pytest.mark.parametrize("liked", [None, 4.0])
@pytest.mark.parametrize("change", ["nothing", *CHANGES])
def test_what_is_written_is_a_configuration(change: str, liked: float | None) -> None:
    facts = FACTS if change == "nothing" else replace(FACTS, **CHANGES[change][0])  # type: ignore[arg-type]
    choice = suitable(facts, ALL)
    config = tomllib.loads(config_text(choice, facts))
    assert set(config["recommenders"]) == {one.name for one in choice.sources}
    product = Product.model_validate({"name": "shop", **tomllib.loads(product_text("shop", choice, facts, liked))})
    assert {use.use for use in product.sources} == set(config["recommenders"])
    for segment in SEGMENTS:
        assert sum(product.blend.weights[segment].values()) == pytest.approx(1, abs=0.03)
    assert product.events.rating_liked_from == 4.0
    if facts.chronology is Chronology.NONE:
        for own in config["recommenders"].values():
            assert own["half_life"] == "none", own


@pytest.mark.parametrize(("repeats", "rules"), [(0.0, 1), (0.3, 0)])
def test_seen_items_stay_in_lists_where_people_take_the_same_again(repeats: float, rules: int) -> None:
    facts = replace(FACTS, repeats=repeats)
    text = product_text("shop", suitable(facts, ALL), facts, None)
    assert len(Product.model_validate({"name": "shop", **tomllib.loads(text)}).rules) == rules


def test_weights_by_merit() -> None:
    choice = suitable(FACTS, ALL)
    found = {"popular": 0.2, "ease": 0.1, "transitions": 0.0}
    weighed = choice.by_merit(found)
    assert weighed.weights("warm") == {"ease": 0.2, "popular": 0.8}
    assert weighed.weights("cold") == choice.weights("cold")
    assert choice.by_merit({"ease": 0.0}).weights("warm") == choice.weights("warm")


@pytest.mark.parametrize(("events", "epochs"), [(20_000, None), (250_000, 16), (1_000_000, 5), (10_000_000, 5)])
def test_lightfm_makes_fewer_passes_over_many_events(events: int, epochs: int | None) -> None:
    sources = {one.name: one for one in suitable(replace(FACTS, n_events=events), ALL).sources}
    assert sources["lightfm"].settings.get("epochs") == epochs
