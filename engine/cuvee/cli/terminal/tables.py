"""Tables and JSON on stdout, and formatting of numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["plain_table", "print_json", "say", "show_table", "size", "span"]


def print_json(value: object) -> None:
    """Print to stdout as JSON, as is: no wrapping, no colours. NaN and infinity, which JSON does not have, are null."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False))  # noqa: T201 - the command's output


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class PlainTable(Table):
    """A table without a frame that never breaks a word.

    Where it is wider than the terminal, cells wrap between words, the widest columns first; numbers
    (columns that are justified to the right) and columns that are not to wrap stay on one line.
    Where even that is too wide, lines run on: print it by :func:`show_table`, which does not cut them.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Give each column its width, then draw."""
        between = 2 * (len(self.columns) - 1)
        widths = self._widths(console, options, options.max_width - between)
        for column, width in zip(self.columns, widths, strict=True):
            column.width, column.overflow = width, "fold"  # no cell is wider than its column
        yield from super().__rich_console__(console, options.update(max_width=sum(widths) + between))

    def _widths(self, console: Console, options: ConsoleOptions, room: int) -> list[int]:
        least, widths = [], []
        wide = options.update(max_width=10_000)
        for column in self.columns:
            head = Measurement.get(console, wide, column.header)
            cells = [Measurement.get(console, wide, cell) for cell in column.cells]
            full = max((cell.maximum for cell in cells), default=0)
            whole = column.no_wrap or column.justify == "right"
            least.append(max([head.minimum, full if whole else 0, *(cell.minimum for cell in cells)]))
            widths.append(max(head.maximum, full, column.min_width or 0))
        while sum(widths) > room:
            able = [at for at, width in enumerate(widths) if width > least[at]]
            if not able:
                break
            widths[max(able, key=widths.__getitem__)] -= 1
        return widths


def plain_table(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    """A table without a frame, its heads underlined; the columns in ``right`` hold numbers."""
    table = PlainTable(box=None, header_style="bold underline", pad_edge=False, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def show_table(console: Console, table: Table) -> None:
    """Print a table without cutting it, however narrow the terminal is."""
    console.print(table, crop=False)


def say(console: Console, text: str | Text) -> None:
    """Print sentences: wrapped between words; a word that is wider than the terminal stays whole."""
    for paragraph in (Text(text) if isinstance(text, str) else text).split("\n", allow_blank=True):
        ends, used = [], 0
        for word in re.finditer(r"\s*\S+\s*", paragraph.plain):
            if used and used + cell_len(word[0].rstrip()) > console.width:
                ends.append(word.start())
                used = 0
            used += cell_len(word[0])
        for line in paragraph.divide(ends):
            line.rstrip()
            console.print(line, no_wrap=True, overflow="ignore", crop=False)


def size(n: int) -> str:
    """Bytes in the unit that keeps the number short."""
    value = float(n)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def span(seconds: float) -> str:
    """Seconds in the unit that keeps the number short."""
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms" if seconds >= 0.01 else f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
