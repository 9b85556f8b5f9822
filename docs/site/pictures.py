"""Draw the pictures of docs/how.md from a fitted product: ``python -m docs.site.pictures CUVEE_TOML PRODUCT``.

They are in the repository (docs/pictures), and are drawn anew by hand where the steps that they show change.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from cuvee.artifacts.snapshot import Snapshot, load_snapshot
from cuvee.cli.terminal import options
from cuvee.ranking.ask import Directly
from cuvee.ranking.known_users import ask_about
from cuvee.ranking.pipeline import Answer, make_lists
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from docs.site.gathering import ROOT

__all__ = ["main"]

FOLDER = ROOT / "docs" / "pictures"
CANDIDATES = 300
SHOWN = 6
"""Items of the picture of blending."""


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(prog="python -m docs.site.pictures", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("product")
    given = parser.parse_args()
    mpl.rcParams.update({
        "svg.hashsalt": "cuvee", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10,
        "axes.spines.top": False, "axes.spines.right": False,
    })  # fmt: skip
    settings, registry = options.open_settings(given.config)
    snapshot = load_snapshot(settings, registry, given.product)
    try:
        user = np.array([int(np.argmax(snapshot.data.events.lengths >= 30))], np.int32)
        with Directly() as ask:
            question = ask_about(snapshot.data, user, CANDIDATES, snapshot.product.history)
            answer = make_lists(snapshot.plan, question, ask)
        FOLDER.mkdir(exist_ok=True)
        calibration(snapshot, answer)
        blending(snapshot, answer)
        passage(snapshot)
    finally:
        snapshot.close()


def calibration(snapshot: Snapshot, answer: Answer) -> None:
    """One user's candidates: each source's scores as they are, and calibrated."""
    scored = answer.blended
    sources = [s.name for s in snapshot.plan.sources]
    figure, (raw, common) = plt.subplots(1, 2, figsize=(8, 3.4), sharey=True, layout="constrained")
    for at in range(len(sources)):
        for axes, values in ((raw, scored.raw[at, 0]), (common, scored.calibrated[at, 0])):
            kept = values[np.isfinite(values)]
            spread = np.linspace(-0.25, 0.25, len(kept))
            axes.scatter(kept, at + spread, s=5, alpha=0.6, color=f"C{at}", linewidths=0, rasterized=True)
    raw.set_xscale("symlog", linthresh=0.01)
    raw.set(yticks=range(len(sources)), yticklabels=sources, title="raw scores (a folded axis)")
    raw.tick_params(axis="x", labelsize=7)
    common.set(title="calibrated by zscore", xlabel="standard deviations from the source's mean")
    _save(figure, "calibration")


def blending(snapshot: Snapshot, answer: Answer) -> None:
    """The first items of a list, each a bar of what the sources contributed."""
    scored = answer.blended
    best = np.argsort(-np.nan_to_num(scored.scores[0], nan=-np.inf), kind="stable")[:SHOWN]
    items = snapshot.data.catalog.items.frame
    titles = [str(items.row(int(scored.items[0, at]), named=True).get("title"))[:34] for at in best]
    figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
    places = np.arange(len(best))
    above, below = np.zeros(len(best)), np.zeros(len(best))
    for at, source in enumerate(snapshot.plan.sources):
        shares = scored.contributions[at, 0, best]
        left = np.where(shares >= 0, above, below)
        axes.barh(places, shares, left=left, color=f"C{at}", label=source.name)
        above += np.maximum(shares, 0)
        below += np.minimum(shares, 0)
    axes.plot(scored.scores[0, best], places, "k|", markersize=16, label="score")
    axes.set(yticks=places, yticklabels=titles, xlabel="contribution to the score: weight x calibrated score")
    axes.invert_yaxis()
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, "blending")


def passage(snapshot: Snapshot) -> None:
    """The sources' weights by how many events a user has."""
    events = np.arange(16)
    weights = snapshot.plan.mixed_weights(events)
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.stackplot(events, weights, labels=[s.name for s in snapshot.plan.sources])
    for name, least in snapshot.plan.segments:
        axes.axvline(least, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(name, (least, 1.02), annotation_clip=False, fontsize=8)
    axes.set(xlim=(0, 15), ylim=(0, 1), xlabel="liked events in the history", ylabel="weight")
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    _save(figure, "passage")


def _save(figure: Figure, name: str) -> None:
    figure.savefig(FOLDER / f"{name}.svg", facecolor="white", metadata={"Date": None}, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
