"""The text of a first ``cuvee.toml`` and ``products/<name>.toml``, with comments that say why it is so."""

from __future__ import annotations

import json

from cuvee.data.dataset import Chronology
from cuvee.starting.sources import SEGMENTS, Choice, Facts

__all__ = ["config_text", "product_text"]

CHRONOLOGY = {
    Chronology.TIMES: "with times",
    Chronology.ORDER: "with an order, but no times",
    Chronology.NONE: "without times or an order",
}
BEGINS = {"cold": 0, "new": 1, "growing": 3, "warm": 10}


def config_text(choice: Choice, facts: Facts) -> str:
    """``cuvee.toml``."""
    lines = [
        "# The operators' part: where things lie, how the server listens, which recommenders there are. `cuvee init`",
        f"# wrote it for {facts.n_users:,} users, {facts.n_items:,} items and {facts.n_events:,} events "
        f"{CHRONOLOGY[facts.chronology]}.",
        "# `cuvee check` prints it with every default filled in; deploy/cuvee.toml of Cuvée's sources shows more.",
        "",
        'data = "var/data"              # what was imported',
        'artifacts = "var/artifacts"    # what `cuvee fit` learns',
        "",
        "[server]",
        'listen = "127.0.0.1:50051"     # this machine alone; docs/security.md says how to let others ask',
        "",
        "[store]                        # what users do, and what changes in the catalogue, while the server runs",
        'url = "sqlite:///var/store.db"',
        "",
        "# One table per recommender: `plugin` says which, the other keys are its own (`cuvee plugins`).",
    ]
    for one in choice.sources:
        lines += ["", f"[recommenders.{one.name}]".ljust(31) + f"# {one.why}", f'plugin = "{one.plugin}"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in one.settings.items()]
    lines += ["", "# Left out:", *(f"# {one.name}: {one.why}" for one in choice.left_out)]
    return "\n".join(lines) + "\n"


def product_text(name: str, choice: Choice, facts: Facts, liked_from: float | None) -> str:
    """``products/<name>.toml``."""
    lines = [
        "# The product team's part: what is blended, how much each source counts, what may be shown.",
        f'dataset = "{name}"',
        *_rules(facts),
        "",
        "# Each proposes so many candidates, and has an opinion on those of the others.",
        "sources = [",
        *(f'  {{ use = "{one.name}", candidates = {one.candidates} }},' for one in choice.sources),
        "]",
        "",
        "# By how many events a user has. The weights of growing and warm were learnt on some people, the others are",
        f"# a guess: `cuvee tune {name} --apply` learns all of them from your data.",
        "[blend.segments]",
        *(f"{segment} = {BEGINS[segment]}" for segment in SEGMENTS),
        "",
        "[blend.weights]",
    ]
    for segment in SEGMENTS:
        weights = ", ".join(f"{source} = {weight:g}" for source, weight in choice.weights(segment).items())
        lines.append(f"{segment} = {{ {weights} }}")
    similar = ", ".join(f"{one.name} = {one.similar:g}" for one in choice.sources if one.similar)
    if similar:
        lines.append(f"similar = {{ {similar} }}    # of `cuvee similar`")
    lines += [
        "",
        "[fallback]                     # where the blend leaves a list short",
        f"chain = {json.dumps([one.name for one in choice.sources if one.name in {'content', 'popular'}])}",
    ]
    if liked_from is not None:
        lines += ["", "[events]", f"rating_liked_from = {liked_from:g}        # a rating below says seen, not liked"]
    return "\n".join(lines) + "\n"


def _rules(facts: Facts) -> list[str]:
    if facts.again:
        return [
            f"rules = []                      # {facts.repeats:.0%} of the events are repeats: seen items stay in lists"
        ]
    return ['rules = [{ use = "exclude_seen" }]    # nothing that a user has seen; [] where people take the same again']
