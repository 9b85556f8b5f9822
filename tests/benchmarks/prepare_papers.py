"""CiteULike-a as two files that ``cuvee import`` reads: papers in people's libraries, and the papers' tags.

Libraries have no time: each is put into an order drawn at random with a fixed seed, as for Last.fm
(``prepare_music.py``), and nothing about time is claimed.

Who gave a tag is not told. A tag on few papers, or one whose papers stand nearly all in one library, is
likely that person's own word for them, and would tell whose library a paper belongs to, which is
what is asked. Both are left out. ``links`` are the papers that a paper cites or is cited by, and itself, so
that two of which one cites the other are alike, as are two that cite the same.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

__all__ = ["prepare"]

LEAST = 5
"""Papers in fewer libraries are left out, as in the other data sets; and tags on fewer papers."""
OWN = 0.8
"""A tag of whose papers one library holds so large a share is its owner's own."""


def prepare(source: Path, target: Path) -> None:
    """Write ``libraries.csv`` and ``papers.csv`` into the folder ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    libraries, tagged = _lines(source / "users.dat"), _lines(source / "item-tag.dat")
    owners = pl.DataFrame({"user": libraries.row, "paper": libraries.col})
    owners = owners.filter(pl.len().over("paper") >= LEAST)
    drawn = np.random.default_rng(0).permutation(len(owners))
    owners.with_columns(pl.Series("order", drawn)).write_csv(target / "libraries.csv")
    names = (source / "tags.dat").read_text(encoding="utf-8").splitlines()
    shared = _shared(libraries, tagged)[tagged.col]
    # the importer splits labels at the bar
    words = [names[tag].replace("|", " ") for tag in tagged.col[shared]]
    papers = owners.select("paper").unique().sort("paper")
    papers = papers.join(_joined(tagged.row[shared], words, "tags"), on="paper", how="left")
    cited = _lines(source / "citations.dat")
    itself = papers["paper"].to_numpy()
    links = _joined(np.concatenate([itself, cited.row]), np.concatenate([itself, cited.col]), "links")
    papers.join(links, on="paper", how="left").write_csv(target / "papers.csv")


def _joined(papers: npt.ArrayLike, labels: npt.ArrayLike, name: str) -> pl.DataFrame:
    """One row per paper: its labels, with a bar between them."""
    pairs = pl.DataFrame({"paper": papers, name: labels})
    return pairs.group_by("paper", maintain_order=True).agg(pl.col(name).cast(pl.String).str.join("|"))


def _lines(path: Path) -> sparse.coo_array:
    """A matrix of 1 and 0 from lines of "how many, their numbers"."""
    lines = [line.split()[1:] for line in path.read_text(encoding="ascii").splitlines()]
    rows = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    columns = np.asarray([int(number) for line in lines for number in line], np.int64)
    pairs = np.unique(np.stack([rows, columns]), axis=1)
    return sparse.coo_array((np.ones(pairs.shape[1], np.float32), (pairs[0], pairs[1])))


def _shared(libraries: sparse.coo_array, tagged: sparse.coo_array) -> npt.NDArray[np.bool_]:
    """bool[tags]: those on enough papers that are not all one person's."""
    papers = np.asarray(tagged.sum(axis=0)).ravel()
    largest = (libraries.tocsr() @ tagged.tocsr()).max(axis=0).toarray().ravel()
    return np.asarray((papers >= LEAST) & (largest < OWN * papers))
