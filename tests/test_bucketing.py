"""Who gets what: shares, independence, the same in every process, and the vectors of docs/products.md."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from itertools import product as every
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from cuvee.bucketing import BUCKETS, bucket
from cuvee.product import ExperimentConfig, Product
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
USERS = [f"user-{n}" for n in range(100_000)]


def experiment(name: str, shares: list[float], **keys: object) -> ExperimentConfig:
    variants = [{"name": f"v{n}", "share": share} for n, share in enumerate(shares)]
    return ExperimentConfig.model_validate({"name": name, "variants": variants, **keys})


def of(*experiments: ExperimentConfig, name: str = "films") -> Product:
    sources = [{"use": "popular"}]
    return Product.model_validate({"name": name, "dataset": name, "sources": sources, "experiments": experiments})


def labels(product: Product, users: list[str] = USERS) -> list[list[str]]:
    return [product.assignment.labels(user) for user in users]


def within_three_sigma(count: int, share: float, of: int) -> bool:
    return abs(count - share * of) <= 3 * sqrt(of * share * (1 - share))


@pytest.mark.parametrize(
    ("share", "shares"), [(1.0, [0.5, 0.5]), (0.2, [0.5, 0.5]), (0.1, [0.9, 0.1]), (0.37, [0.2, 0.3, 0.5])]
)
def test_shares_are_kept_within_three_sigma_of_100_000_users(share: float, shares: list[float]):
    found = labels(of(experiment("taste", shares, share=share)))
    assert within_three_sigma(sum(map(bool, found)), share, len(USERS))
    for n, one in enumerate(shares):
        assert within_three_sigma(sum(got == [f"taste/v{n}"] for got in found), share * one, len(USERS)), n


def test_experiments_of_one_layer_exclude_each_other_and_share_its_buckets():
    found = labels(of(experiment("taste", [0.5, 0.5], share=0.4), experiment("looks", [0.5, 0.5], share=0.6)))
    assert all(len(got) == 1 for got in found), "together they take everybody, each once"
    assert within_three_sigma(sum(got[0].startswith("taste/") for got in found), 0.4, len(USERS))


def test_experiments_of_different_layers_are_independent():
    found = labels(of(experiment("taste", [0.5, 0.5], share=0.8), experiment("looks", [0.3, 0.7], layer="other")))
    first = [next((one for one in got if one.startswith("taste/")), "") for got in found]
    second = [next(one for one in got if one.startswith("looks/")) for got in found]
    for mine, theirs in every(("taste/v0", "taste/v1", ""), ("looks/v0", "looks/v1")):
        inside = [other for one, other in zip(first, second, strict=True) if one == mine]
        share = 0.3 if theirs == "looks/v0" else 0.7
        assert within_three_sigma(inside.count(theirs), share, len(inside)), (mine, theirs)


def test_equal_experiments_of_two_products_are_independent():
    one, other = labels(of(experiment("a", [0.5, 0.5]))), labels(of(experiment("a", [0.5, 0.5]), name="music"))
    assert within_three_sigma(sum(a == b for a, b in zip(one, other, strict=True)), 0.5, len(USERS))


@given(st.integers(1, 9_999), st.integers(1, 10_000), st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_a_growing_share_takes_users_in_and_moves_nobody(small: int, large: int, user: str):
    small, large = sorted((small, large))
    before = of(experiment("taste", [0.3, 0.7], share=small / BUCKETS)).assignment.labels(user)
    after = of(experiment("taste", [0.3, 0.7], share=large / BUCKETS)).assignment.labels(user)
    assert before in ([], after)


@given(st.lists(st.integers(1, 100), min_size=2, max_size=10), st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_everybody_in_an_experiment_has_a_variant_whatever_the_shares(weights: list[int], user: str):
    ends = np.rint(np.cumsum(weights) / sum(weights) * BUCKETS).astype(int)
    shares = np.diff([0, *ends]) / BUCKETS
    if (shares <= 0).any():
        return
    (label,) = of(experiment("taste", shares.tolist())).assignment.labels(user)
    assert label.startswith("taste/v")


def test_other_processes_come_to_the_same():
    code = (
        "import sys; from cuvee.bucketing import bucket; print([bucket('films/taste', f'user-{n}') for n in range(50)])"
    )
    ran = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        ).stdout
        for seed in (1, 2)
    ]
    assert ran == [f"{[bucket('films/taste', user) for user in USERS[:50]]}\n"] * 2


def test_the_vectors_of_the_docs_are_those_of_the_documented_hash():
    text = (ROOT / "docs/products.md").read_text()
    vectors = re.findall(r"^\| `([^`]*)` \| `([^`]*)` \| ([\d,]+) \|$", text, re.MULTILINE)
    assert len(vectors) >= 4
    for salt, unit, number in vectors:
        plain = int.from_bytes(hashlib.sha256(f"{salt}:{unit}".encode()).digest()[:8], "big") % 10_000
        assert bucket(salt, unit) == plain == int(number.replace(",", ""))
