"""What is wrong with an answer is a typed failure: asked of a server that answers whatever it is told."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from cuvee import ArtifactError, Catalog, Dataset, Entities, Histories, OperatorError, Queries
from cuvee.recommender import DegradedReason, Serves, SourceFailure
from cuvee.v1 import admin_pb2
from cuvee.v1 import recommender_pb2 as pb
from cuvee_remote import Remote, RemoteConfig
from cuvee_remote.fitting import Fitted
from cuvee_remote.wire import array_of

N, B, K, M = 12, 3, 4, 5
INT, FLOAT, DOUBLE = pb.DATA_TYPE_INT32, pb.DATA_TYPE_FLOAT32, pb.DATA_TYPE_FLOAT64
CATALOG = Catalog(Entities.of_ids([f"item-{n}" for n in range(N)]), Entities.of_ids(["a", "b", "c"]))
ITEMS = np.tile(np.arange(M, dtype=np.int32), (B, 1))


def proposed(items=None, scores=None, k=K):
    """Candidates as they should be, but for what is given."""
    good = np.tile(np.arange(k, dtype=np.int32), (B, 1))
    falling = np.tile(np.arange(k, 0, -1, dtype=np.float32), (B, 1))
    return pb.CandidatesResponse(
        items=array_of(good) if items is None else items, scores=array_of(falling) if scores is None else scores
    )


def scored(array):
    return pb.ScoreResponse(scores=array)


def changed(kind, value, at=(1, 1)):
    """The good array with another value at one place."""
    array = np.frombuffer(getattr(proposed(), kind).data, np.int32 if kind == "items" else np.float32).reshape(B, K)
    copy = array.copy()
    copy[at] = value
    return array_of(copy)


def ones(*shape, kind=np.float32):
    return array_of(np.ones(shape, kind))


CANDIDATES = {
    "nothing": pb.CandidatesResponse(),
    "no scores": pb.CandidatesResponse(items=proposed().items),
    "fewer rows": proposed(ones(B - 1, K, kind=np.int32), ones(B - 1, K)),
    "more rows": proposed(ones(B + 1, K, kind=np.int32), ones(B + 1, K)),
    "one dimension": proposed(ones(B * K, kind=np.int32), ones(B * K)),
    "three dimensions": proposed(ones(B, K, 1, kind=np.int32), ones(B, K, 1)),
    "other shapes": proposed(scores=ones(B, K - 1)),
    "ten times as many": proposed(k=10 * K),
    "items as floats": proposed(items=ones(B, K)),
    "scores as doubles": proposed(scores=ones(B, K, kind=np.float64)),
    "scores as integers": proposed(scores=ones(B, K, kind=np.int32)),
    "an unknown type": proposed(pb.Array(type=99, shape=[B, K], data=bytes(4 * B * K))),
    "no type": proposed(pb.Array(shape=[B, K], data=bytes(4 * B * K))),
    "too few bytes": proposed(pb.Array(type=INT, shape=[B, K], data=bytes(4 * B * K - 1))),
    "too many bytes": proposed(pb.Array(type=INT, shape=[B, K], data=bytes(4 * B * K + 4))),
    "no bytes": proposed(pb.Array(type=INT, shape=[B, K])),
    "a negative size": proposed(pb.Array(type=INT, shape=[B, -1])),
    "sizes of a gigabyte": proposed(pb.Array(type=INT, shape=[B, 1 << 30], data=bytes(4))),
    "an item behind the catalogue": proposed(changed("items", N)),
    "an item far behind it": proposed(changed("items", 2**31 - 1)),
    "an item below none": proposed(changed("items", -2)),
    "a hole": proposed(changed("items", -1)),
    "a score that is NaN": proposed(scores=changed("scores", np.nan)),
    "an infinite score": proposed(scores=changed("scores", np.inf, (0, 0))),
    "rising scores": proposed(scores=changed("scores", 9)),
}
SCORES = {
    "nothing": pb.ScoreResponse(),
    "fewer rows": scored(ones(B - 1, M)),
    "more columns": scored(ones(B, M + 1)),
    "turned": scored(ones(M, B)),
    "doubles": scored(ones(B, M, kind=np.float64)),
    "integers": scored(ones(B, M, kind=np.int32)),
    "an infinite one": scored(array_of(np.full((B, M), -np.inf, np.float32))),
    "too few bytes": scored(pb.Array(type=FLOAT, shape=[B, M], data=bytes(3))),
    "no shape": scored(pb.Array(type=FLOAT, data=bytes(4 * B * M))),
}
BYTES = {
    "garbage": b"\xff\xfe garbage \x00" * 9,
    "text": b"<html><body>502</body></html>",
    "cut off": proposed().SerializeToString()[:-7],
    "larger than what is taken": bytes([0x1A, 0x80, 0x80, 0x80, 0x20]) + bytes(65 << 20),
}
CODES = {
    grpc.StatusCode.UNAVAILABLE: DegradedReason.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: DegradedReason.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: DegradedReason.TIMEOUT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: DegradedReason.OVERLOADED,
    grpc.StatusCode.NOT_FOUND: DegradedReason.ERROR,
    grpc.StatusCode.FAILED_PRECONDITION: DegradedReason.ERROR,
    grpc.StatusCode.UNIMPLEMENTED: DegradedReason.ERROR,
    grpc.StatusCode.INTERNAL: DegradedReason.ERROR,
    grpc.StatusCode.UNKNOWN: DegradedReason.ERROR,
    grpc.StatusCode.DATA_LOSS: DegradedReason.ERROR,
}


class Liar(grpc.GenericRpcHandler):
    """Answers each method with the bytes, or the status code, that it was told."""

    def __init__(self):
        self.says = {}

    def service(self, details):
        method = details.method.rpartition("/")[2]

        def answer(_, context):
            said = self.says[method]
            if isinstance(said, grpc.StatusCode):
                context.abort(said, "secret of the other side")
            return said if isinstance(said, bytes) else said.SerializeToString()

        if method in {"OpenCatalogue", "Fit"}:
            return grpc.stream_unary_rpc_method_handler(lambda requests, context: answer(list(requests), context))
        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(scope="module")
def running():
    liar = Liar()
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers([liar])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield liar, f"127.0.0.1:{port}"
    server.stop(0)


@pytest.fixture
def liar(running):
    running[0].says = {
        "OpenCatalogue": pb.OpenCatalogueResponse(size=N),
        "Candidates": proposed(),
        "Score": scored(ones(B, M)),
        "Explain": pb.ExplainResponse(reasons=["so"] * B),
    }
    return running[0]


@pytest.fixture
def answer(running, liar):
    """What a remote recommender makes of the answer to one method."""

    def ask(method, said=None, **settings):
        if said is not None:
            liar.says[method] = said
        serves = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER
        fitted = Fitted("1", serves.value, explains=True, columns=False)
        config = RemoteConfig(address=running[1], deadline=20, **settings)
        remote = Remote._of(config, fitted, CATALOG)
        queries = Queries.build(Histories.build([[0, 1], [], [2]]), users=[0, 1, -1])
        rows = np.arange(B, dtype=np.int32)

        async def asked():
            match method:
                case "Score":
                    return await remote.score(queries, ITEMS)
                case "Explain":
                    return await remote.explain(queries, rows, rows)
            return await remote.candidates(queries, K)

        try:
            return asyncio.run(asked())
        finally:
            remote.close()

    return ask


def test_what_is_right_is_taken(answer):
    assert answer("Candidates").items.tolist() == np.tile(np.arange(K), (B, 1)).tolist()
    assert (answer("Score") == 1).all()
    assert answer("Explain") == ["so"] * B


def fails(answer, method, said):
    with pytest.raises(SourceFailure) as failure:
        answer(method, said)
    assert "secret" not in failure.value.detail
    return failure.value.degraded


@pytest.mark.parametrize("what", CANDIDATES)
def test_wrong_candidates(answer, what):
    assert fails(answer, "Candidates", CANDIDATES[what]) is DegradedReason.INVALID_OUTPUT


@pytest.mark.parametrize("what", SCORES)
def test_wrong_scores(answer, what):
    assert fails(answer, "Score", SCORES[what]) is DegradedReason.INVALID_OUTPUT


@pytest.mark.parametrize("n", [0, B - 1, B + 1])
def test_wrong_reasons(answer, n):
    assert fails(answer, "Explain", pb.ExplainResponse(reasons=["so"] * n)) is DegradedReason.INVALID_OUTPUT


@pytest.mark.parametrize("what", BYTES)
@pytest.mark.parametrize("method", ["Candidates", "Score", "Explain", "OpenCatalogue"])
def test_no_message_at_all(answer, what, method):
    if what.startswith("larger") and method != "Score":
        pytest.skip("one method is enough for 65 MiB")
    assert fails(answer, method, BYTES[what]) is DegradedReason.INVALID_OUTPUT


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("method", ["Candidates", "OpenCatalogue"])
def test_codes(answer, code, method):
    assert fails(answer, method, code) is CODES[code]


@pytest.mark.parametrize("size", [0, N - 1, N + 1, -1])
def test_a_catalogue_that_did_not_arrive(answer, size):
    assert fails(answer, "OpenCatalogue", pb.OpenCatalogueResponse(size=size)) is DegradedReason.INVALID_OUTPUT


def test_scores_of_nothing_are_none(answer):
    said = np.ones((B, M), np.float32)
    items, ITEMS[0, 0] = ITEMS.copy(), -1
    try:
        found = answer("Score", scored(array_of(said)))
    finally:
        ITEMS[:] = items
    assert np.isnan(found[0, 0])
    assert np.isfinite(found).sum() == B * M - 1


DESCRIBED = pb.DescribeResponse(serves=[admin_pb2.QUERY_KIND_SESSION], fits=True)
UNFIT = {
    "serves nothing": ({"Describe": pb.DescribeResponse(fits=False)}, "serves nothing"),
    "no name": ({"Fit": pb.FitResponse()}, "no name"),
    "part of the catalogue": ({"OpenCatalogue": pb.OpenCatalogueResponse(size=3)}, "3 rows"),
    "refuses": ({"Fit": grpc.StatusCode.INVALID_ARGUMENT}, "`options`"),
    "fails": ({"Fit": grpc.StatusCode.INTERNAL}, "cannot be fitted"),
    "another service": ({"Describe": grpc.StatusCode.UNIMPLEMENTED}, "RecommenderService"),
    "garbage": ({"Describe": b"\xff\xff\xff"}, "cannot be fitted"),
}


@pytest.mark.parametrize("what", UNFIT)
@pytest.mark.filterwarnings("ignore")
def test_a_fit_that_fails_says_what_to_do(running, liar, what):
    says, told = UNFIT[what]
    liar.says |= {"Describe": DESCRIBED, "Fit": pb.FitResponse(model="1"), **says}
    data = Dataset.build(CATALOG, [0, 1], [2, 3])
    with pytest.raises(OperatorError, match=told):
        Remote.fit(data, RemoteConfig(address=running[1], start_wait=20), lambda *_: None)


def test_nobody_there():
    data = Dataset.build(CATALOG, [0, 1], [2, 3])
    with pytest.raises(OperatorError, match="start it, or set `address`"):
        Remote.fit(data, RemoteConfig(address="127.0.0.1:1", start_wait=0.3), lambda *_: None)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": "1", "serves": "x", "explains": true, "columns": true}'])
def test_a_damaged_artefact(tmp_path, text):
    (tmp_path / "remote.json").write_text(text)
    with pytest.raises(ArtifactError, match="run `cuvee fit`"):
        Remote.load(tmp_path, RemoteConfig(), CATALOG)
