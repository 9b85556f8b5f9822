"""The port that workers share."""

import socket

import pytest
from cuvee.errors import OperatorError
from cuvee.serving.workers.port import share


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::1]:0"])
def test_any_port_is_one_that_workers_can_listen_on(listen: str):
    port = share(listen, others=False)
    host, _, number = port.address.rpartition(":")
    assert host == listen.rpartition(":")[0]
    assert int(number) > 0
    with socket.socket(port.kept.family) as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(port.kept.getsockname()[:2])
        worker.listen()
        with socket.create_connection(("localhost" if host == "localhost" else host.strip("[]"), int(number)), 5):
            pass
    port.kept.close()


@pytest.mark.parametrize("listen", ["unix:/tmp/cuvee.sock", "unix-abstract:cuvee", "50051", "host:", "host:name"])
def test_what_cannot_be_shared_says_so(listen: str):
    with pytest.raises(OperatorError, match="give `--workers 1`"):
        share(listen, others=False)


def test_a_host_that_there_is_not_says_so():
    with pytest.raises(OperatorError, match=r"cannot listen on no\.such\.host\.invalid:50051"):
        share("no.such.host.invalid:50051", others=False)


def test_a_port_of_another_server_is_taken_unless_both_want_to_share():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        for others in (False, True):
            with pytest.raises(OperatorError, match="another server there already"):
                share(address, others=others)
    first = share("127.0.0.1:0", others=False)
    with pytest.raises(OperatorError, match="another server there already"):
        share(first.address, others=False)
    second = share(first.address, others=True)
    assert second.address == first.address
    first.kept.close()
    second.kept.close()
