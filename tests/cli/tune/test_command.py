"""``cuvee tune``: what it prints, writes, applies and refuses."""

from __future__ import annotations

import importlib
import importlib.util
import json
import tomllib
from pathlib import Path

import pytest

from ..conftest import Run

HALVES = Path(__file__).parents[2] / "halves"
PNG = b"\x89PNG"
OPERATORS = """\
data = "data"
artifacts = "artifacts"
[recommenders.rows]
plugin = "half"
knows = "rows"
[recommenders.columns]
plugin = "half"
knows = "columns"
[recommenders.noise]
plugin = "half"
[recommenders.all]
plugin = "half"
knows = "both"
"""
PRODUCT = """\
# The team's own words.
sources = [{ use = "rows" }, { use = "columns" }, { use = "noise" }]   # three of them

[blend]
calibrate = "zscore"   # as ever

[blend.weights]
warm = { noise = 1.0 }
similar = { rows = 1.0 }   # of SimilarItems
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a shop whose best weights are known."""
    monkeypatch.syspath_prepend(str(HALVES))
    monkeypatch.setenv("COLUMNS", "200")
    halves = importlib.import_module("halves")

    (tmp_path / "cuvee.toml").write_text(OPERATORS)
    (tmp_path / "products").mkdir()
    (tmp_path / "products" / "shop.toml").write_text(PRODUCT)
    (tmp_path / "data").mkdir()
    halves.world().save(tmp_path / "data" / "shop")
    return tmp_path


def quick(shop: Path) -> tuple[object, ...]:
    return ("shop", "--newcomers", 0, "--no-compare", "--config", shop / "cuvee.toml")


def test_writes_a_patch_that_a_person_can_read_and_a_plot(run: Run, shop: Path) -> None:
    done = run("tune", "shop", "--no-compare", "--config", shop / "cuvee.toml")
    assert done.code == 0, done.err
    text = (shop / "tuning" / "shop.toml").read_text()
    found = tomllib.loads(text)["blend"]["weights"]
    assert set(found) == {"cold", "new", "growing", "warm"}
    assert abs(found["warm"]["rows"] - found["warm"]["columns"]) < 0.2
    for said in ("ndcg@10", "out of fold", "before", "paired bootstrap", "people", "cuvee tune shop, 20"):
        assert said in text
    assert (shop / "tuning" / "shop.png").read_bytes().startswith(PNG)
    assert (shop / "products" / "shop.toml").read_text() == PRODUCT
    # the terminal shows it all: a plot for each segment, the table, the patch, where it lies
    for segment in ("cold: no events", "new: 1 to 2 events", "warm: 10 events or more"):
        assert segment in done.out
    assert "learnt over it" in done.out
    assert "warm = { rows =" in done.out
    assert f"written: {shop / 'tuning' / 'shop.toml'}" in done.out


def test_apply_changes_the_lines_of_the_weights_alone_and_the_file_loads(run: Run, shop: Path) -> None:
    file = shop / "products" / "shop.toml"
    done = run("tune", *quick(shop), "--apply")
    assert done.code == 0, done.err
    changed = [(a, b) for a, b in zip(PRODUCT.splitlines(), file.read_text().splitlines(), strict=True) if a != b]
    assert [a for a, _ in changed] == ["warm = { noise = 1.0 }"]
    checked = run("check", "--config", shop / "cuvee.toml", "--json")
    assert checked.code == 0, checked.err
    effective = json.loads(checked.out)["config"]["products"]["shop"]["blend"]["weights"]
    patch = tomllib.loads((shop / "tuning" / "shop.toml").read_text())["blend"]["weights"]
    assert effective == {**patch, "similar": {"rows": 1.0}}
    assert effective["warm"].get("noise", 0) < 0.1


def test_what_a_blender_learns_is_written_beside_the_product(run: Run, shop: Path) -> None:
    done = run("tune", *quick(shop), "--method", "learned")
    assert done.code == 0, done.err
    assert json.loads((shop / "tuning" / "shop.learned.json").read_text())["calibrate"] == "zscore"
    assert not (shop / "products" / "shop.learned.json").exists()
    assert run("tune", *quick(shop), "--method", "learned", "--apply").code == 0
    learnt = json.loads((shop / "products" / "shop.learned.json").read_text())
    assert set(learnt["sources"]) == {"rows", "columns", "noise"}
    checked = json.loads(run("check", "--config", shop / "cuvee.toml", "--json").out)
    blend = checked["config"]["products"]["shop"]["blend"]
    assert blend["method"] == "learned"
    assert blend["options"]["model"] == "shop.learned.json"
    # and again, from what it now has
    # how high new items may stand lies beside it, and what is learnt anew leaves that alone
    hoped = run("tune", "shop", "--new-items", "--apply", "--config", shop / "cuvee.toml")
    assert hoped.code == 0, hoped.err
    patch = tomllib.loads((shop / "tuning" / "shop.new-items.toml").read_text())["blend"]["options"]
    assert patch.keys() == {"model", "optimism"}
    again = json.loads(run("tune", *quick(shop), "--json").out)
    assert again["recipe"]["method"] == "learned"
    assert again["recipe"]["options"]["optimism"] == patch["optimism"]
    assert tomllib.loads(again["patch"])["blend"]["options"] == patch
    assert again["before"] > 0.9 * again["after"]


