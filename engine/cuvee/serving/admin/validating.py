"""Configurations that somebody sends to have them checked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from cuvee.config import Files
from cuvee.errors import InvalidArgument, Mistake

__all__ = ["LONGEST", "given_files", "named_elsewhere"]

LONGEST = 2**20
"""Characters of one file."""
MOST_PRODUCTS = 100


def given_files(files: Files, server_toml: str, product_tomls: Mapping[str, str]) -> Files:
    """The files that are asked about; those of ``files`` where none are given.

    Raises:
        InvalidArgument: both are empty, or one is too long.
    """
    if not server_toml and not product_tomls:
        raise InvalidArgument("server_toml", "is empty, and so is product_tomls; give one of them to be checked")
    if len(product_tomls) > MOST_PRODUCTS:
        raise InvalidArgument("product_tomls", f"has {len(product_tomls)} entries; {MOST_PRODUCTS} are taken at most")
    for field, text in (("server_toml", server_toml), *((f"product_tomls[{n}]", t) for n, t in product_tomls.items())):
        check_length(field, text)
    for name in product_tomls:
        if not name or "/" in name or "\0" in name or name.startswith("."):
            raise InvalidArgument("product_tomls", f"{name!r} is no name of a product")
    server = server_toml.encode() if server_toml else files.server
    return Files(files.file, server, {name: text.encode() for name, text in product_tomls.items()} or files.products)


def check_length(field: str, text: str) -> None:
    """Raises InvalidArgument where a file is too long."""
    if len(text) > LONGEST:
        raise InvalidArgument(field, f"has {len(text)} characters; {LONGEST} are taken at most")


def named_elsewhere(given: Files, used: Files) -> Iterator[Mistake]:
    """Variables of the environment that the server's own ``cuvee.toml`` does not read at the same place.

    Who may have a configuration checked must not be able to read the server's secrets by it.
    """
    there = set(_with_variables(_parsed(used.server)))
    for path, text in _with_variables(_parsed(given.server)):
        if (path, text) not in there:
            yield Mistake(
                str(given.file), path, "reads the environment where this server's cuvee.toml does not; check it there"
            )


def _parsed(content: bytes | None) -> object:
    try:
        return tomllib.loads((content or b"").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}


def _with_variables(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _with_variables(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _with_variables(inner, f"{path}.{at}")
    elif isinstance(value, str) and "${" in value:
        yield path, value
