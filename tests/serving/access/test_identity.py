"""Who may ask, on a real server of two workers: each credential has its exact answer, and no log holds a secret."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cuvee.cli import main
from cuvee.client import AsyncClient, Client, failure_of
from cuvee.config import Scope
from cuvee.serving.access.rules import RULES
from cuvee.v1 import admin_pb2, catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from .conftest import METHODS, RECOMMEND, Guarded, bearer, call, code, until

ASKED = pb.RecommendRequest(product="toy", user_id="viewer-001")
UNKNOWN_KEY = rsa.generate_private_key(65537, 2048)


def outcome(of: Guarded, *metadata: tuple[str, str]) -> tuple[str, str]:
    failure = call(of.address, RECOMMEND, ASKED, *metadata)
    return code(failure), failure.reason if failure is not None else ""


REFUSED = ("UNAUTHENTICATED", "UNAUTHENTICATED")
DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")
OK = ("OK", "")


def no_signature(of: Guarded) -> str:
    return jwt.encode(of.provider.claims(), None, "none", headers={"kid": "rsa"})


def public_key_as_secret(of: Guarded) -> str:
    """A known attack: an HMAC token whose key is the published public key. Made by hand, since PyJWT refuses to."""
    pem = of.provider.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, of.provider.claims())
    )
    algorithm: Any = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(algorithm.sign(head + b"." + body, pem)).rstrip(b"=")
    return b".".join([head, body, signature]).decode()


def critical(of: Guarded) -> str:
    headers = {"kid": "rsa", "crit": ["exp"], "exp": 1}
    return jwt.encode(of.provider.claims(), of.provider.rsa, "RS256", headers=headers)


def changed(of: Guarded) -> str:
    head, body, signature = of.provider.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["products"] = ["news", "toy"]
    return ".".join([head, base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode(), signature])


SIGNED: dict[str, tuple[Callable[[Guarded], str], tuple[str, str]]] = {
    "good": (lambda of: of.provider.token(), OK),
    "good, another key and algorithm": (
        lambda of: of.provider.token(key=of.provider.ed, algorithm="EdDSA", kid="ed"),
        OK,
    ),
    "several audiences": (lambda of: of.provider.token(aud=["other", "cuvee"]), OK),
    "scopes as a list": (lambda of: of.provider.token(scope=["recommend"]), OK),
    "expired within the leeway": (lambda of: of.provider.token(exp=int(time.time()) - 5), OK),
    "expired": (lambda of: of.provider.token(exp=int(time.time()) - 60), REFUSED),
    "not valid yet": (lambda of: of.provider.token(nbf=int(time.time()) + 60), REFUSED),
    "never expires": (lambda of: of.provider.token(exp=None), REFUSED),
    "no subject": (lambda of: of.provider.token(sub=None), REFUSED),
    "a subject without end": (lambda of: of.provider.token(sub="x" * 300), REFUSED),
    "another issuer": (lambda of: of.provider.token(iss="https://id.example.evil"), REFUSED),
    "a part of the issuer": (lambda of: of.provider.token(iss="https://id"), REFUSED),
    "another audience": (lambda of: of.provider.token(aud="billing"), REFUSED),
    "no audience": (lambda of: of.provider.token(aud=None), REFUSED),
    "signed by a stranger": (lambda of: of.provider.token(key=UNKNOWN_KEY), REFUSED),
    "an unknown key": (lambda of: of.provider.token(key=UNKNOWN_KEY, kid="other"), REFUSED),
    "the algorithm of another key": (lambda of: of.provider.token(algorithm="RS512"), REFUSED),
    "not signed": (no_signature, REFUSED),
    "an HMAC with the public key": (public_key_as_secret, REFUSED),
    "a critical header": (critical, REFUSED),
    "claims changed after signing": (changed, REFUSED),
    "another product": (lambda of: of.provider.token(products=["news"]), DENIED),
    "no products": (lambda of: of.provider.token(products=None), DENIED),
    "another scope": (lambda of: of.provider.token(scope="write privacy"), DENIED),
    "no scope": (lambda of: of.provider.token(scope=None), DENIED),
    "scopes of another service": (lambda of: of.provider.token(scope="recommend:read Recommend"), DENIED),
}


@pytest.mark.parametrize("name", SIGNED)
def test_signed_tokens(guarded: Guarded, name: str) -> None:
    make, expected = SIGNED[name]
    token = make(guarded)
    guarded.secrets.append(token)
    assert outcome(guarded, bearer(token)) == expected
    assert outcome(guarded, bearer(token)) == expected  # remembered or not


@pytest.fixture(scope="module")
def tokens(guarded: Guarded) -> dict[str, str]:
    everything = tuple(Scope)
    made = {
        "all": guarded.token(*everything),
        "expired": guarded.token(*everything, days=-0.001),
        "revoked": guarded.token(*everything),
        "news": guarded.token(*everything, products=["news"]),
        "toy": guarded.token(*everything, products=["toy"]),
        **{str(scope): guarded.token(scope) for scope in Scope},
    }
    guarded.revoke(made["revoked"])
    last, gone = bearer(made["admin"]), bearer(made["revoked"])
    # each worker answers some of these: that one of two answers all happens once in 2 ** 29
    until(lambda: [outcome(guarded, last) for _ in range(30)] == [DENIED] * 30)
    until(lambda: [outcome(guarded, gone) for _ in range(30)] == [REFUSED] * 30)
    return made


SHOWN: dict[str, tuple[Callable[[dict[str, str]], list[tuple[str, str]]], tuple[str, str]]] = {
    "none": (lambda t: [], REFUSED),
    "good": (lambda t: [bearer(t["all"])], OK),
    "its scope alone": (lambda t: [bearer(t["recommend"])], OK),
    "its product alone": (lambda t: [bearer(t["toy"])], OK),
    "a scheme in small letters": (lambda t: [("authorization", "bearer " + t["all"])], OK),
    "another secret": (lambda t: [bearer(t["all"][:-1] + ("a" if t["all"][-1] != "a" else "b"))], REFUSED),
    "another id": (lambda t: [bearer("cuvee_000000000000_" + t["all"][-40:])], REFUSED),
    "a part": (lambda t: [bearer(t["all"][:-1])], REFUSED),
    "more": (lambda t: [bearer(t["all"] + "a")], REFUSED),
    "nothing": (lambda t: [("authorization", "")], REFUSED),
    "an empty token": (lambda t: [("authorization", "Bearer ")], REFUSED),
    "another scheme": (lambda t: [("authorization", "Basic " + t["all"])], REFUSED),
    "no scheme": (lambda t: [("authorization", t["all"])], REFUSED),
    "another header": (lambda t: [("x-api-key", t["all"])], REFUSED),
    "twice": (lambda t: [bearer(t["all"]), bearer(t["all"])], REFUSED),
    "expired": (lambda t: [bearer(t["expired"])], REFUSED),
    "revoked": (lambda t: [bearer(t["revoked"])], REFUSED),
    "another product": (lambda t: [bearer(t["news"])], DENIED),
    "another scope": (lambda t: [bearer(t["write"])], DENIED),
    "the admin's": (lambda t: [bearer(t["admin"])], DENIED),
}


@pytest.mark.parametrize("name", SHOWN)
def test_bearer_tokens(guarded: Guarded, tokens: dict[str, str], name: str) -> None:
    shown, expected = SHOWN[name]
    assert outcome(guarded, *shown(tokens)) == expected


@pytest.mark.parametrize("method", METHODS)
def test_every_rpc_takes_its_scope_and_no_other(guarded: Guarded, tokens: dict[str, str], method: str) -> None:
    address = guarded.admin if "AdminService" in method else guarded.address
    request = GetMessageClass(METHODS[method].input_type)()
    assert code(call(address, method, request)) == "UNAUTHENTICATED"
    # a message that cannot be read tells nobody anything before he is known
    for scope in Scope:
        failure = call(address, method, request, bearer(tokens[scope]))
        if scope == RULES[method].scope:
            assert code(failure) not in {"UNAUTHENTICATED", "PERMISSION_DENIED", "INTERNAL", "UNKNOWN"}
        else:
            assert failure is not None
            assert (code(failure), failure.reason) == DENIED
            assert str(RULES[method].scope) in failure.message


def test_admin_is_not_on_the_public_port(guarded: Guarded, tokens: dict[str, str]) -> None:
    admin = [method for method in METHODS if "AdminService" in method]
    assert admin
    for method in admin:
        request = GetMessageClass(METHODS[method].input_type)()
        assert code(call(guarded.address, method, request, bearer(tokens["all"]))) == "UNIMPLEMENTED"
    assert code(call(guarded.admin, RECOMMEND, ASKED, bearer(tokens["all"]))) == "UNIMPLEMENTED"


def event(product: str, n: int) -> events_pb2.Event:
    return events_pb2.Event(
        product=product, user_id="somebody", item_id="film-001", type=events_pb2.EVENT_TYPE_CLICK, event_id=f"e{n}"
    )


def test_products_inside_a_request_are_checked(guarded: Guarded, tokens: dict[str, str]) -> None:
    mine = bearer(tokens["toy"])
    both = events_pb2.WriteEventsRequest(events=[event("toy", 1), event("news", 2)])
    write = "/cuvee.v1.EventService/WriteEvents"
    assert code(call(guarded.address, write, both, mine)) == "PERMISSION_DENIED"
    batch = pb.BatchRecommendRequest(product="toy", requests=[ASKED, pb.RecommendRequest(product="news", user_id="a")])
    many = "/cuvee.v1.RecommendationService/BatchRecommend"
    assert code(call(guarded.address, many, batch, mine)) == "PERMISSION_DENIED"
    del batch.requests[1]
    assert code(call(guarded.address, many, batch, mine)) == "OK"
    for product in ("-", "news", "there is none"):
        gone = catalog_pb2.DeleteUserRequest(product=product, user_id="viewer-001", validate_only=True)
        failure = call(guarded.address, "/cuvee.v1.CatalogService/DeleteUser", gone, mine)
        assert code(failure) == "PERMISSION_DENIED"
        # who may not see the other products does not hear their names either
        assert failure is not None
        assert "trending" not in failure.message


def test_a_stream_ends_at_another_product_and_keeps_what_it_acknowledged(
    guarded: Guarded, tokens: dict[str, str]
) -> None:
    with Client(guarded.address, token=tokens["toy"]) as client:
        messages = [events_pb2.StreamEventsRequest(sequence=1, event=event("toy", 10))]
        messages += [events_pb2.StreamEventsRequest(sequence=2, events=[event("toy", 11), event("news", 12)])]
        answers = []
        with pytest.raises(grpc.RpcError) as refused:
            answers.extend(answer.sequence for answer in client.events.StreamEvents(iter(messages), timeout=10))
        assert failure_of(refused.value).reason == "PERMISSION_DENIED"
        assert answers == [1]
        again = client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event("toy", 10), event("toy", 11)]))
        assert [r.outcome for r in again.results] == [
            events_pb2.EventResult.OUTCOME_DUPLICATE,
            events_pb2.EventResult.OUTCOME_STORED,
        ]


def test_revoked_is_refused_by_every_worker_and_in_mid_stream(guarded: Guarded) -> None:
    token = guarded.token(Scope.WRITE, Scope.RECOMMEND)
    until(lambda: [outcome(guarded, bearer(token)) for _ in range(30)] == [OK] * 30)
    with Client(guarded.address, token=token) as client:
        revoked_at: list[float] = []

        def messages() -> Iterator[events_pb2.StreamEventsRequest]:
            yield events_pb2.StreamEventsRequest(sequence=1, event=event("toy", 20))
            until(lambda: revoked_at)
            while time.monotonic() < revoked_at[0] + 2.5:
                time.sleep(0.1)
            yield events_pb2.StreamEventsRequest(sequence=2, event=event("toy", 21))

        stream = client.events.StreamEvents(messages(), timeout=30)
        assert next(stream).sequence == 1
        guarded.revoke(token)
        revoked_at.append(time.monotonic())
        time.sleep(2.0)
        # each call is a new connection: either worker takes some of these
        assert [outcome(guarded, bearer(token)) for _ in range(16)] == [REFUSED] * 16
        with pytest.raises(grpc.RpcError) as refused:
            next(stream)
        assert failure_of(refused.value).code is grpc.StatusCode.UNAUTHENTICATED


def test_keys_are_taken_anew_and_wrong_ones_are_not(guarded: Guarded) -> None:
    old, new = guarded.signed(), guarded.signed(key=guarded.provider.ed, algorithm="EdDSA", kid="ed")
    good = guarded.provider.jwks.read_text()
    guarded.provider.jwks.write_text('{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"}]}')
    until(lambda: "the file of [server.auth.jwt] jwks cannot be used" in guarded.server.log)
    assert outcome(guarded, bearer(old)) == OK
    guarded.provider.publish("ed")
    # a token that was verified under the old keys is no longer accepted either
    until(lambda: [outcome(guarded, bearer(old)) for _ in range(30)] == [REFUSED] * 30)
    assert outcome(guarded, bearer(new)) == OK
    guarded.provider.jwks.write_text(good)
    until(lambda: [outcome(guarded, bearer(old)) for _ in range(30)] == [OK] * 30)


def test_a_broken_file_of_tokens_changes_nothing_and_is_told(guarded: Guarded, tokens: dict[str, str]) -> None:
    good = guarded.tokens_file.read_text()
    for broken in (good[: len(good) // 2], "[]", good.replace('"scopes": [', '"scopes": ["root", '), ""):
        before = guarded.server.log.count("the file of [server.auth] tokens cannot be used")
        guarded.tokens_file.write_text(broken)
        until(lambda before=before: guarded.server.log.count("[server.auth] tokens cannot be used") >= before + 2)
        assert outcome(guarded, bearer(tokens["all"])) == OK
    guarded.tokens_file.write_text(good)


def test_health_is_open_and_reflection_is_not(guarded: Guarded, tokens: dict[str, str]) -> None:
    for address in (guarded.address, guarded.admin):
        with grpc.insecure_channel(address) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            listing = reflection_pb2.ServerReflectionRequest(list_services="")
            with pytest.raises(grpc.RpcError) as refused:
                list(stub.ServerReflectionInfo(iter([listing]), timeout=5))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
            (told,) = stub.ServerReflectionInfo(iter([listing]), timeout=5, metadata=[bearer(tokens["recommend"])])
            names = {one.name for one in told.list_services_response.service}
            assert ("cuvee.v1.AdminService" in names) == (address == guarded.admin)


async def test_clients_carry_a_token(guarded: Guarded, tokens: dict[str, str]) -> None:
    with Client(guarded.address, token=tokens["all"]) as client:
        assert client.recommend("toy", "viewer-001").items
        assert list(client.batch_recommend("toy", [ASKED]))
        assert client.catalog.GetItem(catalog_pb2.GetItemRequest(product="toy", item_id="film-001"), timeout=5)
    async with AsyncClient(guarded.address, token=tokens["all"]) as client:
        assert (await client.recommend("toy", "viewer-001")).items
        assert [one async for one in client.batch_recommend("toy", [ASKED])]

        async def one_event() -> Any:
            yield events_pb2.StreamEventsRequest(sequence=7, event=event("toy", 30))

        assert [answer.sequence async for answer in client.events.StreamEvents(one_event(), timeout=5)] == [7]
    with Client(guarded.address, token=tokens["news"]) as client, pytest.raises(grpc.RpcError):
        client.recommend("toy", "viewer-001")


def test_privacy_and_admin_calls_are_written_down(guarded: Guarded, tokens: dict[str, str]) -> None:
    gone = catalog_pb2.DeleteUserRequest(product="toy", user_id="user-of-the-audit", allow_missing=True)
    delete, who = "/cuvee.v1.CatalogService/DeleteUser", tokens["privacy"]
    assert code(call(guarded.address, delete, gone, bearer(who), ("x-request-id", "audit-test-1"))) == "OK"
    call(guarded.address, delete, gone, bearer(tokens["write"]), ("x-request-id", "audit-test-2"))
    call(guarded.address, delete, gone, ("x-request-id", "audit test 3"))  # an id that is not kept
    listing = "/cuvee.v1.AdminService/ListProducts"
    everything = admin_pb2.ListProductsRequest()
    call(guarded.admin, listing, everything, bearer(tokens["admin"]), ("x-request-id", "audit-test-4"))
    user = catalog_pb2.ExportUserRequest(product="toy", user_id="nobody-at-all")
    call(guarded.address, "/cuvee.v1.CatalogService/ExportUser", user, bearer(who), ("x-request-id", "audit-test-5"))
    until(lambda: "audit-test-5" in guarded.audit_file.read_text())  # a moment after the answer
    lines = [json.loads(line) for line in guarded.audit_file.read_text().splitlines()]
    by_id = {line["request_id"]: line for line in lines}
    first = by_id["audit-test-1"]
    assert {k: first[k] for k in ("caller", "kind", "rpc", "product", "outcome")} == {
        "caller": who.split("_")[1], "kind": "token", "rpc": "DeleteUser", "product": "toy", "outcome": "OK",
    }  # fmt: skip
    assert by_id["audit-test-2"]["outcome"] == "PERMISSION_DENIED"
    assert by_id["audit-test-2"]["caller"] == tokens["write"].split("_")[1]
    assert any(line["outcome"] == "UNAUTHENTICATED" and line["caller"] == "" for line in lines)
    assert by_id["audit-test-4"]["rpc"] == "ListProducts"
    assert by_id["audit-test-5"]["outcome"] == "NOT_FOUND"
    assert "user-of-the-audit" not in guarded.audit_file.read_text()
    assert guarded.audit_file.stat().st_mode & 0o777 == 0o600


def test_no_stranger_fills_the_audit_log(guarded: Guarded, tokens: dict[str, str]) -> None:
    gone = catalog_pb2.DeleteUserRequest(product="toy", user_id="x")
    before = guarded.audit_file.stat().st_size
    began = time.monotonic()
    for _ in range(150):
        call(guarded.address, "/cuvee.v1.CatalogService/DeleteUser", gone)
    seconds = int(time.monotonic() - began) + 2
    lines = guarded.audit_file.read_bytes()[before:].count(b"\n")
    assert 0 < lines <= 2 * 20 * seconds  # of two workers


def test_the_audit_log_follows_a_rotation(guarded: Guarded, tokens: dict[str, str]) -> None:
    moved = guarded.audit_file.with_suffix(".1")
    guarded.audit_file.rename(moved)
    user = catalog_pb2.ExportUserRequest(product="toy", user_id="nobody-at-all")
    export = "/cuvee.v1.CatalogService/ExportUser"

    def arrives() -> bool:
        call(guarded.address, export, user, bearer(tokens["privacy"]))
        return guarded.audit_file.exists() and "ExportUser" in guarded.audit_file.read_text()

    until(arrives)
    with moved.open() as old, guarded.audit_file.open("a") as new:
        new.write(old.read())


def test_no_log_file_or_output_holds_a_secret(
    guarded: Guarded, tokens: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of the module: everything above has left its traces."""
    parts = {one for secret in guarded.secrets for one in (secret, secret.split("." if "." in secret else "_")[-1])}
    secrets = {part for part in parts if part}  # one has no signature
    assert min(map(len, secrets)) >= 40
    for path in guarded.server.log, guarded.audit_file.read_text(), guarded.tokens_file.read_text():
        assert path
        assert not [secret for secret in secrets if secret in path]
    monkeypatch.setenv("CUVEE_ID_KEY", guarded.secrets[0])
    for command in (["token", "list"], ["token", "list", "--json"]):
        with pytest.raises(SystemExit):
            main([*command, "--config", str(guarded.config)])
        said = capsys.readouterr()
        assert tokens["all"].split("_")[1] in said.out
        assert not [secret for secret in secrets if secret in said.out + said.err]
        assert "sha256" not in said.out