def test_how_high_new_items_may_stand_is_written_and_applied(run: Run, shop: Path) -> None:
    done = run("tune", "shop", "--new-items", "--apply", "--config", shop / "cuvee.toml")
    assert done.code == 0, done.err
    for said in ("new items among all", "Recall@50 of new", "chosen", "written:"):
        assert said in done.out
    patch = tomllib.loads((shop / "tuning" / "shop.new-items.toml").read_text())["blend"]
    checked = json.loads(run("check", "--config", shop / "cuvee.toml", "--json").out)
    assert checked["config"]["products"]["shop"]["blend"]["options"] == patch["options"]
    assert list(patch["options"]) == ["optimism"]
    assert all(line in (shop / "products" / "shop.toml").read_text().splitlines() for line in PRODUCT.splitlines())
    again = json.loads(run("tune", "shop", "--new-items", "--json", "--config", shop / "cuvee.toml").out)
    assert again["had"] == patch["options"]["optimism"]


def test_refuses_where_the_best_member_is_as_good(run: Run, shop: Path) -> None:
    file = shop / "products" / "shop.toml"
    file.write_text('sources = [{ use = "all" }, { use = "noise" }]\n')
    before = file.read_text()
    done = run("tune", *quick(shop), "--apply")
    assert done.code == 3
    assert "refused: the blend is not better than all alone: ndcg@10" in done.err
    assert file.read_text() == before
    assert not (shop / "tuning").exists()


def test_for_programs(run: Run, shop: Path) -> None:
    done = run("tune", *quick(shop), "--json", "--metric", "recall", "--k", 20)
    found = json.loads(done.out)
    assert done.err == ""
    assert found["measure"] == "recall@20"
    assert found["refused"] == ""
    assert found["best_member"] in {"rows", "columns"}
    assert found["segments"][-1]["name"] == "warm"
    assert found["against_best"]["difference"]["low"] > 0
    assert "[blend.weights]" in found["patch"]


def test_the_product_says_what_it_is_tuned_for(run: Run, shop: Path) -> None:
    file = shop / "products" / "shop.toml"
    file.write_text(PRODUCT + '\n[tune]\nmetric = "hit_rate"\nk = 5\n')
    found = json.loads(run("tune", *quick(shop), "--json").out)
    assert found["measure"] == "hit_rate@5"


def test_files_go_where_they_are_sent(run: Run, shop: Path) -> None:
    done = run("tune", *quick(shop), "--out", shop / "a" / "patch.toml", "--plot", shop / "b" / "plot.png")
    assert done.code == 0, done.err
    assert "[blend.weights]" in (shop / "a" / "patch.toml").read_text()
    assert (shop / "b" / "plot.png").read_bytes().startswith(PNG)
    assert not (shop / "tuning").exists()


def test_fits_are_kept_from_one_run_to_the_next(run: Run, shop: Path) -> None:
    run("tune", *quick(shop))
    fits = {p.name for p in (shop / "fits").glob("*/*")}
    run("tune", *quick(shop), "--method", "rrf")
    assert {p.name for p in (shop / "fits").glob("*/*")} == fits
    run("tune", *quick(shop), "--refit", "rows")
    assert len({p.name for p in (shop / "fits").glob("*/*")} & fits) == len(fits) - 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method", "sum"], "no blender named 'sum'; there are: "),
        (["--calibrate", "loud"], "no calibrator named 'loud'; there are: "),
        (["--refit", "nobody"], "no recommender named 'nobody'"),
    ],
)
def test_names_that_nobody_registers(run: Run, shop: Path, options: list[str], said: str) -> None:
    done = run("tune", *quick(shop), *options)
    assert done.code == 2
    assert said in done.err


def test_without_the_extra_it_says_what_to_install(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "plotext" else found(name, *a))
    done = run("tune", *quick(shop))
    assert done.code == 2
    assert "`cuvee tune` needs plotext; install with: pip install 'cuvee[tune]'" in done.err


def test_nothing_is_a_per_cent_of_nothing(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = importlib.import_module("halves")
    dense = halves.Half._dense
    monkeypatch.setattr(halves.Half, "_dense", lambda self, queries: -dense(self, queries))
    file = shop / "products" / "shop.toml"
    sources = 'sources = [{ use = "rows" }, { use = "all" }]\n[blend]\nsegments = { cold = 0 }\n'
    file.write_text(sources)
    done = run("tune", "shop", "--k", 1, "--config", shop / "cuvee.toml")
    assert done.code == 3, done.err
    assert "refused: ndcg@1 is 0 for every source" in done.err
    assert "both 0" in done.out
    assert "nan" not in done.out + done.err
    assert not (shop / "tuning").exists()
    assert file.read_text() == sources


def test_the_table_says_of_whom_each_segment_speaks(run: Run, shop: Path) -> None:
    said = " ".join(run("tune", "shop", "--no-compare", "--config", shop / "cuvee.toml").out.split())
    assert "known users (events) people" in said
    assert "new users (events so far) people" in said
    assert "those of `cuvee evaluate --protocol validation`, less the 64 withheld" in said
    assert "new users: 64 people withheld from every model" in said


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ('[[rules]]\nuse = "exclude_seen"\n', []),
        (
            '[[rules]]\nuse = "boost"\nname = "old"\nwhere = "id != \'x\'"\nby = 0.5\n'
            '[[rules]]\nuse = "pin"\nitems = ["x"]\n',
            ["old", "pin"],
        ),
    ],
)
def test_rules_that_arrange_are_said_to_be_left_out(run: Run, shop: Path, rules: str, named: list[str]) -> None:
    file = shop / "products" / "shop.toml"
    file.write_text(PRODUCT + rules)
    done = run("tune", *quick(shop), "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["rules_left_out"] == named
    assert ("old, pin" in done.err) == bool(named)
    assert ("cuvee diff shop --metric" in done.err) == bool(named)
