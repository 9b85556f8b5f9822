"""``cuvee check``: every mistake at once, each with its path; and the effective configuration."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from .conftest import HERE, Run

MISTAKES = HERE / "mistakes"
ONE_EACH = sorted([*(MISTAKES / "cuvee").glob("*.toml"), *(MISTAKES / "product").glob("*.toml")])
SAYS = "# says: "


@pytest.mark.parametrize("file", ONE_EACH, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_a_mistake_is_named_with_its_file_and_path(file: Path, run: Run, tmp_path: Path) -> None:
    shutil.copytree(HERE / "good", tmp_path, dirs_exist_ok=True)
    broken = tmp_path / ("cuvee.toml" if file.parent.name == "cuvee" else "products/toys.toml")
    text = file.read_text()
    expected = text.splitlines()[0]
    assert expected.startswith(SAYS), f"the first line of {file} must be {SAYS!r} and what is said"
    broken.write_text(text)
    done = run("check", "--config", tmp_path / "cuvee.toml")
    assert done.code == 2
    assert done.out == ""
    heard = done.err.splitlines()
    assert heard[0] == "error: the configuration has one mistake", done.err
    where = tmp_path / "products/toys.toml" if "sources.1.use" in expected else broken
    assert heard[1].strip() == str(where)
    assert heard[2].strip().startswith(expected.removeprefix(SAYS)), done.err


def test_ten_mistakes_of_three_files_are_told_at_once(run: Run) -> None:
    done = run("check", "--config", MISTAKES / "many" / "cuvee.toml")
    assert done.code == 2
    assert done.err.splitlines()[0] == "error: the configuration has 10 mistakes"
    for path in (
        "sever", "server.limits.deadline", "recommenders.popular.strength", "recommenders.deep.plugin",
        "sources.1.use", "blend.method", "blend.weights.lukewarm", "rules.0.use", "sources", "history",
    ):  # fmt: skip
        assert f"    {path}: " in done.err, path
    for file in ("cuvee.toml", "products/shop.toml", "products/feed.toml"):
        assert done.err.count(f"  {MISTAKES / 'many' / file}\n") == 1


@pytest.mark.parametrize("command", [("fit",), ("evaluate", "toys")])
def test_other_commands_refuse_a_broken_configuration_alike(command: tuple[str, ...], run: Run) -> None:
    done = run(*command, "--config", MISTAKES / "many" / "cuvee.toml")
    assert done.code == 2
    assert "10 mistakes" in done.err


def test_no_configuration(run: Run, tmp_path: Path) -> None:
    done = run("check", "--config", tmp_path / "cuvee.toml")
    assert done.code == 2
    assert "does not exist; pass --config" in done.err


def test_no_product(run: Run, tmp_path: Path) -> None:
    shutil.copy(HERE / "good" / "cuvee.toml", tmp_path)
    done = run("check", "--config", tmp_path / "cuvee.toml")
    assert done.code == 2
    assert "holds no product" in done.err


def test_the_effective_configuration_is_toml_with_every_default(run: Run, place: Path) -> None:
    run("fit", "--config", place / "cuvee.toml")
    done = run("check", "--config", place / "cuvee.toml")
    assert done.code == 0
    effective = tomllib.loads(done.out)
    assert effective["recommenders"]["popular"] == {"plugin": "toy_popular", "strength": 1.0}
    assert effective["products"]["toys"]["sources"][1] == {"use": "pairs", "candidates": 50, "timeout": "250ms"}
    assert effective["server"]["limits"]["deadline"] == "1000ms"
    assert done.err.startswith("ok: ")
    revision = done.out.splitlines()[0].removeprefix("# revision ")
    assert revision in done.err
    as_json = json.loads(run("check", "--config", place / "cuvee.toml", "--json").out)
    assert as_json["revision"] == revision
    assert as_json["warnings"] == []


def test_the_configuration_can_come_from_the_environment(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUVEE_CONFIG", str(place / "cuvee.toml"))
    assert run("check").code == 0


def test_missing_models_are_warned_of(run: Run, place: Path) -> None:
    done = run("check", "--config", place / "cuvee.toml")
    assert done.code == 0
    assert "warning: product toys cannot be served yet: nothing was fitted yet" in done.err


def test_stale_models_are_warned_of(run: Run, place: Path) -> None:
    config = place / "cuvee.toml"
    run("fit", "--config", config)
    config.write_text(config.read_text().replace("strength = 2.0", "strength = 3.0"))
    done = run("check", "--config", config)
    assert done.code == 0
    assert "warning: product toys: pairs: [recommenders.pairs] has changed" in done.err


def test_an_unused_recommender_is_warned_of(run: Run, place: Path) -> None:
    config = place / "cuvee.toml"
    config.write_text(config.read_text() + '\n[recommenders.spare]\nplugin = "toy_pairs"\n')
    assert "warning: [recommenders.spare] is used by no product" in run("check", "--config", config).err


def test_a_filter_that_does_not_fit_the_catalogue_is_a_mistake(run: Run, place: Path) -> None:
    run("fit", "--config", place / "cuvee.toml")
    product = place / "products" / "toys.toml"
    product.write_text(product.read_text() + '\n[[rules]]\nuse = "filter"\nwhere = "price < 50"\n')
    done = run("check", "--config", place / "cuvee.toml")
    assert done.code == 2
    assert "rules.1: where: " in done.err
    assert "price" in done.err
