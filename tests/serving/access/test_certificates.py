"""TLS and client certificates on a real server: each wrong one is refused, and new ones are taken without a restart."""

from __future__ import annotations

import datetime
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme
from cryptography import x509
from cuvee.client import Client, TlsFiles, failure_of
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import recommendation_pb2 as pb
from grpc_health.v1 import health_pb2

from ..conftest import ENVIRONMENT
from .conftest import RECOMMEND, call, code, until

ASKED = pb.RecommendRequest(product="toy", user_id="viewer-001")
NOW = datetime.datetime.now(datetime.UTC)


@dataclass
class Secure:
    """A server with ``client_ca``, and the authority that signs for both sides."""

    folder: Path
    ca: trustme.CA
    server: RunningServer

    def put(self, certificate: trustme.LeafCert) -> None:
        """In the place of the server's certificate: first one file, then the other."""
        certificate.private_key_pem.write_to_path(self.folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(self.folder / "server.pem")

    def files(self, name: str, certificate: trustme.LeafCert | None, ca: trustme.CA | None = None) -> TlsFiles:
        """What a client shows and trusts."""
        (ca or self.ca).cert_pem.write_to_path(self.folder / f"{name}-ca.pem")
        if certificate is None:
            return TlsFiles(self.folder / f"{name}-ca.pem")
        certificate.private_key_pem.write_to_path(self.folder / f"{name}-key.pem")
        certificate.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")
        return TlsFiles(*(self.folder / f"{name}{end}" for end in ("-ca.pem", ".pem", "-key.pem")))

    def outcome(self, tls: TlsFiles | None, host: str = "localhost") -> str:
        """The code of a call over a new connection."""
        with Client(f"{host}:{self.server.address.rpartition(':')[2]}", tls) as client:
            try:
                client._stub.Recommend(ASKED, timeout=5)
            except grpc.RpcError as problem:
                return failure_of(problem).code.name
        return "OK"


@pytest.fixture(scope="module")
def secure(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    made = config.with_name("mtls.toml")
    (config.parent / "one-product").mkdir(exist_ok=True)
    (config.parent / "one-product/toy.toml").write_text(config.with_name("products").joinpath("toy.toml").read_text())
    tables = f"""[server]
tls = {{ certificate = "{folder}/server.pem", key = "{folder}/key.pem", client_ca = "{folder}/ca.pem" }}
auth.certificates = [
  {{ name = "shop@example.com", scopes = ["recommend"] }},
  {{ name = "writer.example", scopes = ["write"] }},
  {{ name = "elsewhere.example", scopes = ["recommend"], products = ["news"] }},
  {{ subject = "CN=named,OU=whole", scopes = ["recommend"] }},
  {{ name = "soon.example", scopes = ["recommend"] }},
]
"""
    made.write_text('products = "one-product"\n' + config.read_text().replace("[server]\n", tables))
    found = Secure(folder, ca, None)  # type: ignore[arg-type]
    found.put(ca.issue_cert("localhost"))
    with run_server(made, environment=ENVIRONMENT) as running:
        found.server = running
        yield found


def test_who_may_ask_by_certificate(secure: Secure) -> None:
    ca, stranger = secure.ca, trustme.CA()
    shop = secure.files("shop", ca.issue_cert("shop@example.com"))
    assert secure.outcome(shop) == "OK"
    cases = {
        "by another of its names": (secure.files("both", ca.issue_cert("a.example", "shop@example.com")), "OK"),
        "another scope": (secure.files("writer", ca.issue_cert("writer.example")), "PERMISSION_DENIED"),
        "another product": (secure.files("elsewhere", ca.issue_cert("elsewhere.example")), "PERMISSION_DENIED"),
        "named by nobody": (secure.files("nobody", ca.issue_cert("nobody.example")), "UNAUTHENTICATED"),
        "a name that ends alike": (secure.files("like", ca.issue_cert("a.writer.example")), "UNAUTHENTICATED"),
        "of a stranger's authority": (
            secure.files("stranger", stranger.issue_cert("shop@example.com"), ca),
            "UNAVAILABLE",
        ),
        "expired": (
            secure.files("expired", ca.issue_cert("shop@example.com", not_after=NOW - datetime.timedelta(days=1))),
            "UNAVAILABLE",
        ),
        "none": (secure.files("none", None), "UNAVAILABLE"),
        "not encrypted": (None, "UNAVAILABLE"),
    }
    assert {name: secure.outcome(tls) for name, (tls, _) in cases.items()} == {
        name: expected for name, (_, expected) in cases.items()
    }


def test_a_client_refuses_what_is_not_the_server(secure: Secure) -> None:
    shop = secure.ca.issue_cert("shop@example.com")
    assert secure.outcome(secure.files("ours", shop)) == "OK"
    assert secure.outcome(secure.files("ours", shop), "127.0.0.1") == "UNAVAILABLE"  # another name
    assert secure.outcome(secure.files("theirs", shop, trustme.CA())) == "UNAVAILABLE"  # an unknown authority


def test_a_certificate_that_expires_while_it_is_connected_is_refused(secure: Secure) -> None:
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=6)
    tls = secure.files("soon", secure.ca.issue_cert("soon.example", not_after=ends))
    with Client(f"localhost:{secure.server.address.rpartition(':')[2]}", tls) as client:
        assert client.recommend("toy", "viewer-001").items
        time.sleep(max(0.0, (ends - datetime.datetime.now(datetime.UTC)).total_seconds()) + 1.0)
        with pytest.raises(grpc.RpcError) as refused:
            client.recommend("toy", "viewer-001")
        assert failure_of(refused.value).reason == "UNAUTHENTICATED"


def shown(secure: Secure) -> int:
    """The serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context(cadata=secure.ca.cert_pem.bytes().decode())
    context.set_alpn_protocols(["h2"])
    with secure.ca.issue_cert("shop@example.com").private_key_and_cert_chain_pem.tempfile() as file:
        context.load_cert_chain(file)
    context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    plain = socket.create_connection(("127.0.0.1", int(secure.server.address.rpartition(":")[2])), 5)
    with context.wrap_socket(plain) as wrapped:
        return x509.load_der_x509_certificate(wrapped.getpeercert(True) or b"").serial_number


def serial(certificate: trustme.LeafCert) -> int:
    return x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes()).serial_number


def test_new_files_are_taken_and_wrong_ones_are_not(secure: Secure) -> None:
    shop = secure.files("shop", secure.ca.issue_cert("shop@example.com"))
    with Client(f"localhost:{secure.server.address.rpartition(':')[2]}", shop) as old:
        assert old.recommend("toy", "viewer-001").items
        second = secure.ca.issue_cert("localhost")
        secure.put(second)
        until(lambda: shown(secure) == serial(second))
        assert old.recommend("toy", "viewer-001").items, "the old connection goes on"
    # of wrong ones none is taken, and each is told
    other = secure.ca.issue_cert("localhost")
    for wrong, told in (
        ({"key.pem": other.private_key_pem.bytes()}, "is not the key of the certificate"),
        ({"server.pem": b"no certificate"}, "holds no certificate in PEM"),
        ({"key.pem": b""}, "holds no private key in PEM"),
        ({"ca.pem": b"no certificate"}, "server.tls.client_ca"),
    ):
        good = {name: (secure.folder / name).read_bytes() for name in ("key.pem", "server.pem", "ca.pem")}
        for name, data in wrong.items():
            (secure.folder / name).write_bytes(data)
        until(lambda told=told: told in secure.server.log)
        assert shown(secure) == serial(second)
        for name, data in good.items():
            (secure.folder / name).write_bytes(data)
    # SIGHUP does the same at once
    third = secure.ca.issue_cert("localhost")
    secure.put(third)
    secure.server.process.send_signal(signal.SIGHUP)
    until(lambda: shown(secure) == serial(third), 5)


def test_an_expired_certificate_is_told_and_no_new_one_that_is_expired_is_taken(secure: Secure) -> None:
    shop = secure.files("shop", secure.ca.issue_cert("shop@example.com"))
    with Client(f"localhost:{secure.server.address.rpartition(':')[2]}", shop) as client:
        assert client.health("server.tls").status == health_pb2.HealthCheckResponse.SERVING
        past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3)
        secure.put(secure.ca.issue_cert("localhost", not_before=past - datetime.timedelta(days=9), not_after=past))
        until(lambda: "the new one has expired 3.0 days ago" in secure.server.log)
        assert secure.outcome(shop) == "OK"
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=8)
        secure.put(secure.ca.issue_cert("localhost", not_after=ends, not_before=past))
        until(lambda: "the certificate of [server.tls] expires in" in secure.server.log)
        until(lambda: client.health("server.tls").status == health_pb2.HealthCheckResponse.NOT_SERVING)
        assert client.health("").status == health_pb2.HealthCheckResponse.SERVING, "what is connected goes on"
        assert "the certificate of [server.tls] has expired" in secure.server.log
        assert secure.outcome(shop) == "UNAVAILABLE"
        secure.put(secure.ca.issue_cert("localhost"))
        until(lambda: client.health("server.tls").status == health_pb2.HealthCheckResponse.SERVING)
        assert secure.outcome(shop) == "OK"


def test_a_token_of_nobody_does_not_help(secure: Secure) -> None:
    assert code(call(secure.server.address, RECOMMEND, ASKED, ("authorization", "Bearer x"))) == "UNAVAILABLE"
