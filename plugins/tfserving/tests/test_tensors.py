"""Arrays survive the way into a message and out of it, however they are encoded."""

import numpy as np
import pytest
from cuvee_tfserving.protos import DataType, TensorProto
from cuvee_tfserving.tensors import MalformedTensor, array_of, dtype_of, tensor_of
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

FIELDS = {
    "float32": ("DT_FLOAT", "float_val"), "float64": ("DT_DOUBLE", "double_val"), "int8": ("DT_INT8", "int_val"),
    "int16": ("DT_INT16", "int_val"), "int32": ("DT_INT32", "int_val"), "int64": ("DT_INT64", "int64_val"),
    "uint8": ("DT_UINT8", "int_val"), "uint16": ("DT_UINT16", "int_val"), "uint32": ("DT_UINT32", "uint32_val"),
    "uint64": ("DT_UINT64", "uint64_val"), "bool": ("DT_BOOL", "bool_val"), "float16": ("DT_HALF", "half_val"),
}  # fmt: skip
dtypes = st.sampled_from(sorted(FIELDS)).map(np.dtype)
arrays = dtypes.flatmap(lambda d: npst.arrays(d, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))


def message(dtype, shape, **parts):
    tensor = TensorProto(dtype=DataType.Value(dtype), **parts)
    for size in shape:
        tensor.tensor_shape.dim.add().size = size
    return tensor


@given(arrays)
def test_there_and_back_by_content(array):
    back = array_of(TensorProto.FromString(tensor_of(array).SerializeToString()))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@given(arrays, st.integers(0, 5))
def test_back_from_the_typed_field_with_repeats_left_out(array, tail):
    name, field = FIELDS[array.dtype.name]
    flat = array.ravel()
    if tail and len(flat):
        flat[-tail:] = flat[-1]
        flat = flat[: max(1, len(flat) - tail + 1)]
    given = flat.view(np.uint16) if name == "DT_HALF" else flat
    tensor = message(name, array.shape)
    getattr(tensor, field).extend(given.tolist())
    if tail and array.size:
        array = array.copy()
        array.ravel()[len(flat) :] = flat[-1]
    back = array_of(tensor)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(npst.arrays(np.float32, (3, 4)))
def test_big_endian_and_strided_arrays_are_sent_right(array):
    np.testing.assert_array_equal(array_of(tensor_of(array.astype(">f4"))), array)
    np.testing.assert_array_equal(array_of(tensor_of(array.T[::-1])), array.T[::-1])


@given(st.lists(st.binary(max_size=5), max_size=6))
def test_strings(strings):
    back = array_of(tensor_of(np.array([*strings, None], object)[:-1]))
    assert back.tolist() == strings


def test_no_values_are_zeros():
    np.testing.assert_array_equal(array_of(message("DT_FLOAT", [2, 2])), np.zeros((2, 2), np.float32))
    assert array_of(message("DT_STRING", [2])).tolist() == [b"", b""]


def test_content_is_not_copied():
    assert not array_of(tensor_of(np.ones(4, np.float32))).flags.owndata


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (message("DT_FLOAT", [3], tensor_content=b"1234"), "4 bytes of content"),
        (message("DT_FLOAT", [1], float_val=[1, 2]), "2 values for a tensor of 1"),
        (message("DT_FLOAT", [-1], float_val=[1]), "shape cannot be"),
        (message("DT_INT8", [1], int_val=[300]), "outside int8"),
        (message("DT_COMPLEX64", [1]), "DT_COMPLEX64 are not supported"),
        (message("DT_INVALID", [1]), "not supported"),
    ],
    ids=["length", "too many", "negative", "out of range", "unsupported", "no type"],
)
def test_malformed(tensor, said):
    with pytest.raises(MalformedTensor, match=said):
        array_of(tensor)


def test_unknown_rank_and_unsendable_types():
    tensor = message("DT_FLOAT", [])
    tensor.tensor_shape.unknown_rank = True
    with pytest.raises(MalformedTensor, match="unknown rank"):
        array_of(tensor)
    with pytest.raises(MalformedTensor, match="complex128 cannot be sent"):
        tensor_of(np.ones(1, np.complex128))


def test_dtypes_by_number():
    assert dtype_of(DataType.Value("DT_INT32")) == np.int32
    assert dtype_of(DataType.Value("DT_STRING")) == np.dtype(object)
    assert dtype_of(DataType.Value("DT_RESOURCE")) is None
