"""``cuvee check`` reports every mistake at once: no mistake hides another, of any kind."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from .conftest import Run

PRODUCT = """
dataset = "toys"
page_size = { default = 5, max = 50 }
sources = [{ use = "popular", candidates = 50 }, { use = "pairs", candidates = 50 }]
[blend]
method = "weighted"
[blend.weights]
warm = { pairs = 0.7, popular = 0.3 }
[[rules]]
use = "exclude_seen"
[[rules]]
use = "filter"
where = "year > 1980"
[fallback]
chain = ["popular"]
"""
MISTAKES = {
    "a misspelt table": ("[fallback]", "[fallbak]", "fallbak: unknown key; is 'fallback' meant? There are: dataset,"),
    "a misspelt key": ("max = 50", "most = 50", "page_size.most: unknown key; there are: default, max"),
    "a wrong value": ("candidates = 50 }]", "candidates = 0 }]", "sources.1.candidates: Input should be greater"),
    "a source that is none": ('"pairs", c', '"pears", c', "sources.1.use: there is no [recommenders.pears]"),
    "an entry that is no table": (
        "sources = [{",
        "sources = [5, {",
        "sources.0: must be a table, { key = value }",
    ),
    "a weight of no source": ("pairs = 0.7", "payrs = 0.7", "blend.weights.warm.payrs: is not one of the product's so"),
    "a segment that is none": ("warm = {", "worm = {", "blend.weights.worm: there is no such segment; there are: cold"),
    "a method that is none": ('"weighted"', '"weighed"', "blend.method: no installed plugin registers the blender"),
    "a rule that is none": ('"exclude_seen"', '"exclude_sen"', "rules.0.use: no installed plugin registers the rule"),
    "a rule's misspelt key": ("where = ", "were = 1\nwhere = ", "rules.1.were: unknown key; is 'where' meant?"),
    "a filter of no column": ("year > 1980", "yeer > 1980", "rules.1: where: there is no column 'yeer'; there are: id"),
}
"""(text in the product's file, the mistake that replaces it, what `check` must say)."""


def said(run: Run, place: Path, product: str) -> tuple[int, str]:
    (place / "products/toys.toml").write_text(product)
    done = run("check", "--config", place / "cuvee.toml")
    return done.code, done.err


def test_without_a_mistake_it_is_right(run: Run, place: Path) -> None:
    code, err = said(run, place, PRODUCT)
    assert code == 0, err


def test_a_misspelt_key_is_named_beside_the_one_that_is_missing_for_it(run: Run, place: Path) -> None:
    code, err = said(run, place, PRODUCT.replace("where = ", "were = "))
    assert code == 2
    assert "rules.1.where: Field required" in err
    assert "rules.1.were: unknown key; is 'where' meant?" in err


@pytest.mark.parametrize("pair", list(itertools.combinations(MISTAKES, 2)), ids=" and ".join)
def test_no_mistake_hides_another(pair: tuple[str, str], run: Run, place: Path) -> None:
    text = PRODUCT
    for name in pair:
        was, becomes, _ = MISTAKES[name]
        if was not in text:
            pytest.skip("both change one place")
        text = text.replace(was, becomes, 1)
    if "an entry that is no table" in pair:
        text = text.replace("sources = [{ use", "sources = [5, { use")
    code, err = said(run, place, text)
    assert code == 2
    for name in pair:
        _, _, says = MISTAKES[name]
        if "an entry that is no table" in pair:  # which moves the others, and leaves open what the sources are
            if name == "a weight of no source":
                continue
            says = says.replace("sources.1", "sources.2")
        if "a segment that is none" in pair:
            says = says.replace("weights.warm.", "weights.worm.")
        assert f"    {says}" in err, err
    assert "default factory" not in err


def test_all_at_once(run: Run, place: Path) -> None:
    text = PRODUCT
    able = [name for name in MISTAKES if name not in {"an entry that is no table", "a segment that is none"}]
    for name in able:
        was, becomes, _ = MISTAKES[name]
        text = text.replace(was, becomes, 1)
    config = place / "cuvee.toml"
    config.write_text(config.read_text() + "\n[sever]\nlisten = 1\n[store]\npool = 0\n")
    (place / "products/other.toml").write_text('sources = [{ use = "nobody" }]\nrules = [{ use = "filter" }]\n')
    code, err = said(run, place, text)
    assert code == 2
    for name in able:
        assert f"    {MISTAKES[name][2]}" in err, err
    for path in ("sever: unknown key; is 'server' meant?", "store.pool: ", "sources.0.use: ", "rules.0.where: "):
        assert f"    {path}" in err, err
    assert f"the configuration has {len(able) + 4} mistakes" in err


def test_filters_of_all_products_are_held_against_their_catalogues_before_anything_is_fitted(
    run: Run, place: Path
) -> None:
    shutil.copy(place / "products/toys.toml", place / "products/more.toml")
    for name in ("toys", "more"):
        file = place / f"products/{name}.toml"
        text = 'dataset = "toys"\n' + file.read_text()
        file.write_text(text + '\n[[rules]]\nuse = "filter"\nwhere = "price < 50"\n[[rules]]\nuse = "filter"\n'
                        'where = "year AND"\n')  # fmt: skip
    done = run("check", "--config", place / "cuvee.toml")
    assert done.code == 2
    assert done.err.count("where: there is no column 'price'; there are: id, title, year") == 2
    assert done.err.count("where: not a SQL expression") == 2
    assert done.err.count("more.toml\n") == 1


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('plugin = "neighbors"\nmodel = "nothing"', "recommenders.deep.model: Input should be 'ease', 'item_knn'"),
        ('plugin = "neighbors"\nl2 = "much"', "recommenders.deep.l2: Input should be a valid number"),
        (
            'plugin = "tfserving"\nversion = [1]',
            "recommenders.deep.version: Input should be a valid integer; or Input should be 'latest' or 'fitted'",
        ),
        ('plugin = "tfserving"\ntraining = { epoks = 3 }', "recommenders.deep.training.epoks: unknown key; is 'epoc"),
        ('plugin = "toy_popular"\nstrenght = 3', "recommenders.deep.strenght: unknown key; is 'strength' meant? There"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_message(table: str, says: str, run: Run, place: Path) -> None:
    from cuvee.registry import Registry  # noqa: PLC0415 - the test runs in environments without plugins, too

    if table.split('"')[1] not in {*Registry.load().recommenders, "toy_popular"}:
        pytest.skip("the plugin is not installed")
    config = place / "cuvee.toml"
    config.write_text(config.read_text() + f"\n[recommenders.deep]\n{table}\n")
    done = run("check", "--config", config)
    assert "error: the configuration has one mistake" in done.err
    assert f"    {says}" in done.err
