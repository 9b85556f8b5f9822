"""How a remote recommender asks: in parts where a batch is large, with a catalogue that is sent once."""

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np
import pytest
from cuvee import ArtifactError, Entities, Histories, OperatorError, Queries, Serves, SourceFailure
from cuvee.testing import two_tribes
from cuvee.v1 import recommender_pb2 as pb
from cuvee.v1.recommender_pb2_grpc import (
    RecommenderServiceServicer,
    RecommenderServiceStub,
    add_RecommenderServiceServicer_to_server,
)
from cuvee_remote import Remote, RemoteConfig, serve
from cuvee_remote import recommender as module
from cuvee_remote.tables import Table
from cuvee_remote.wire import array_of, message_of

popular = pytest.importorskip("cuvee_popular.recommender").Popular
TOY = two_tribes()
NOTHING = lambda *_: None  # noqa: E731


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    running = serve(popular, tmp_path_factory.mktemp("models"), "127.0.0.1:0")
    yield running
    running.stop(0)


@pytest.fixture(scope="module")
def config(serving):
    return RemoteConfig(address=serving.address, deadline=30)


@pytest.fixture(scope="module")
def fitted(config):
    remote = Remote.fit(TOY.data, config, NOTHING)
    yield remote
    remote.close()


@pytest.fixture
def opened(monkeypatch):
    """The tables that are sent: (rows before, ids that came)."""
    sent = []
    messages = Table.messages

    def counted(self, extends=None):
        ids = 0
        for message in messages(self, extends):
            ids += len(message.item_ids)
            yield message
        sent.append((extends[1] if extends else 0, ids))

    monkeypatch.setattr(Table, "messages", counted)
    return sent


def questions(b, events=5):
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, TOY.data.n_items, events).tolist() for _ in range(b)]
    users = rng.integers(-1, TOY.data.n_users, b).astype(np.int32)
    profiles = [TOY.queries.profiles[n % len(TOY.queries)] for n in range(b)]
    return Queries.build(Histories.build(rows), users=users, profiles=profiles, now=1.7e9)


def every(b):
    return np.tile(np.arange(TOY.data.n_items, dtype=np.int32), (b, 1))


@pytest.mark.parametrize("most", [40, 700, 5_000, 20_000])
def test_parts_make_the_whole(fitted, monkeypatch, most):
    queries = questions(40)
    whole = asyncio.run(fitted.candidates(queries, 10)), asyncio.run(fitted.score(queries, every(40)))
    monkeypatch.setattr(module, "MOST", most)
    parts = asyncio.run(fitted.candidates(queries, 10)), asyncio.run(fitted.score(queries, every(40)))
    np.testing.assert_array_equal(whole[0].items, parts[0].items)
    np.testing.assert_array_equal(whole[0].scores, parts[0].scores)
    np.testing.assert_array_equal(whole[1], parts[1])


def test_no_request_is_larger_than_servers_take(fitted, monkeypatch):
    """2,000 queries with 500 events each, and 120 items: 16 MB and more."""
    sizes = []
    ask = fitted._client._call

    async def measured(stub, method, sent, patience):
        sizes.append(len(sent))
        return await ask(stub, method, sent, patience)

    monkeypatch.setattr(fitted._client, "_call", measured)
    queries = questions(2_000, 500)
    scores = asyncio.run(fitted.score(queries, every(2_000)))
    assert np.isfinite(scores).any(axis=1).all()
    assert len(sizes) > 4
    assert max(sizes) < 4 << 20


def test_it_answers_as_in_this_process(fitted):
    here = popular.fit(TOY.data, popular.Config(), NOTHING)
    queries = questions(20)
    there = asyncio.run(fitted.candidates(queries, 15))
    np.testing.assert_array_equal(here.candidates(queries, 15).items, there.items)
    np.testing.assert_allclose(here.score(queries, every(20)), asyncio.run(fitted.score(queries, every(20))), rtol=1e-6)
    rows, items = np.arange(20, dtype=np.int32), np.arange(20, dtype=np.int32)
    assert list(here.explain(queries, rows, items)) == asyncio.run(fitted.explain(queries, rows, items))


