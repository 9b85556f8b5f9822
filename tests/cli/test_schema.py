"""``cuvee schema``: what it accepts, `cuvee check` accepts; what it refuses, `cuvee check` refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import HERE, Run

ROOT = HERE.parents[1]
MISTAKES = HERE / "mistakes"
GOOD = [HERE / "good/cuvee.toml", HERE / "good/products/toys.toml"]
SAID_BY_CHECK_ALONE = {
    # between keys, or about what is on the disk
    "product": {
        "learned_model_not_named", "learned_model_not_there", "page_size_default_above_max", "segments_not_from_zero",
        "segments_starting_together", "source_twice", "unknown_fallback", "unknown_source", "weight_of_no_source",
        "weights_all_zero", "weights_of_no_segment",
        "experiment_share_of_nobody", "experiments_of_one_salt", "experiments_overlap",
        "experiments_take_more_than_all",
        "layers_override_one_key", "layers_wrong_together", "variant_shares_not_whole",
        "variant_that_leaves_a_weight_behind", "variant_weight_of_no_source",
    },
    "cuvee": {
        "certificates_that_nobody_asks_for", "hashed_ids_with_a_short_key", "hashed_ids_without_key",
        "recommender_missing_that_a_product_uses", "strangers_reach_admin", "strangers_reach_it",
        "variable_that_is_not_set", "vectors_in_a_circle", "vectors_of_nobody", "store_in_memory", "store_of_no_kind",
        "plugin_setting_not_finite",
    },
}  # fmt: skip


def schema_of(run: Run, which: str) -> dict[str, Any]:
    done = run("schema", which)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def kind_of(file: Path) -> str:
    return "server" if file.name == "cuvee.toml" or file.parent.name == "cuvee" else "product"


@pytest.mark.parametrize("file", GOOD, ids=lambda f: f.stem)
def test_what_check_accepts_fits_the_schema(file: Path, run: Run):
    jsonschema.validate(tomllib.loads(file.read_text()), schema_of(run, kind_of(file)))


@pytest.mark.parametrize("kind", ["product", "cuvee"])
def test_what_check_refuses_does_not_fit_the_schema_unless_it_is_between_keys(kind: str, run: Run):
    schema = schema_of(run, "server" if kind == "cuvee" else "product")
    validator = jsonschema.Draft202012Validator(schema)
    fitting = set()
    for file in sorted((MISTAKES / kind).glob("*.toml")):
        try:
            values = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError:
            continue
        if validator.is_valid(values):
            fitting.add(file.stem)
    assert fitting == SAID_BY_CHECK_ALONE[kind], "check refuses these, and the schema takes them"


VALUES = st.one_of(
    st.none().map(lambda _: {}), st.booleans(), st.integers(-3, 2000), st.floats(-2, 3, allow_nan=False),
    st.sampled_from(["", "40ms", "1.5s", "x", "weighted", "zscore", "rrf", "prior", "smooth", "popular", "ndcg"]),
    st.lists(st.sampled_from(["popular", "pairs", 3]), max_size=2),
)  # fmt: skip
PLACES = [
    ("history",), ("dataset",), ("page_size", "default"), ("page_size", "max"), ("blend", "method"),
    ("blend", "missing"), ("blend", "calibrate"), ("blend", "passage"), ("blend", "max_candidates"),
    ("explore", "share"), ("explore", "first"), ("explore", "method"), ("fallback", "chain"), ("tune", "metric"),
    ("tune", "k"), ("events", "exposures"), ("events", "retention_days"), ("rate", "per_second"),
    ("sources", 0, "candidates"), ("sources", 0, "timeout"), ("sources", 0, "use"), ("colour",), ("blend", "colour"),
    ("sources", 0, "colour"), ("shadows", 0, "overrides", "history"), ("shadows", 0, "overrides", "colour"),
    ("shadows", 0, "overrides", "blend", "missing"), ("shadows", 0, "share"), ("shadows", 0, "overrides"),
]  # fmt: skip


def changed(values: dict[str, Any], place: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """A copy with another value at a place; tables on the way there are made."""
    made: dict[str, Any] = json.loads(json.dumps(values))
    at: Any = made
    for part in place[:-1]:
        at = at[part] if isinstance(part, int) else at.setdefault(part, {})
    at[place[-1]] = value
    return made


def test_any_value_at_any_place_is_taken_by_both_or_by_neither(run: Run):
    """The schema says no more than check does: what it refuses is refused; and what it takes is a matter of keys."""
    import toyplugin  # noqa: F401, PLC0415 - the fixture has put it on the path
    from cuvee.config import Files  # noqa: PLC0415
    from cuvee.config.printing import as_toml  # noqa: PLC0415
    from cuvee.config.reading import read_settings  # noqa: PLC0415
    from cuvee.registry import Registry  # noqa: PLC0415

    registry = Registry.load()
    validator = jsonschema.Draft202012Validator(schema_of(run, "product"))
    server, good = GOOD[0].read_bytes(), tomllib.loads(GOOD[1].read_text())
    good["shadows"] = [{"name": "bold", "overrides": {"history": 5}}]
    between = ("is listed twice", "there is no", "is not one of", "is above max", "users are told apart by")

    @settings(max_examples=150)
    @given(st.sampled_from(PLACES), VALUES)
    def same(place: tuple[str | int, ...], value: object) -> None:
        values = changed(good, place, value)
        text = as_toml(values).encode()
        mistakes = read_settings(Files(GOOD[0], server, {"toys": text}), registry)[1]
        mistakes = [one for one in mistakes if not any(words in one.message for words in between)]
        fits = validator.is_valid(tomllib.loads(text.decode()))
        # TOML's readers are kind to whole numbers written as 3.0, and to true for 1
        kind = isinstance(value, float | bool)
        assert fits == (not mistakes) or (kind and not mistakes), (text.decode(), mistakes)

    same()


def test_the_deployed_files_fit(run: Run):
    """With the plugins that they name, where these are installed."""
    from cuvee.config.schema import product_schema, server_schema  # noqa: PLC0415
    from cuvee.registry import Registry  # noqa: PLC0415

    registry = Registry.load()
    if "tfserving" not in registry.recommenders:
        pytest.skip("the plugins that the deployed files name are not installed")
    jsonschema.validate(tomllib.loads((ROOT / "deploy/cuvee.toml").read_text()), server_schema(registry))
    for file in (ROOT / "deploy/products").glob("*.toml"):
        jsonschema.validate(tomllib.loads(file.read_text()), product_schema(registry))
