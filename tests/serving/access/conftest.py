"""A server of two workers that asks everybody for credentials, its tokens, and an identity provider's keys."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cuvee.client import Failure, failure_of
from cuvee.config import Scope
from cuvee.serving.access.tokens import change_tokens, new_token
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import admin_pb2, catalog_pb2, events_pb2, recommendation_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from ..conftest import ENVIRONMENT, migrated, stored

FILES = (admin_pb2, catalog_pb2, events_pb2, recommendation_pb2)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
RECOMMEND = "/cuvee.v1.RecommendationService/Recommend"
ISSUER, AUDIENCE = "https://id.example", "cuvee"


def until(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)


def call(address: str, method: str, request: Message, *metadata: tuple[str, str], tls: Any = None) -> Failure | None:
    """What an rpc fails with; None: it is OK."""
    made = grpc.secure_channel(address, tls) if tls else grpc.insecure_channel(address)
    with made as channel:
        found = METHODS[method]
        answer = GetMessageClass(found.output_type)
        kinds = {
            (False, False): channel.unary_unary, (False, True): channel.unary_stream,
            (True, True): channel.stream_stream,
        }  # fmt: skip
        kind = kinds[found.client_streaming, found.server_streaming]
        ask = kind(method, type(request).SerializeToString, answer.FromString)
        sent: Any = iter([request]) if found.client_streaming else request
        try:
            got = ask(sent, timeout=10, metadata=metadata)
            if found.server_streaming:
                list(got)
        except grpc.RpcError as problem:
            return failure_of(problem)
    return None


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


def code(failure: Failure | None) -> str:
    return "OK" if failure is None else failure.code.name


@dataclass
class Provider:
    """An identity provider: signs tokens, and publishes its keys."""

    jwks: Path
    rsa: rsa.RSAPrivateKey
    ed: Ed25519PrivateKey

    def publish(self, *kids: str) -> None:
        keys = {
            "rsa": {**jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True), "alg": "RS256"},
            "ed": {**jwt.algorithms.OKPAlgorithm.to_jwk(self.ed.public_key(), as_dict=True), "alg": "EdDSA"},
        }
        self.jwks.write_text(json.dumps({"keys": [{**keys[kid], "kid": kid, "use": "sig"} for kid in kids]}))

    def claims(self, **others: object) -> dict[str, object]:
        now = int(time.time())
        made = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "shop-service", "exp": now + 600, "nbf": now - 1,
            "scope": "openid recommend write", "products": ["toy"], **others,
        }  # fmt: skip
        return {name: value for name, value in made.items() if value is not None}

    def token(self, *, key: Any = None, algorithm: str = "RS256", kid: str = "rsa", **claims: object) -> str:
        return jwt.encode(self.claims(**claims), key or self.rsa, algorithm, headers={"kid": kid})


@dataclass
class Guarded:
    """The server and what its callers may show."""

    config: Path
    tokens_file: Path
    audit_file: Path
    provider: Provider
    secrets: list[str]
    """Everything that no log, file or output may hold."""
    running: RunningServer | None = None

    @property
    def server(self) -> RunningServer:
        assert self.running is not None
        return self.running

    @property
    def address(self) -> str:
        return self.server.address

    @property
    def admin(self) -> str:
        return str(self.server.events("listening for AdminService")[0]["address"])

    def token(
        self, *scopes: Scope, products: Sequence[str] | None = None, days: float = 1, name: str = "a test"
    ) -> str:
        text, token = new_token(name, scopes, products, datetime.now(UTC) + timedelta(days=days))
        change_tokens(self.tokens_file, lambda old: old.model_copy(update={"tokens": (*old.tokens, token)}))
        self.secrets.append(text)
        return text

    def revoke(self, text: str) -> None:
        own = text.split("_")[1]
        now = datetime.now(UTC)
        change_tokens(
            self.tokens_file,
            lambda old: old.model_copy(
                update={
                    "tokens": tuple(t.model_copy(update={"revoked": now}) if t.id == own else t for t in old.tokens)
                }
            ),
        )

    def signed(self, **claims: Any) -> str:
        text = self.provider.token(**claims)
        self.secrets.append(text)
        return text


@pytest.fixture(scope="module")
def guarded(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    url = migrated(f"sqlite:///{folder / 'store.db'}")
    made = stored(config, url, "guarded")
    provider = Provider(folder / "jwks.json", rsa.generate_private_key(65537, 2048), Ed25519PrivateKey.generate())
    provider.publish("rsa", "ed")
    key = "a-key-of-pseudonyms-that-nobody-may-see-0123456789"
    server = f"""[server]
audit = {{ file = "{folder / "audit.log"}" }}
admin = {{ listen = "127.0.0.1:0" }}
auth.tokens = "{folder / "tokens.json"}"
auth.jwt = {{ jwks = "{provider.jwks}", issuer = "{ISSUER}", audience = "{AUDIENCE}", products_claim = "products" }}
"""
    made.write_text(made.read_text().replace("[server]\n", server) + '[privacy]\nkey = "${CUVEE_ID_KEY}"\n')
    found = Guarded(made, folder / "tokens.json", folder / "audit.log", provider, [key])
    found.token(Scope.RECOMMEND)
    environment = {**ENVIRONMENT, "CUVEE_ID_KEY": key}
    with run_server(made, environment=environment, options=["--workers", "2"], wait_until="workers ready") as running:
        found.running = running
        yield found