def test_a_table_of_ids_is_sent_once_and_then_what_is_new():
    items = Entities.of_ids([f"item-{n}" for n in range(50_000)])
    short, long = (Table.of(Entities.of_ids(items.column_ids[:n]), columns=False) for n in (49_000, 50_000))
    assert long.begins_with(short.key, 49_000)
    assert not short.begins_with(long.key, 50_000)
    assert not long.begins_with(short.key, 48_999)
    whole, new = list(long.messages()), list(long.messages((short.key, 49_000)))
    assert [one for message in whole for one in message.item_ids] == items.column_ids.to_list()
    assert [one for message in new for one in message.item_ids] == items.column_ids[49_000:].to_list()
    assert max(message.ByteSize() for message in whole) < 1 << 20
    assert (whole[-1].size, new[-1].size) == (50_000, 50_000)


def test_a_process_that_has_just_started_gets_the_catalogue_again(tmp_path, opened):
    first = serve(popular, tmp_path / "models", "127.0.0.1:0")
    remote = Remote.fit(TOY.data, RemoteConfig(address=first.address, deadline=30), NOTHING)
    queries = questions(3)

    async def over_a_restart():
        before = await remote.candidates(queries, 5)
        await remote.candidates(queries, 5)
        count = len(opened)
        await asyncio.to_thread(first.stop, 0)
        second = serve(popular, tmp_path / "models", first.address)
        try:
            while True:
                try:
                    after = await remote.candidates(queries, 5)
                    break
                except SourceFailure:
                    await asyncio.sleep(0.05)
        finally:
            await asyncio.to_thread(second.stop, 0)
        return before, count, after

    before, count, after = asyncio.run(over_a_restart())
    remote.close()
    assert count == 2  # one for the fit, one for all requests
    assert len(opened) >= 3
    np.testing.assert_array_equal(before.items, after.items)


def test_models_of_measurements_answer_nobody_else(serving, config):
    with grpc.insecure_channel(serving.address) as channel:
        stub = RecommenderServiceStub(channel)
        served = Remote.fit(TOY.data, config, NOTHING)
        apart = Remote.fit(TOY.data, config.apart(None), NOTHING)
        assert apart.model_version != served.model_version
        table = Table.of(TOY.data.catalog.items, columns=True)
        request = pb.CandidatesRequest(catalogue=table.key, k=5, queries=message_of(questions(1), [""]))
        assert stub.Candidates(request).model == served.model_version
        served.close(), apart.close()


def test_old_models_are_deleted_and_newer_ones_kept(tmp_path):
    running = serve(popular, tmp_path, "127.0.0.1:0", keep=2)
    config = RemoteConfig(address=running.address, deadline=30)
    try:
        models = [Remote.fit(TOY.data, config, NOTHING) for _ in range(4)]
        assert [one.model_version for one in models] == ["1", "2", "3", "4"]
        assert {path.name for path in tmp_path.iterdir()} == {"3", "4"}
        with pytest.raises(SourceFailure, match="no such model"):
            asyncio.run(models[0].candidates(questions(1), 5))
        for one in models:
            one.close()
    finally:
        running.stop(0)


def test_a_measurement_whose_model_was_deleted_asks_for_a_new_fit(tmp_path):
    running = serve(popular, tmp_path / "models", "127.0.0.1:0")
    config = RemoteConfig(address=running.address, deadline=30).apart(None)
    (tmp_path / "kept").mkdir()
    try:
        Remote.fit(TOY.data, config, NOTHING).save(tmp_path / "kept")
        Remote.load(tmp_path / "kept", config, TOY.data.catalog).close()
        shutil.rmtree(tmp_path / "models/apart-1")
        with pytest.raises(ArtifactError, match="no longer has"):
            Remote.load(tmp_path / "kept", config, TOY.data.catalog)
    finally:
        running.stop(0)
    with pytest.raises(OperatorError, match="start it"):
        Remote.load(tmp_path / "kept", config.model_copy(update={"start_wait": 0.2}), TOY.data.catalog)


