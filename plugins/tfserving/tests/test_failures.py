"""Each failure of the model server is reported with a typed reason, in the answer and by health."""

import asyncio
import socket

import grpc
import pytest
from cuvee.recommender import DegradedReason, SourceFailure


@pytest.mark.parametrize(
    ("model", "settings", "reason", "detail"),
    [
        ("shape", {}, "INVALID_OUTPUT", r"float32\[1, 8\], not float32\[1, 4\]"),
        ("dtype", {}, "INVALID_OUTPUT", "float64"),
        ("nan", {}, "INVALID_OUTPUT", "NaN"),
        ("name", {}, "INVALID_OUTPUT", "no output 'vector'"),
        ("one", {"version": 9}, "ERROR", "not the version"),
        ("one", {"version_label": "stable"}, "ERROR", "version label"),
        ("one", {"user_signature": "no_such"}, "ERROR", "no such signature"),
        ("one", {"user_signature": "score"}, "ERROR", "other inputs"),
        ("one", {"max_history": 9}, "ERROR", "other inputs"),
        ("one", {"address": "127.0.0.1:1"}, "UNAVAILABLE", "cannot be reached"),
    ],
    ids=lambda value: str(value) if isinstance(value, str | dict) else None,
)
async def test_typed_reasons(recommender, model, settings, reason, detail, ask):
    fitted = recommender("one")._fitted
    with pytest.raises(SourceFailure, match=detail) as failed:
        await recommender(model, fitted=fitted, **settings).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason(reason)
    assert "grpc" not in failed.value.detail.lower()
    if reason != "INVALID_OUTPUT":
        assert isinstance(failed.value.__cause__, grpc.aio.AioRpcError)


async def test_a_scoring_model_with_nan_and_an_unknown_model(recommender, ask):
    scoring = recommender("scoring")._fitted
    with pytest.raises(SourceFailure) as failed:
        await recommender("nan", fitted=scoring).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.INVALID_OUTPUT
    with pytest.raises(SourceFailure) as failed:
        await recommender("no_such_model", fitted=scoring).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.ERROR


@pytest.fixture
def silent():
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_no_answer_within_the_deadline(recommender, silent, ask):
    with pytest.raises(SourceFailure, match="in time") as failed:
        await recommender(address=silent, deadline=0.1).candidates(ask([1]), 3)
    assert failed.value.degraded is DegradedReason.TIMEOUT
    assert isinstance(failed.value.__cause__, grpc.aio.AioRpcError)


async def test_cancelling_reaches_the_call(recommender, silent, ask):
    model = recommender(address=silent)
    call = asyncio.ensure_future(model.candidates(ask([1]), 3))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_health_is_what_was_heard_last(recommender):
    well = recommender()
    assert well.health()
    for settings in ({"model": "no_such_model"}, {"address": "127.0.0.1:1"}):
        ill = recommender(fitted=well._fitted, **settings)
        async with asyncio.timeout(10):
            while ill.health():
                await asyncio.sleep(0.01)
    assert well.health()
