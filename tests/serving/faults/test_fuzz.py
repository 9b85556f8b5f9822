"""Bytes, messages and connections of any kind: each rpc answers with a documented code, at once, and stays well.

The long form, 10,000 of each: ``python tests/benchmarks/faults.py fuzz``.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest
from cuvee.testing.server import RunningServer, run_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reliability.asking import World
from reliability.fuzzing import (
    FAULTS,
    METHODS,
    Facts,
    Sender,
    garbage_on_port,
    mutated,
    random_bytes,
    random_message,
    readable,
)
from reliability.place import ENVIRONMENT
from reliability.vitals import Vitals, settled

LONGEST = 5.0
"""Seconds; the long form asks for one, on a machine that does nothing else."""
FIXED = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def facts() -> Facts:
    world = World.of_toy()
    columns = ["title", "genres", "year", "age", "occupation", "available"]
    return Facts([*world.products, "nowhere"], world.users, sorted(world.films), columns)


@pytest.fixture(scope="module")
def server(ruled) -> Iterator[RunningServer]:
    """A server of its own, because random calls may write and delete anything."""
    own = ruled.with_name("fuzzed.toml")
    own.write_text(ruled.read_text() + '\n[store]\nurl = "sqlite:///var/fuzzed.db"\n')
    with run_server(own, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="module")
def send(server: RunningServer) -> Iterator[Sender]:
    with grpc.insecure_channel(server.address) as channel:
        yield Sender(channel)


@pytest.mark.parametrize("name", METHODS)
@FIXED
@given(data=st.binary(max_size=300), seed=st.integers(0, 2**63))
def test_any_bytes_get_a_documented_code(send: Sender, name: str, data: bytes, seed: int):
    method = METHODS[name]
    for one in (data, random_bytes(random.Random(seed))):
        found = send(method, one)
        assert found.code not in FAULTS, (found, one)
        assert readable(method, one) or found.code in {"INVALID_ARGUMENT", "UNIMPLEMENTED", "OK"}, (found, one)
        assert found.seconds < LONGEST


@pytest.mark.parametrize("name", METHODS)
@FIXED
@given(seed=st.integers(0, 2**63))
def test_any_message_is_answered_or_refused(send: Sender, facts: Facts, name: str, seed: int):
    rng, method = random.Random(seed), METHODS[name]
    message = random_message(rng, method.input_type, facts)
    data = message.SerializeToString()
    for one in (data, mutated(rng, data)):
        found = send(method, one)
        assert found.code not in FAULTS, (found, message)
        assert found.seconds < LONGEST


UNDRAWABLE = {
    "ActivateSnapshot", "ApplyConfig", "CancelOperation", "GetOperation", "RollbackConfig", "RollbackSnapshot",
    "StartFit", "StartTune",
}  # fmt: skip
"""Of AdminService: they need a whole file, an earlier version, an imported data set, or an operation that was begun."""


def test_what_is_drawn_goes_deep_enough(send: Sender, facts: Facts):
    """Each rpc that is built is answered with OK now and then, so that more than its checks is met."""
    rng, codes = random.Random(3), Counter()
    built = {n: m for n, m in METHODS.items() if send(m, b"").code != "UNIMPLEMENTED"}
    assert len(built) >= 18
    for name, method in built.items():
        for _ in range(30):
            data = random_message(rng, method.input_type, facts).SerializeToString()
            codes[name] += send(method, data).code == "OK"
    never = {name.partition(".")[2] for name in built if not codes[name]}
    assert never <= UNDRAWABLE, never


def test_noise_on_the_port_costs_nobody_anything(server: RunningServer):
    rng = random.Random(5)
    server.client.recommend("blended", "viewer-001")
    before = Vitals.of(server.process.pid)

    def noise(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(60):
            garbage_on_port(own, server.address)

    threads = [threading.Thread(target=noise, args=(rng.getrandbits(32),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert len(server.client.recommend("blended", "viewer-001", timeout=LONGEST).items) == 5
    after = settled(server.process.pid, before.descriptors + 2, before.threads + 4)
    assert after.descriptors <= before.descriptors + 2
    assert after.threads <= before.threads + 4
    assert after.rss < before.rss + 40


def test_after_all_of_it_nothing_was_unforeseen(server: RunningServer):
    assert server.process.poll() is None
    assert server.events("internal error") == []
    traced = [line for line in server.log.splitlines() if "Traceback" in line and '"source": "raises"' not in line]
    assert traced == []
    assert server.client.health().status == 1