def test_where_ids_are_enough_a_grown_catalogue_is_sent_as_what_is_new(tmp_path, opened):
    running = serve(popular, tmp_path / "models", "127.0.0.1:0", columns=False)
    config = RemoteConfig(address=running.address, deadline=30)
    try:
        old = Remote.fit(TOY.data, config, NOTHING)
        asyncio.run(old.candidates(questions(2), 5))
        old.save(tmp_path)
        new = Remote.load(tmp_path, config, TOY.grown)
        asyncio.run(new.candidates(questions(2), 5))
        more = len(TOY.grown.items) - TOY.data.n_items
        assert opened[-1] == (TOY.data.n_items, more)
        old.close(), new.close()
    finally:
        running.stop(0)


def test_options_that_the_class_does_not_take(config):
    with pytest.raises(OperatorError, match="no_such_setting"):
        Remote.fit(TOY.data, config.model_copy(update={"options": {"no_such_setting": 1}}), NOTHING)


def test_an_address_that_is_taken(serving, tmp_path):
    with pytest.raises(OperatorError, match="--listen"):
        serve(popular, tmp_path, serving.address)


class Knows(RecommenderServiceServicer):
    """Learns by itself."""

    def Describe(self, request, context):  # noqa: N802
        return pb.DescribeResponse(serves=[2])

    def OpenCatalogue(self, request, context):  # noqa: N802
        return pb.OpenCatalogueResponse(size=[one.size for one in request][-1])

    def Score(self, request, context):  # noqa: N802
        assert not request.model
        return pb.ScoreResponse(scores=array_of(np.ones(request.items.shape, np.float32)), model="of today")


def test_one_that_learns_by_itself():
    server = grpc.server(ThreadPoolExecutor(1))
    add_RecommenderServiceServicer_to_server(Knows(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    told = []
    try:
        config = RemoteConfig(address=address, deadline=30).apart(None)
        remote = Remote.fit(TOY.data, config, lambda done, total, note="": told.append(note))
        assert remote.serves == Serves.SESSION
        assert "what it is measured on" in told[-1]
        queries = questions(3)
        nobody = replace(queries, histories=Histories.build([[], [1], []]))
        scores = asyncio.run(remote.score(nobody, every(3)))
        assert np.isfinite(scores).all(axis=1).tolist() == [False, True, False]
        assert remote.model_version == "of today"
        remote.close()
    finally:
        server.stop(0)


MESSAGES = {
    "no model": (pb.CandidatesRequest(model="99"), grpc.StatusCode.NOT_FOUND),
    "a path for a model": (pb.CandidatesRequest(model="../1"), grpc.StatusCode.NOT_FOUND),
    "no catalogue": (pb.CandidatesRequest(catalogue="other"), grpc.StatusCode.FAILED_PRECONDITION),
    "no queries": (pb.CandidatesRequest(queries=pb.Queries(user_ids=["a"])), grpc.StatusCode.INVALID_ARGUMENT),
    "items of no catalogue": (
        pb.ScoreRequest(items=array_of(np.full((1, 2), 10**6, np.int32))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "items of other rows": (
        pb.ScoreRequest(items=array_of(np.zeros((5, 2), np.int32))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "pairs of no query": (
        pb.ExplainRequest(rows=array_of(np.full(1, 9, np.int32)), items=array_of(np.zeros(1, np.int32))),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
}


@pytest.mark.parametrize("what", MESSAGES)
def test_what_the_server_refuses(serving, fitted, what):
    request, code = MESSAGES[what]
    request = type(request).FromString(request.SerializeToString())
    request.catalogue = request.catalogue or Table.of(TOY.data.catalog.items, columns=True).key
    if not request.queries.user_ids:
        request.queries.CopyFrom(message_of(questions(1), [""]))
    with grpc.insecure_channel(serving.address) as channel, pytest.raises(grpc.RpcError) as refused:
        stub = RecommenderServiceStub(channel)
        kinds = {pb.CandidatesRequest: stub.Candidates, pb.ScoreRequest: stub.Score, pb.ExplainRequest: stub.Explain}
        kinds[type(request)](request)
    assert refused.value.code() is code, refused.value.details()
