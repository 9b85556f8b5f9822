"""The products that are asked about: fitted here, once, and kept under ``var/bench/serving``.

``six`` is the demo's: deploy/cuvee.toml on MovieLens 100k, with its six sources. ``four`` is the same with the
four that are in process and that warm users hear: EASE, transitions, LightFM, popularity. ``20k``, ``100k`` and
``1M`` are made up, as many items, with three sources: LightFM (64 dimensions), content, popularity.

What was fitted is kept with a digest of its configuration and of the code that fits, and made anew
where either has changed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit

from load.synthetic import Shape, save

__all__ = ["KEPT", "NAMES", "ROOT", "SHAPES", "Fitted", "configured", "fitted", "made", "ml_100k", "run_cuvee", "shop"]

ROOT = Path(__file__).resolve().parents[3]
KEPT = ROOT / "var" / "bench" / "serving"
DEPLOY = ROOT / "deploy"
FOUR = ("ease", "transitions", "lightfm", "popular")

SHAPES = {
    "20k": Shape(items=20_000, users=20_000, events=400_000),
    "100k": Shape(items=100_000, users=50_000, events=1_000_000),
    "1M": Shape(items=1_000_000, users=100_000, events=3_000_000),
    "10M": Shape(items=100_000, users=200_000, events=10_000_000),
}
"""By what they are called; the last one, after its events, is for fits alone."""
NAMES = ("six", "four", "20k", "100k", "1M")
SHOP = """
data = "data"
artifacts = "artifacts"
[store]
url = "sqlite:///store.db"
"""
THREE = {
    # how many epochs has no part in how fast it is served
    "lightfm": {"plugin": "lightfm", "components": 64, "epochs": 2},
    "content": {"plugin": "content"},
    "popular": {"plugin": "popular"},
}


@dataclass(frozen=True)
class Fitted:
    """A product that can be served."""

    label: str
    """What it is called here."""
    name: str
    """What it is called in requests."""
    folder: Path
    config: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """The environment that its configuration reads."""
    deep: bool = False
    """It needs a model server."""

    @property
    def data(self) -> Path:
        """The imported dataset."""
        return self.folder / "data" / self.name


def run_cuvee(*arguments: object, settings: Mapping[str, str] | None = None) -> str:
    """Run the command; its output.

    Raises:
        subprocess.CalledProcessError: it failed; what it said is on stderr.
    """
    command = [sys.executable, "-m", "cuvee.cli", *map(str, arguments)]
    return subprocess.run(
        command, check=True, text=True, stdout=subprocess.PIPE, env={**os.environ, **(settings or {})}
    ).stdout


def fitted(label: str) -> Fitted:
    """One of ``NAMES``, fitted now if it was not."""
    if label == "six":
        return _fit(_six(), lambda product: _import_ml_100k(product.data.parent))
    if label == "four":
        return _fit(_four(), lambda product: _import_ml_100k(product.data.parent))
    return _fit(shop(label, THREE), lambda product: save(SHAPES[label], product.data))


def _six() -> Fitted:
    folder = KEPT / "six"
    settings = {
        "CUVEE_VAR": str(folder),
        "CUVEE_MODELS": str(folder / "models"),
        "CUVEE_STORE": f"sqlite:///{folder}/store.db",
    }
    # the demo's home page alone: its other pages are not what is measured
    (folder / "products").mkdir(parents=True, exist_ok=True)
    config = folder / "cuvee.toml"
    for name in ("cuvee.toml", "products/movies.toml"):
        (folder / name).write_text((DEPLOY / name).read_text())
    return Fitted("six", "movies", folder, config, settings, deep=True)


def _four() -> Fitted:
    operators = tomllib.loads((DEPLOY / "cuvee.toml").read_text())
    team = tomllib.loads((DEPLOY / "products" / "movies.toml").read_text())
    recommenders = {name: table for name, table in operators["recommenders"].items() if name in FOUR}
    team["sources"] = [source for source in team["sources"] if source["use"] in FOUR]
    team["fallback"]["chain"] = ["popular"]
    team["blend"]["weights"] = {
        segment: {name: weight for name, weight in weights.items() if name in FOUR}
        for segment, weights in team["blend"]["weights"].items()
    }
    return configured("four", "movies", recommenders, team)


def shop(label: str, recommenders: Mapping[str, Any], folder: str = "") -> Fitted:
    """A made-up catalogue's product with these recommenders, each of the same weight; written, not fitted."""
    sources = [{"use": name, "candidates": 200} for name in recommenders]
    return configured(folder or label, "shop", recommenders, {"sources": sources, "dataset": "shop"})


def configured(folder: str, name: str, recommenders: Mapping[str, Any], team: Mapping[str, Any]) -> Fitted:
    """Write a configuration into a folder of its own."""
    place = KEPT / folder
    (place / "products").mkdir(parents=True, exist_ok=True)
    (place / "cuvee.toml").write_text(SHOP + tomlkit.dumps({"recommenders": recommenders}))
    (place / "products" / f"{name}.toml").write_text(tomlkit.dumps({**team, "dataset": name}))
    return Fitted(folder, name, place, place / "cuvee.toml")


def ml_100k() -> Path:
    """MovieLens 100k: in ``CUVEE_DATA``, else as ``cuvee dataset`` fetches it."""
    given = os.environ.get("CUVEE_DATA")
    if given and (Path(given) / "ml-100k" / "u.data").exists():
        return Path(given) / "ml-100k"
    from cuvee.data.files.fetch import cache_root  # noqa: PLC0415

    run_cuvee("dataset", "ml-100k")
    return cache_root() / "ml-100k"


def _import_ml_100k(data: Path) -> None:
    run_cuvee("import", ml_100k(), "--dataset", "movies", "--data-dir", data, "--replace")


def made(label: str) -> Path:
    """The folder of a made-up shop's data, which is made now if it was not; nothing is fitted."""
    product = shop(label, THREE)
    _make(product, lambda: save(SHAPES[label], product.data))
    return product.data.parent


def _fit(product: Fitted, make_data: Callable[[Fitted], None]) -> Fitted:
    """Make data and models, unless they are there as they would be made."""
    team = product.config.parent / "products" / f"{product.name}.toml"
    digest = _digest([product.config, team, *_code()]) + _make(product, lambda: make_data(product))
    kept = product.folder / "fitted"
    if _text(kept) != digest:
        run_cuvee("fit", product.name, "--config", product.config, "--json", settings=product.settings)
        kept.write_text(digest)
    return product


def _make(product: Fitted, make_data: Callable[[], None]) -> str:
    """Make data, unless they are there as they would be made; returns a digest of how they are."""
    digest = _digest([ROOT / "tests/benchmarks/load/synthetic.py"]) + str(SHAPES.get(product.label))
    if not product.data.exists() or _text(product.folder / "made") != digest:
        product.data.parent.mkdir(parents=True, exist_ok=True)
        make_data()
        (product.folder / "made").write_text(digest)
        (product.folder / "fitted").unlink(missing_ok=True)
    return digest


def _code() -> Iterable[Path]:
    """What decides what a fit writes."""
    engine = ROOT / "engine" / "cuvee"
    yield engine / "recommender.py"
    for folder in (engine / "artifacts", engine / "training", *sorted((ROOT / "plugins").glob("*/src"))):
        yield from sorted(folder.rglob("*.py"))


def _digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _text(file: Path) -> str:
    return file.read_text() if file.exists() else ""
