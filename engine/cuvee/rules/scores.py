"""What a score is raised or lowered by: ``boost``, ``bury``, ``fresh``.

Each adds a share of its own, which answers show beside those of the sources. Items that fill up a short list have
no score of the blend, so they keep their order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from cuvee.data.catalog import Catalog
from cuvee.data.filters import compile_filter
from cuvee.errors import InvalidArgument
from cuvee.queries import Times
from cuvee.rules.contract import Arrangement, Lists, Rule, RuleConfig

__all__ = ["Boost", "Bury", "Fresh", "column_of"]

DAY = 86_400.0
YEAR = 365.2425 * DAY


def column_of(field: str, name: str, catalog: Catalog) -> pl.Series:
    """A column of the items; raises InvalidArgument that names ``field`` where there is none."""
    frame = catalog.items.frame
    if name not in frame.columns:
        raise InvalidArgument(field, f"there is no column {name!r}; there are: {', '.join(frame.columns)}")
    return frame[name]


class BoostConfig(RuleConfig):
    """Which items, and by how much."""

    where: str
    """A SQL boolean expression over the catalogue's columns."""
    by: float = Field(gt=0, le=1000)
    """In units of the score: with the calibration ``zscore``, standard deviations."""


class Boost(Rule[BoostConfig]):
    """Adds to the score of the items for which a SQL expression holds."""

    Config = BoostConfig
    sign = 1.0

    def __init__(self, config: BoostConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        mask = compile_filter(config.where, catalog.items, field="where").mask
        self._shares = np.where(mask, np.float32(self.sign * config.by), np.float32(0))

    def arrange(self, lists: Lists) -> Arrangement:
        """The same for each such item."""
        return Arrangement(added=lists.of_items(self._shares, np.float32(0)))


class Bury(Boost):
    """Takes from the score of the items for which a SQL expression holds."""

    sign = -1.0


class FreshConfig(RuleConfig):
    """From which column an item's age is read, and what being new is worth."""

    column: str
    """Dates, times, texts of ISO 8601, or numbers in the ``unit``."""
    by: float = Field(gt=0, le=1000)
    """What an item of this moment gains, in units of the score."""
    half_life_days: float = Field(30.0, gt=0)
    """After so many days it gains half of that."""
    unit: Literal["s", "ms", "year"] = "s"
    """Of numbers: seconds or milliseconds since 1970, or years (``1994`` is the beginning of that year)."""


class Fresh(Rule[FreshConfig]):
    """Adds to the score of new items; what they gain is halved as often as their age holds the half-life.

    An item without a date gains nothing; one of the future as much as one of this moment.
    """

    Config = FreshConfig

    def __init__(self, config: FreshConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self._born = _seconds(column_of("column", config.column, catalog), config.unit)

    def arrange(self, lists: Lists) -> Arrangement:
        """By each item's age at the time of the queries."""
        ages = np.maximum(lists.queries.now - lists.of_items(self._born, np.float64(-np.inf)), 0) / DAY
        with np.errstate(under="ignore"):
            share = self.config.by * np.exp2(-ages / self.config.half_life_days)
        return Arrangement(added=share.astype(np.float32))


def _dates(column: pl.Series) -> pl.Series:
    """Texts of ISO 8601 as times, UTC where they do not say; null where they are none."""
    plain = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M")
    text = pl.col("text")
    zoned = text.str.strptime(pl.Datetime("us", "UTC"), "%+", strict=False).dt.replace_time_zone(None)
    days = text.str.strptime(pl.Date, "%Y-%m-%d", strict=False, exact=True).cast(pl.Datetime("us"))
    local = [text.str.strptime(pl.Datetime("us"), form, strict=False, exact=True) for form in plain]
    return pl.DataFrame({"text": column}).select(pl.coalesce(zoned, days, *local)).to_series()


def _seconds(column: pl.Series, unit: str) -> Times:
    """float64[N]: seconds since the epoch, -inf where nothing is known."""
    kind = column.dtype
    if kind == pl.String:
        column = _dates(column)
    elif kind.is_numeric():
        numbers = column.cast(pl.Float64).to_numpy()
        seconds = (numbers - 1970) * YEAR if unit == "year" else numbers / (1000 if unit == "ms" else 1)
        return np.where(np.isfinite(seconds), seconds, -np.inf)
    elif not kind.is_temporal() or kind in {pl.Time, pl.Duration}:
        raise InvalidArgument("column", f"{column.name!r} holds neither dates nor numbers")
    micros = column.cast(pl.Datetime("us")).to_physical().cast(pl.Float64).to_numpy()
    return np.where(np.isfinite(micros), micros / 1e6, -np.inf)
