"""Last.fm 2k as two files that ``cuvee import`` reads: plays in a drawn order, and artists with their tags.

Plays have no time. Tags have one, but only 22 % of the artists that a listener plays are tagged by
him, most of them on two or three days; so no order can be had from them. Each listener's artists are put
into an order drawn at random with a fixed seed: what ``leave-last-out`` holds out is then one
artist drawn at random, which is how others split this data set, and nothing about time is claimed.

An artist's labels are the tags that at least two listeners gave. A tag of one alone would tell that
this listener knows the artist, which is what is asked.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["prepare"]

LEAST = 5
"""Artists with fewer listeners are left out, as in the other data sets."""
TAGS = 30
"""Labels kept of an artist, those that most listeners gave."""


def prepare(source: Path, target: Path) -> None:
    """Write ``plays.csv`` and ``artists.csv`` into the folder ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    plays = pl.read_csv(source / "user_artists.dat", separator="\t")
    plays = plays.filter(pl.len().over("artistID") >= LEAST)
    drawn = np.random.default_rng(0).permutation(len(plays))
    plays.with_columns(pl.Series("order", drawn)).select("userID", "artistID", "order").write_csv(target / "plays.csv")
    names = pl.read_csv(source / "tags.dat", separator="\t", quote_char=None)
    given = pl.read_csv(source / "user_taggedartists.dat.gz", separator="\t").join(names, on="tagID")
    counted = given.group_by("artistID", "tagValue").agg(pl.col("userID").n_unique().alias("listeners"))
    counted = counted.filter(pl.col("listeners") >= 2).sort("listeners", "tagValue", descending=[True, False])
    # the importer splits labels at the bar
    label = pl.col("tagValue").str.replace_all("|", " ", literal=True)
    tags = counted.group_by("artistID").agg(label.head(TAGS).str.join("|").alias("tags"))
    artists = pl.read_csv(source / "artists.dat", separator="\t", quote_char=None)
    artists = artists.filter(pl.col("id").is_in(plays["artistID"].unique().implode()))
    artists.join(tags, left_on="id", right_on="artistID", how="left").select("id", "name", "tags").write_csv(
        target / "artists.csv"
    )
