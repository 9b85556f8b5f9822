"""Arrays and queries arrive as they were sent; what is no array is told, whatever the bytes."""

import numpy as np
import pytest
from cuvee import Histories, Profile, Queries, Ragged
from cuvee.v1 import recommender_pb2 as pb
from cuvee_remote.wire import Malformed, array_of, message_of, numbers_of, queries_of
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

N = 21
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
KINDS = st.sampled_from([np.int32, np.float32, np.float64])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
VALUES = st.one_of(TEXT, st.booleans(), st.floats(-1e9, 1e9), st.lists(TEXT, max_size=3).map(tuple))
PROFILES = st.builds(
    Profile, st.dictionaries(TEXT, VALUES, max_size=3), st.dictionaries(TEXT, st.lists(TEXT, max_size=2).map(tuple))
)
ROW = st.lists(st.integers(0, N - 1), max_size=6)


@given(KINDS.flatmap(lambda kind: arrays.arrays(kind, SHAPES)))
def test_an_array_arrives(array):
    came = numbers_of(
        pb.Array.FromString(array_of(array).SerializeToString()), array.dtype.type, *array.shape, name="x"
    )
    assert came.dtype == array.dtype
    np.testing.assert_array_equal(came, array)


@given(arrays.arrays(np.int32, (3, 4)))
def test_order_in_memory_does_not_matter(array):
    for other in (np.asfortranarray(array), array[::-1], array[:, ::2], array.astype(">i4").astype(np.int32)):
        np.testing.assert_array_equal(numbers_of(array_of(other), np.int32, *other.shape, name="x"), other)


@given(
    st.builds(
        pb.Array,
        type=st.integers(0, 5),
        shape=st.lists(st.integers(-3, 2**31 - 1), max_size=4),
        data=st.binary(max_size=40),
    ),
    KINDS,
    st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=3),
)
def test_what_is_no_such_array_is_told(message, kind, shape):
    try:
        came = numbers_of(message, kind, *shape, name="x")
    except Malformed as problem:
        assert str(problem).startswith("x must")
    else:
        assert (came.nbytes, came.ndim) == (len(message.data), len(shape))


@st.composite
def batches(draw):
    rows = draw(st.lists(ROW, max_size=4))
    b = len(rows)
    history = Histories.build(rows)
    weights = draw(arrays.arrays(np.float32, len(history.items), elements=st.floats(0, 5, width=32)))
    return Queries.build(
        Histories(history.offsets, history.items, weights, history.times + 1.6e9),
        users=draw(arrays.arrays(np.int32, b, elements=st.integers(-1, 3))),
        profiles=draw(st.lists(PROFILES, min_size=b, max_size=b)),
        now=draw(st.floats(0, 4e9)),
        excluded=Ragged.of(draw(st.lists(ROW, min_size=b, max_size=b))),
        eligible=draw(st.one_of(st.none(), arrays.arrays(np.bool_, N))),
    )


@given(batches())
def test_queries_arrive(queries):
    ids = ["" if user < 0 else f"user-{user}" for user in queries.users]
    message = pb.Queries.FromString(message_of(queries, ids).SerializeToString())
    assert list(message.user_ids) == ids
    came = queries_of(message, queries.users, N)
    assert came.profiles == queries.profiles
    assert came.now == queries.now
    for one, two in ((came.histories, queries.histories), (came.excluded, queries.excluded)):
        np.testing.assert_array_equal(one.offsets, two.offsets)
        np.testing.assert_array_equal(one.items, two.items)
    np.testing.assert_array_equal(came.histories.weights, queries.histories.weights)
    np.testing.assert_array_equal(came.histories.times, queries.histories.times)
    assert (came.eligible is None) == (queries.eligible is None)
    if queries.eligible is not None:
        np.testing.assert_array_equal(came.eligible, queries.eligible)


@given(st.binary(max_size=200))
def test_any_bytes_are_queries_or_malformed(data):
    try:
        message = pb.Queries.FromString(data)
        queries_of(message, np.full(len(message.user_ids), -1, np.int32), N)
    except (DecodeError, Malformed):
        pass


def changed(**fields):
    good = message_of(Queries.build(Histories.build([[1, 2], [3]])), ["", ""])
    for name, value in fields.items():
        good.ClearField(name)
        if value is not None:
            getattr(good, name).CopyFrom(array_of(np.asarray(value[1], value[0])))
    return good


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"offsets": None}, "offsets must be"),
        ({"offsets": (np.int32, [0, 2])}, "offsets must be"),
        ({"offsets": (np.int32, [1, 2, 3])}, "begin with 0"),
        ({"offsets": (np.int32, [0, 3, 2])}, "never fall"),
        ({"offsets": (np.int32, [0, 2, 4])}, "items must be"),
        ({"items": (np.int32, [1, 2, N])}, "rows of the table"),
        ({"items": (np.int32, [1, 2, -1])}, "rows of the table"),
        ({"items": (np.float32, [1, 2, 3])}, "items must be int32"),
        ({"weights": (np.float32, [1, 2])}, "weights must be"),
        ({"times": (np.float32, [1, 2, 3])}, "times must be float64"),
        ({"excluded_offsets": None}, "excluded_offsets must be"),
    ],
)
def test_what_is_wrong_with_queries_is_told(fields, told):
    with pytest.raises(Malformed, match=told):
        queries_of(changed(**fields), np.full(2, -1, np.int32), N)


@pytest.mark.parametrize("bits", [b"\xff", b"\xff" * 4])
def test_too_few_bits_or_too_many(bits):
    message = changed()
    message.eligible = bits
    with pytest.raises(Malformed, match="a bit for each"):
        queries_of(message, np.full(2, -1, np.int32), N)
