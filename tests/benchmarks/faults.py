"""The long forms of tests/serving/faults, with figures for docs/reliability.md.

Run by hand, one section or several::

    python tests/benchmarks/faults.py fuzz invariants
    python tests/benchmarks/faults.py fuzz --count 10000 --seed 3

``fuzz`` sends random bytes, random messages and mutated messages to every rpc, in turn, and noise to the port;
``invariants`` asks random valid requests, and each twice. The exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
from cuvee.testing.server import RunningServer, run_server
from reliability.asking import World, ask, broken, random_request, same
from reliability.fuzzing import (
    FAULTS,
    METHODS,
    Facts,
    Outcome,
    Sender,
    garbage_on_port,
    mutated,
    random_bytes,
    random_message,
)
from reliability.place import ENVIRONMENT, RULED, fitted
from reliability.vitals import Vitals

HUNG = 1.0
"""Seconds that no call may take."""
COLUMNS = ["title", "genres", "year", "age", "occupation", "available"]


def fuzz(server: RunningServer, count: int, seed: int) -> bool:
    """Whether ``count`` random payloads, messages and mutated messages were all answered as they should be."""
    world, rng = World.of_toy(), random.Random(seed)
    facts = Facts([*world.products, "nowhere"], world.users, sorted(world.films), COLUMNS)
    kinds: dict[str, Callable[[bytes], bytes]] = {
        "message": lambda data: data,
        "mutated": lambda data: mutated(rng, data),
        "random": lambda _: random_bytes(rng),
    }
    codes: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    wrong: list[tuple[str, str, Outcome]] = []
    longest, late, warm = 0.0, 0, Vitals.of(server.process.pid)
    names = list(METHODS)
    with grpc.insecure_channel(server.address) as channel:
        send = Sender(channel)
        for turn in range(count):
            method = METHODS[names[turn % len(names)]]
            message = random_message(rng, method.input_type, facts).SerializeToString()
            for kind, make in kinds.items():
                found = send(method, make(message))
                codes[kind][found.code] += 1
                longest, late = max(longest, found.seconds), late + (found.seconds > HUNG)
                if found.code in FAULTS:
                    wrong.append((kind, method.name, found))
            if turn == count // 4:
                warm = Vitals.of(server.process.pid)
            if turn % 20 == 0:
                garbage_on_port(rng, server.address)
    time.sleep(2)
    for kind, found_codes in codes.items():
        print(f"{kind}: {dict(found_codes.most_common())}")
    print(f"longest {longest:.2f} s, {late} over {HUNG:.0f} s; {count // 20} connections of noise")
    print(f"after a quarter: {warm}; at the end: {Vitals.of(server.process.pid)}")
    unforeseen = len(server.events("internal error"))
    print(f"INTERNAL, UNKNOWN and the like: {len(wrong)}; unforeseen errors in the log: {unforeseen}")
    for kind, name, bad in wrong[:10]:
        print(f"  {name}, {kind}: {bad}")
    return not wrong and not late and not unforeseen and server.process.poll() is None


def invariants(server: RunningServer, count: int, seed: int) -> bool:
    """Whether ``count`` answers kept every promise, and repeating each request gave the same answer."""
    world, rng = World.of_toy(), random.Random(seed)
    world.write(server.client, rng, 20)
    wrong: list[str] = []
    kinds: Counter[str] = Counter()
    for _ in range(count):
        asked = random_request(rng, world)
        answer = ask(server.client, asked)
        told = broken(asked, answer)
        if not same(answer, ask(server.client, asked)):
            told.append("another answer when asked again")
        wrong += [f"{asked.request.product}: {line}" for line in told]
        kinds[f"{asked.request.product} {type(asked.request).__name__.removesuffix('Request')}"] += 1
    print(f"{count} requests, each twice: {dict(sorted(kinds.items()))}")
    print(f"broken: {len(wrong)} {wrong[:10]}")
    return not wrong


SECTIONS = {"fuzz": (fuzz, 10_000), "invariants": (invariants, 5_000)}


def main() -> None:
    """Run the sections that are named, each against a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--count", type=int, help="how many, instead of the section's own number")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    fine = True
    with tempfile.TemporaryDirectory(prefix="cuvee-faults-") as folder:
        config = fitted(Path(folder) / "ruled", RULED, head='[server.limits]\ndeadline = "5s"')
        for name in given.sections:
            section, count = SECTIONS[name]
            print(f"## {name}")
            began = time.monotonic()
            with run_server(config, environment=ENVIRONMENT) as server:
                fine &= section(server, given.count or count, given.seed)
            print(f"{time.monotonic() - began:.0f} s\n")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
