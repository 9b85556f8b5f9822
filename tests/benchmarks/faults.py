"""The long forms of tests/serving/faults, with figures for docs/reliability.md.

Run by hand, one section or several::

    python tests/benchmarks/faults.py fuzz invariants
    python tests/benchmarks/faults.py fuzz --count 10000 --seed 3

``fuzz`` sends random bytes, random messages and mutated messages to every rpc, in turn, and noise to the port;
``invariants`` asks random valid requests, and each twice; ``cancel`` gives up calls of every kind at any moment;
``crowds`` opens connections that ask for nothing, too much, or never read; ``poison`` has one user write 100,000
events; ``lost`` kills and stops a worker of two under load. The exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from cuvee.testing.server import RunningServer, run_server
from load.processes import CORES, echo
from reliability.asking import World, ask, broken, random_request, same
from reliability.callers import Callers, apart, workers
from reliability.cancelling import cancelled
from reliability.crowding import KINDS, p99, p99_of_echo
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
from reliability.poisoning import flooded, overlap, shop, tops
from reliability.vitals import Vitals, settled

WORKERS = 2
KEPT, LOST = 0.95, 0.01
"""Of the first items of others, at the least; and of calls after a worker was lost, at the most."""
STORMS = 4
"""Of calls that are given up; what the last leaves is compared with what the one before left."""
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


def cancel(server: RunningServer, count: int, seed: int) -> bool:
    """Whether nothing is left of ``count`` calls that were given up."""
    rng, users, pid = random.Random(seed), World.of_toy().users, server.process.pid
    # pools are bounded, and begin a thread whenever all that they have are busy: so each storm adds fewer
    held: list[Vitals] = []
    for _ in range(STORMS):
        codes = cancelled(server.address, "blended", users, count, rng)
        time.sleep(2)
        held.append(settled(pid, held[-1].descriptors, held[-1].threads) if held else Vitals.of(pid))
        print(f"{count} calls: {dict(codes.most_common())}; afterwards: {held[-1]}")
    before, after = held[-2:]
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(30)
    left = server.events("stopping")[0]["in_flight"]
    print(f"in flight afterwards: {left}; unforeseen errors in the log: {len(server.events('internal error'))}")
    flat = after.descriptors <= before.descriptors and after.threads <= before.threads
    return flat and left == 0 and not server.events("internal error")


def crowds(server: RunningServer, count: int, seed: int) -> bool:
    """Whether callers are served beside each kind of crowd in less than twice the time, ``count`` calls each."""
    users = World.of_toy().users
    times = []
    for name, crowd in KINDS.items():
        alone = p99(server.address, "blended", users, count)
        with crowd(server.address, "blended"):
            beside = p99(server.address, "blended", users, count)
            held = Vitals.of(server.process.pid)
        times.append(beside / alone)
        print(f"{name}: p99 {1e3 * beside:.1f} ms, alone {1e3 * alone:.1f} ms, {times[-1]:.2f} x; the server: {held}")
        with echo(2500, cores=CORES.all) as address:
            alone = p99_of_echo(address, count)
            with crowd(address, "blended"):
                beside = p99_of_echo(address, count)
        print(f"  an empty server of gRPC: {1e3 * beside:.1f} ms, alone {1e3 * alone:.1f} ms, {beside / alone:.2f} x")
    return max(times) < 2


def poison(server: RunningServer, count: int, seed: int) -> bool:
    """Whether ``count`` events of one user in a minute leave the lists of a hundred others as they are."""
    before, began = tops(server.client), time.monotonic()
    found = flooded(server.client, count)
    took = time.monotonic() - began
    time.sleep(5)  # what is stored is followed within a second
    kept = overlap(before, tops(server.client))
    print(f"{count} events of one user in {took:.0f} s: {dict(found.most_common())}")
    print(f"the first ten items of {len(before)} others stayed the same by {kept:.3f}")
    return kept >= KEPT and found["RATE_LIMITED"] > 0


def lost(server: RunningServer, count: int, seed: int) -> bool:
    """Whether under 1 % of the calls of ``count`` seconds fail after a worker was killed, and after one was stopped."""
    fine, users = True, World.of_toy().users
    apart()
    for number in (signal.SIGKILL, signal.SIGSTOP):
        with Callers(server.address, ["blended"], users, callers=8, timeout=2.0, pause=0.01) as callers:
            callers.first(lambda call: call.code == "OK", 0.0)
            moment = time.monotonic()
            os.kill(workers(server)[0], number)
            time.sleep(count)
        found = callers.summary(moment)
        print(f"{number.name}: {found}")
        fine &= found.ok > 1 - LOST and len(workers(server)) == WORKERS
    return fine


@dataclass(frozen=True)
class Section:
    """A run, how many of what it counts, and the server that it is run against."""

    run: Callable[[RunningServer, int, int], bool]
    count: int
    server: Callable[[Path], Path]
    options: Sequence[str] = ()
    until: str = "ready"


def ruled(folder: Path) -> Path:
    """The products under rules."""
    return fitted(folder, RULED, head='[server.limits]\ndeadline = "5s"')


SECTIONS = {
    "fuzz": Section(fuzz, 10_000, ruled),
    "invariants": Section(invariants, 5_000, ruled),
    "cancel": Section(cancel, 5_000, ruled),
    "crowds": Section(crowds, 500, ruled),
    "poison": Section(poison, 100_000, shop),
    "lost": Section(lost, 30, ruled, ("--workers", str(WORKERS)), "workers ready"),
}


def main() -> None:
    """Run the sections that are named, each against a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="+", choices=SECTIONS)
    parser.add_argument("--count", type=int, help="how many, instead of the section's own number")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", type=int, metavar="SECONDS", help="with fuzz: so long by atheris, too")
    given = parser.parse_args()
    fine = True
    for name in given.sections:
        section = SECTIONS[name]
        print(f"## {name}")
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cuvee-faults-") as folder:
            config = section.server(Path(folder) / "place")
            with run_server(
                config, environment=ENVIRONMENT, options=section.options, wait_until=section.until
            ) as server:
                kept = section.run(server, given.count or section.count, given.seed)
        if given.guided and section.run is fuzz:
            command = [sys.executable, "-m", "reliability.guided", str(given.guided)]
            kept &= subprocess.run(command, cwd=Path(__file__).parent, check=False).returncode == 0
        fine &= kept
        print(f"{'kept' if kept else 'BROKEN'}; {time.monotonic() - began:.0f} s\n")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
