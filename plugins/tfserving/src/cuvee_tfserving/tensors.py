"""numpy arrays to TensorProto and back, without TensorFlow.

A TensorProto holds its numbers as raw little-endian bytes (``tensor_content``) or in a typed field
(``float_val`` and its like; TensorFlow Serving's default for answers). In a typed field the last
value is repeated up to the tensor's size, and no value at all means zeros.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from cuvee_tfserving.protos import DataType, TensorProto

__all__ = ["MalformedTensor", "array_of", "dtype_of", "tensor_of"]


class MalformedTensor(ValueError):
    """A TensorProto that is inconsistent, or of a type that is not supported."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one type is stored in a TensorProto."""

    dtype: np.dtype[Any]
    field: str


def _kind(dtype: npt.DTypeLike, field: str) -> _Kind:
    return _Kind(np.dtype(dtype).newbyteorder("<"), field)


_KINDS: Mapping[int, _Kind] = MappingProxyType(
    {
        DataType.Value("DT_FLOAT"): _kind(np.float32, "float_val"),
        DataType.Value("DT_DOUBLE"): _kind(np.float64, "double_val"),
        DataType.Value("DT_HALF"): _kind(np.float16, "half_val"),
        DataType.Value("DT_INT8"): _kind(np.int8, "int_val"),
        DataType.Value("DT_INT16"): _kind(np.int16, "int_val"),
        DataType.Value("DT_INT32"): _kind(np.int32, "int_val"),
        DataType.Value("DT_INT64"): _kind(np.int64, "int64_val"),
        DataType.Value("DT_UINT8"): _kind(np.uint8, "int_val"),
        DataType.Value("DT_UINT16"): _kind(np.uint16, "int_val"),
        DataType.Value("DT_UINT32"): _kind(np.uint32, "uint32_val"),
        DataType.Value("DT_UINT64"): _kind(np.uint64, "uint64_val"),
        DataType.Value("DT_BOOL"): _kind(np.bool_, "bool_val"),
    }
)
_STRING = DataType.Value("DT_STRING")
_HALF = DataType.Value("DT_HALF")
_TYPES = MappingProxyType({kind.dtype: number for number, kind in _KINDS.items()})


def dtype_of(number: int) -> np.dtype[Any] | None:
    """The numpy dtype of a ``DataType``; None where it is not supported. Strings are objects (bytes)."""
    if number == _STRING:
        return np.dtype(object)
    kind = _KINDS.get(number)
    return kind.dtype if kind else None


def tensor_of(array: npt.NDArray[Any]) -> Any:
    """The TensorProto of an array; an array of objects is one of strings (bytes or str).

    Raises:
        MalformedTensor: the array's type has no counterpart.
    """
    tensor = TensorProto()
    for size in array.shape:
        tensor.tensor_shape.dim.add().size = size
    if array.dtype == object:
        tensor.dtype = _STRING
        tensor.string_val.extend(s.encode() if isinstance(s, str) else bytes(s) for s in array.ravel())
        return tensor
    little = array.dtype.newbyteorder("<")
    number = _TYPES.get(little)
    if number is None:
        raise MalformedTensor(f"arrays of {array.dtype} cannot be sent")
    tensor.dtype = number
    tensor.tensor_content = array.astype(little, copy=False).tobytes()
    return tensor


def array_of(tensor: Any) -> npt.NDArray[Any]:
    """The array of a TensorProto: read-only where it lies in the message's own bytes.

    Raises:
        MalformedTensor: its parts contradict each other, or its type is not supported.
    """
    if tensor.tensor_shape.unknown_rank:
        raise MalformedTensor("a tensor of unknown rank holds no numbers")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if any(size < 0 for size in shape):
        raise MalformedTensor(f"a tensor's shape cannot be {list(shape)}")
    count = math.prod(shape)
    if tensor.dtype == _STRING:
        return _filled(np.array([*tensor.string_val, None], object)[:-1], count, b"").reshape(shape)
    kind = _KINDS.get(tensor.dtype)
    if kind is None:
        raise MalformedTensor(f"tensors of type {_type_name(tensor.dtype)} are not supported")
    if tensor.tensor_content:
        if len(tensor.tensor_content) != count * kind.dtype.itemsize:
            raise MalformedTensor(
                f"{len(tensor.tensor_content)} bytes of content for {list(shape)} of {kind.dtype}, "
                f"which takes {count * kind.dtype.itemsize}"
            )
        return np.frombuffer(tensor.tensor_content, kind.dtype).reshape(shape)
    values = getattr(tensor, kind.field)
    if tensor.dtype == _HALF:  # half floats are stored as integers with the same bits
        bits = np.fromiter(values, np.uint16, len(values))
        return _filled(bits.view(np.float16), count, 0).reshape(shape)
    try:
        given = np.fromiter(values, kind.dtype, len(values))
    except OverflowError:
        raise MalformedTensor(f"a value of the tensor is outside {kind.dtype}") from None
    return _filled(given, count, 0).reshape(shape)


def _filled(values: npt.NDArray[Any], count: int, nothing: object) -> npt.NDArray[Any]:
    """``count`` values, the last given one repeated."""
    if len(values) > count:
        raise MalformedTensor(f"{len(values)} values for a tensor of {count}")
    if len(values) == count:
        return values
    filled = np.empty(count, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else nothing
    return filled


def _type_name(number: int) -> str:
    return str(DataType.Name(number)) if number in DataType.values() else str(number)
