"""SQL boolean expressions over catalogue columns, compiled to one vectorised mask.

sqlglot parses (it reports the position of a mistake) and Polars evaluates. The language is what a
WHERE clause takes: comparisons, AND/OR/NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic, and
``'noir' IN genres`` for a list column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
import sqlglot
from sqlglot import exp

from cuvee.data.catalog import Entities
from cuvee.errors import InvalidArgument
from cuvee.queries import Bools

__all__ = ["MAX_LENGTH", "CompiledFilter", "compile_filter"]

MAX_LENGTH = 2000
"""Characters; a longer filter is refused."""

MAX_DEPTH = 32
"""How deep brackets may be nested, and how many operators (``NOT``, ``-``) may stand before one value."""

MAX_NODES = 400
"""Nodes of the syntax tree; bounds the work that a request can ask for."""

_ALLOWED = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg,
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE,
    exp.In, exp.Between, exp.Like, exp.ILike, exp.Is,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Lower, exp.Upper, exp.Length, exp.Abs,
    exp.ArrayContains,
)  # fmt: skip


_TOKENS = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|\w+|[^\s\w]""")


@dataclass(frozen=True)
class CompiledFilter:
    """The result of a filter over a catalogue."""

    sql: str
    mask: Bools
    """bool[N]: true where the expression is true; false where it is false or null."""


def _parsed(sql: str, field: str) -> exp.Condition:
    try:
        return sqlglot.parse_one(sql, into=exp.Condition)
    except sqlglot.errors.ParseError as problem:
        at = problem.errors[0] if problem.errors else {}
        where = f" at line {at['line']}, column {at['col']}" if at.get("line") else ""
        near = f", near {at['highlight']!r}" if at.get("highlight") else ""
        raise InvalidArgument(field, f"not a SQL expression{where}{near}: {_said(at.get('description', ''))}") from None
    except sqlglot.errors.TokenError:
        raise InvalidArgument(field, "not a SQL expression: it does not end; is a quote left open?") from None
    except RecursionError:
        raise InvalidArgument(field, "nested too deeply") from None
    except Exception:  # noqa: BLE001 - the parser stumbles over some functions, such as VAR_MAP(year)
        raise InvalidArgument(field, "not a SQL expression: a function has other arguments than it takes") from None


def _list_membership(node: exp.Expression) -> exp.Expression:
    """Rewrite ``'x' IN column`` (sqlglot keeps the column in ``field``) to what Polars takes."""
    if isinstance(node, exp.In) and isinstance(node.args.get("field"), exp.Expression):
        return exp.Anonymous(this="array_contains", expressions=[node.args["field"], node.this])
    return node


def _check_depth(sql: str, field: str) -> None:
    """Refuse what parsers, which call themselves for each level, would need a deep stack for."""
    depth = prefixes = 0
    for part in _TOKENS.findall(sql):
        if part in "([":
            depth += 1
        elif part in ")]":
            depth -= 1
        prefixes = prefixes + 1 if part in "-+~!" or part.upper() == "NOT" else 0
        if max(depth, prefixes) > MAX_DEPTH:
            raise InvalidArgument(field, f"is nested more than {MAX_DEPTH} deep")


def compile_filter(sql: str, items: Entities, *, field: str = "filter") -> CompiledFilter:
    """Parse and evaluate an expression over the items.

    Args:
        sql: the expression, at most :data:`MAX_LENGTH` characters.
        items: the catalogue's items, N of them.
        field: the request field or configuration key to name in an error.

    Raises:
        InvalidArgument: malformed, too long, not boolean, of an unknown column or function; the
            description gives line and column where the parser knows them.
    """
    if len(sql) > MAX_LENGTH:
        raise InvalidArgument(field, f"has {len(sql)} characters; at most {MAX_LENGTH} are taken")
    _check_depth(sql, field)
    tree = _parsed(sql, field)
    nodes = list(tree.walk())
    if len(nodes) > MAX_NODES:
        raise InvalidArgument(field, f"has {len(nodes)} parts; at most {MAX_NODES} are taken")
    for node in nodes:
        if not isinstance(node, _ALLOWED):
            raise InvalidArgument(field, f"{_shown(node)!r} is not part of the filter language")
        if isinstance(node, exp.Column) and node.table:
            raise InvalidArgument(
                field, f"{node.sql()!r} has a dot; write the column's name alone, or in double quotes"
            )
        if isinstance(node, exp.Column) and node.name not in items.frame.columns:
            known = ", ".join(items.frame.columns)
            raise InvalidArgument(field, f"there is no column {node.name!r}; there are: {known}")
    try:
        rendered = tree.transform(_list_membership).sql()
        verdict = items.frame.select(pl.sql_expr(rendered).alias("verdict"))["verdict"]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise InvalidArgument(field, f"cannot be evaluated: {_types_of(nodes, items)}") from None
    if verdict.dtype != pl.Boolean:
        raise InvalidArgument(field, f"gives {_kind(verdict.dtype)}, not true or false; compare it with something")
    mask = verdict.fill_null(value=False).to_numpy()
    if len(mask) == 1 != len(items):  # an expression of constants alone
        mask = mask.repeat(len(items))
    return CompiledFilter(sql, mask)


EXPECTED = re.compile(r"Expect(?:ed|ing) [A-Z()\[\]]{1,20}\b|Expecting \S")


def _said(description: str) -> str:
    """What the parser found wrong, in words: its own name the classes of its syntax tree."""
    if description.startswith("Required keyword"):
        return "something is missing beside it"
    if description.startswith("The number of provided arguments"):
        return "the function takes another number of arguments"
    expected = EXPECTED.match(description)
    return (
        expected[0].replace("Expecting", "expected").replace("Expected", "expected")
        if expected
        else "it is not expected here"
    )


def _shown(node: exp.Expr) -> str:
    try:
        return node.sql()
    except Exception:  # noqa: BLE001 - some parts cannot be written as SQL again
        return node.name or "a part of it"


def _types_of(nodes: Iterable[exp.Expr], items: Entities) -> str:
    """Why Polars cannot evaluate an expression; its own messages speak of its types, and may show values."""
    names = dict.fromkeys(node.name for node in nodes if isinstance(node, exp.Column))
    kinds = ", ".join(f"{name} ({_kind(items.frame.schema[name])})" for name in names)
    what = "it compares or computes with values of different kinds, or of a kind that the operator does not take"
    return f"{what}; its columns: {kinds}" if kinds else what


def _kind(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if dtype == pl.Boolean:
        return "flag"
    if isinstance(dtype, pl.List | pl.Array):
        return "texts"
    return "time" if dtype.is_temporal() else "nothing" if dtype == pl.Null else "text"
