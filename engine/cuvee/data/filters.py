"""SQL boolean expressions over catalogue columns, compiled to one vectorised mask.

sqlglot parses (it reports the position of a mistake) and Polars evaluates. The language is what a
WHERE clause takes: comparisons, AND/OR/NOT, IN, BETWEEN, LIKE, IS NULL, arithmetic, and
``'noir' IN genres`` for a list column.
"""

from __future__ import annotations

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

MAX_NODES = 400
"""Nodes of the syntax tree; bounds the work that a request can ask for."""

_ALLOWED = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg,
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE,
    exp.In, exp.Between, exp.Like, exp.ILike, exp.Is,
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Lower, exp.Upper, exp.Length, exp.Abs,
    exp.ArrayContains,
)  # fmt: skip


@dataclass(frozen=True)
class CompiledFilter:
    """The result of a filter over a catalogue."""

    sql: str
    mask: Bools
    """bool[N]: true where the expression is true; false where it is false or null."""


def _list_membership(node: exp.Expression) -> exp.Expression:
    """Rewrite ``'x' IN column`` (sqlglot keeps the column in ``field``) to what Polars takes."""
    if isinstance(node, exp.In) and isinstance(node.args.get("field"), exp.Expression):
        return exp.Anonymous(this="array_contains", expressions=[node.args["field"], node.this])
    return node


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
    try:
        tree = sqlglot.parse_one(sql, into=exp.Condition)
    except sqlglot.errors.ParseError as problem:
        at = problem.errors[0] if problem.errors else {}
        where = f" at line {at['line']}, column {at['col']}" if at.get("line") else ""
        near = f", near {at['highlight']!r}" if at.get("highlight") else ""
        raise InvalidArgument(field, f"not a SQL expression{where}{near}: {at.get('description', problem)}") from None
    except sqlglot.errors.TokenError as problem:
        raise InvalidArgument(field, f"not a SQL expression: {problem}; is a quote left open?") from None
    except RecursionError:
        raise InvalidArgument(field, "nested too deeply") from None
    nodes = list(tree.walk())
    if len(nodes) > MAX_NODES:
        raise InvalidArgument(field, f"has {len(nodes)} parts; at most {MAX_NODES} are taken")
    for node in nodes:
        if not isinstance(node, _ALLOWED):
            raise InvalidArgument(field, f"{node.sql()!r} is not part of the filter language")
        if isinstance(node, exp.Column) and node.name not in items.frame.columns:
            known = ", ".join(items.frame.columns)
            raise InvalidArgument(field, f"there is no column {node.name!r}; there are: {known}")
    try:
        rendered = tree.transform(_list_membership).sql()
        verdict = items.frame.select(pl.sql_expr(rendered).alias("verdict"))["verdict"]
    except pl.exceptions.PolarsError as problem:
        raise InvalidArgument(field, f"cannot be evaluated: {str(problem).splitlines()[0]}") from None
    if verdict.dtype != pl.Boolean:
        raise InvalidArgument(field, f"gives {verdict.dtype}, not true or false; compare it with something")
    mask = verdict.fill_null(value=False).to_numpy()
    if len(mask) == 1 != len(items):  # an expression of constants alone
        mask = mask.repeat(len(items))
    return CompiledFilter(sql, mask)
