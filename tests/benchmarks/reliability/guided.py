"""Bytes that follow what the code does with them, by atheris (libFuzzer): ``faults.py fuzz --guided SECONDS``.

In one process and without the network: what reads messages, repairs their text, checks events and items, and compiles
filters is watched for branches that were not taken yet, and inputs that take them are tried on. Anything but an error
of ours ends it with the input that did it. Needs ``pip install atheris``, which is not among the pins: it has no wheels
for every Python and platform.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cuvee.serving", "cuvee.data", "cuvee.errors"]):
    from cuvee.data.filters import compile_filter
    from cuvee.errors import CuveeError
    from cuvee.serving.broken_text import mended
    from cuvee.serving.catalogue.from_wire import Columns, check_mask, item_upsert, user_upsert
    from cuvee.serving.events.from_wire import checked
    from cuvee.serving.tracing.traces import PARENT

from cuvee.testing import two_tribes
from cuvee.v1 import catalog_pb2, events_pb2
from google.protobuf.message import DecodeError, Message

from reliability.fuzzing import LITERALS, METHODS, Facts, random_message

ITEMS = two_tribes().data.catalog.items
OF_ITEMS = Columns.of_items(ITEMS.frame.schema, "title")
OF_USERS = Columns.of_users(two_tribes().data.catalog.users.frame.schema)
KINDS = [METHODS[name].input_type for name in sorted(METHODS)]


def read(kind: type[Message], data: bytes) -> Message | None:
    """The message, repaired where its text is broken, as the guard does it."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        better = mended(message.DESCRIPTOR, data)  # type: ignore[arg-type]
        if better is None:
            return None
        message.ParseFromString(better)
    return message


def event(data: bytes) -> None:
    """One event of a write."""
    message = read(events_pb2.Event, data)
    if isinstance(message, events_pb2.Event):
        checked(message, {"toy"}, 1_700_000_000_000_000)


def item(data: bytes) -> None:
    """One item of a write."""
    message = read(catalog_pb2.UpsertItemRequest, data)
    if isinstance(message, catalog_pb2.UpsertItemRequest):
        item_upsert(message.item, check_mask(message.update_mask, ("title",), ("attributes",)), OF_ITEMS)


def user(data: bytes) -> None:
    """One user of a write."""
    message = read(catalog_pb2.UpsertUserRequest, data)
    if isinstance(message, catalog_pb2.UpsertUserRequest):
        user_upsert(message.user, check_mask(message.update_mask, (), ("attributes", "interests")), OF_USERS)


def text(data: bytes) -> None:
    """A filter; and a header."""
    said = data.decode(errors="replace")
    PARENT.fullmatch(said)
    compile_filter(said, ITEMS)


def any_message(data: bytes) -> None:
    """The request of any rpc."""
    kind = KINDS[data[0] % len(KINDS)] if data else KINDS[0]
    mended(kind, data[1:])


TARGETS: list[Callable[[bytes], None]] = [event, item, user, text, text, any_message]


def one(data: bytes) -> None:
    """One input: its first byte chooses what reads it."""
    if data:
        try:
            TARGETS[data[0] % len(TARGETS)](data[1:])
        except CuveeError:
            return


def seeds(folder: Path) -> None:
    """Inputs to begin with: messages that are read, and filters."""
    rng = random.Random(1)
    facts = Facts(["toy"], ["viewer-001"], ["item-00"], ["year", "genres", "title"])
    kinds: list[type[Message]] = [events_pb2.Event, catalog_pb2.UpsertItemRequest, catalog_pb2.UpsertUserRequest]
    for n in range(100):
        for at, kind in enumerate(kinds):
            made = random_message(rng, kind().DESCRIPTOR, facts)  # type: ignore[arg-type]
            (folder / f"{at}-{n}").write_bytes(bytes([at]) + made.SerializeToString())
    words = [
        "year > 1980 AND NOT 'War' IN genres",
        "title LIKE 'a%'",
        "year BETWEEN 1 AND 2 OR year IS NULL",
        *LITERALS,
    ]
    for n, said in enumerate(words):
        (folder / f"filter-{n}").write_bytes(bytes([TARGETS.index(text)]) + said.encode())


def main() -> None:
    """Until the time is over; ends with 0 where nothing was unforeseen."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory(prefix="cuvee-guided-") as corpus, tempfile.TemporaryDirectory() as found:
        seeds(Path(corpus))
        limits = [f"-max_total_time={seconds}", "-max_len=2048", "-rss_limit_mb=4096", "-timeout=5"]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={found}/", corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
