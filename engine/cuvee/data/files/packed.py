"""The text of a file as UTF-8 with line feeds, whatever its compression and encoding.

The format is detected from the first bytes, not from the name: gzip, bzip2, xz, zstd and zip with one
file in it; UTF-8, UTF-16 and UTF-32 by their byte order marks, and the last two without one.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import polars as pl

from cuvee.errors import DataError

__all__ = ["beginning", "head", "text_lines"]

MARKS: Sequence[tuple[bytes, str]] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
"""Byte order marks; a longer one before the shorter one that it begins with."""
ZSTD = b"\x28\xb5\x2f\xfd"
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError)
"""What the packers raise for a broken or locked file."""
MANY_NULS = 1000
"""Where more than one byte in so many is NUL, a file is no text; fewer are mistakes in it."""
BEGINNING = 1 << 16
"""How many bytes are read to detect a file's format."""


def _open(path: Path) -> IO[bytes]:
    """The file's content, unpacked.

    Raises:
        DataError: it is an archive of several files, or a workbook.
    """
    with path.open("rb") as file:
        first = file.read(8)
    if first.startswith(b"\x1f\x8b"):
        return io.BufferedReader(gzip.GzipFile(path))
    if first.startswith(b"BZh"):
        return bz2.open(path)
    if first.startswith(b"\xfd7zXZ\0"):
        return lzma.open(path)
    if first.startswith(ZSTD):
        # Polars unpacks it, and Python learns to with 3.14
        try:
            return io.BytesIO("\n".join(pl.read_lines(path)["line"]).encode())
        except pl.exceptions.PolarsError as problem:
            raise DataError(f"{path} cannot be unpacked: {problem}; unpack it first") from problem
    if first.startswith(b"PK\x03\x04"):
        return _only_member(path)
    if first.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError(f"{path} is a workbook; save its sheet as CSV")
    return path.open("rb")


def _only_member(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names:
        raise DataError(f"{path} is a workbook; save its sheet as CSV")
    if len(names) != 1:
        raise DataError(f"{path} packs {len(names)} files; unpack it, and name the one to read")
    return archive.open(names[0])


def encoding_of(beginning: bytes) -> str | None:
    """By the byte order mark, or by the positions of zero bytes in UTF-16 and UTF-32; None where neither tells."""
    for mark, encoding in MARKS:
        if beginning.startswith(mark):
            return encoding
    if b"\0" not in beginning:
        return None
    whole = beginning[: len(beginning) // 4 * 4]
    zeros = [whole[at::4].count(0) / max(len(whole) // 4, 1) for at in range(4)]
    often, never = 0.5, 0.02
    for encoding, pattern in (
        ("utf-32-le", (0, 1, 1, 1)),
        ("utf-32-be", (1, 1, 1, 0)),
        ("utf-16-le", (0, 1, 0, 1)),
        ("utf-16-be", (1, 0, 1, 0)),
    ):
        if all(share > often if zero else share <= never for share, zero in zip(zeros, pattern, strict=True)):
            return encoding
    return None


def _with_line_feeds(data: bytes) -> bytes:
    if b"\r" not in data:
        return data
    return data.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def beginning(path: Path) -> tuple[bytes, str | None]:
    """The first bytes of a file, unpacked, and why it cannot be unpacked; None where it can."""
    try:
        with _open(path) as file:
            return file.read(BEGINNING), None
    except DataError as problem:
        return b"", str(problem)
    except UNREADABLE as problem:
        return b"", f"{path} cannot be read: {problem}; is it whole? If it is still being written, wait for its end"


def head(path: Path, lines: int = 20) -> list[str]:
    """The first lines that are not blank, without their ends; none where it cannot be read or is no text."""
    block, _ = beginning(path)
    encoding = encoding_of(block)
    if encoding is None and block.count(b"\0") > max(len(block) // MANY_NULS, 3):
        return []
    text = block.decode(encoding, "replace") if encoding else block.decode("latin-1")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return list(islice((line for line in text.split("\n") if line.strip()), lines))


def text_lines(path: Path, encoding: str | None, fallback: str | None) -> tuple[bytes, list[int]]:
    """The whole file as UTF-8 with line feeds, and the numbers of lines that cannot be decoded, which are left blank.

    Args:
        path: the file.
        encoding: None detects it from the first bytes, with UTF-8 as the default.
        fallback: the encoding where it turns out not to be UTF-8; None leaves such lines out.

    Raises:
        DataError: it cannot be read, or is empty.
    """
    try:
        with _open(path) as file:
            data = file.read()
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    codec = encoding or encoding_of(data[:BEGINNING]) or "utf-8"
    undecodable: list[int] = []
    try:
        plain = codecs.lookup(codec).name in {"utf-8", "ascii"}
        text = data.decode(codec)
        found = data if plain else text.encode()
    except LookupError as error:
        raise DataError(f"{encoding!r} is no known encoding; try utf-8, latin-1 or cp1252") from error
    except UnicodeEncodeError as error:
        raise DataError(f"{path} is not {codec} text; say which --encoding it has") from error
    except UnicodeDecodeError:
        if encoding is None and fallback is not None:
            found = data.decode(fallback).encode()
        else:
            found, undecodable = _line_by_line(data, codec)
    found = _with_line_feeds(found.removeprefix(codecs.BOM_UTF8))
    found = found.replace(b"\n" + codecs.BOM_UTF8, b"\n")  # several files that were put together
    if not found.strip():
        raise DataError(f"{path} is empty")
    return found, undecodable


def _line_by_line(data: bytes, codec: str) -> tuple[bytes, list[int]]:
    """Lines that can be decoded, and the numbers of the others."""
    undecodable = []
    kept = []
    if codec.startswith(("utf-16", "utf-32")):
        text = data.decode(codec, "replace").replace("\r\n", "\n").replace("\r", "\n")
        for number, line in enumerate(text.split("\n"), 1):
            broken = "\ufffd" in line
            kept.append(b"" if broken else line.encode())
            undecodable += [number] if broken else []
        return b"\n".join(kept), undecodable
    for number, raw in enumerate(_with_line_feeds(data).split(b"\n"), 1):
        try:
            kept.append(raw.decode(codec).encode())
        except UnicodeDecodeError:
            kept.append(b"")
            undecodable.append(number)
    return b"\n".join(kept), undecodable
