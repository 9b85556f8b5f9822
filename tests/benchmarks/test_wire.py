"""The callers' own HTTP/2 against gRPC's server: statuses, bodies, deadlines, many calls at once, a lost connection."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from load.wire import CANCELLED, DEADLINE_EXCEEDED, OK, UNAVAILABLE, Answer, Connection


@dataclass
class Served:
    address: str
    server: grpc.Server


@pytest.fixture
def served() -> Iterator[Served]:
    """Answers what is asked for: ``code 5``, ``size 100000``, ``sleep 3``; anything else comes back."""

    def answer(request: bytes, context: Any) -> bytes:
        word, _, value = request.partition(b" ")
        if word == b"code":
            code = next(code for code in grpc.StatusCode if code.value[0] == int(value))
            context.abort(code, "as asked: 100 % of ümlauts")
        if word == b"sleep":
            time.sleep(float(value))
        return b"x" * int(value) if word == b"size" else request

    server = grpc.server(ThreadPoolExecutor(4))
    handler: Any = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", {"Ask": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Served(f"127.0.0.1:{port}", server)
    server.stop(0).wait()


def ended(connection: Connection, n: int, seconds: float = 10.0) -> list[Answer]:
    found: list[Answer] = []
    until = time.monotonic() + seconds
    while len(found) < n:
        assert time.monotonic() < until, f"{len(found)} of {n} ended"
        connection.flush()
        select.select([connection], [], [], 0.01)
        found += connection.receive()
        found += connection.expired(time.perf_counter())
    return found


def asked(served: Served, *bodies: bytes, deadline: float = 5.0) -> list[Answer]:
    connection = Connection(served.address, "/test/Ask", deadline)
    for body in bodies:
        connection.send(body)
    found = ended(connection, len(bodies))
    connection.close()
    return found


@pytest.mark.parametrize("code", [code.value[0] for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_each_status_is_read(served: Served, code: int) -> None:
    (answer,) = asked(served, b"code %d" % code)
    assert (answer.status, answer.body) == (code, b"")


def test_a_method_that_there_is_not(served: Served) -> None:
    connection = Connection(served.address, "/test/Nothing", 5.0)
    connection.send(b"x")
    assert ended(connection, 1)[0].status == grpc.StatusCode.UNIMPLEMENTED.value[0]
    connection.close()


@pytest.mark.parametrize("size", [0, 1, 2_500, 100_000, 3_000_000])
def test_bodies_come_whole(served: Served, size: int) -> None:
    (answer,) = asked(served, b"size %d" % size)
    assert (answer.status, len(answer.body)) == (OK, size)


def test_many_at_once_are_not_mixed_up(served: Served) -> None:
    bodies = [b"call %d " % n + b"y" * (n % 700) for n in range(400)]
    answers = asked(served, *bodies)
    assert {answer.status for answer in answers} == {OK}
    assert sorted(answer.body for answer in answers) == sorted(bodies)
    assert all(answer.took > 0 for answer in answers)


def test_more_than_the_server_takes_at_once_waits_its_turn(served: Served) -> None:
    bodies = [b"%d " % n + b"z" * 50_000 for n in range(20)]
    assert sorted(a.body for a in asked(served, *bodies)) == sorted(bodies)


def test_what_is_late_is_given_up_in_time_and_the_rest_is_not(served: Served) -> None:
    began = time.monotonic()
    answers = asked(served, b"sleep 3", b"now", deadline=0.5)
    assert time.monotonic() - began < 2.5
    found = {answer.body: answer.status for answer in answers}
    assert found.pop(b"now") == OK
    assert set(found.values()) <= {DEADLINE_EXCEEDED, CANCELLED}
    assert len(found) == 1


def test_time_counts_from_when_a_call_was_due(served: Served) -> None:
    connection = Connection(served.address, "/test/Ask", 5.0)
    connection.send(b"now", time.perf_counter() - 1.0)
    assert ended(connection, 1)[0].took > 1.0
    connection.close()


def test_a_lost_connection_ends_what_was_asked(served: Served) -> None:
    connection = Connection(served.address, "/test/Ask", 5.0)
    connection.send(b"sleep 4")
    connection.flush()
    time.sleep(0.2)
    served.server.stop(0)
    (answer,) = ended(connection, 1)
    assert answer.status in {UNAVAILABLE, CANCELLED}
    connection.close()
