"""The messages between robot and policy server: msgpack with arrays, as openpi writes them; no pickle.

An array is the mapping {b"__ndarray__": True, b"data": bytes in row-major order, b"dtype": "<f4", b"shape": [..]},
a single NumPy number {b"__npgeneric__": True, b"data": number, b"dtype": "<f4"} (openpi-client,
`msgpack_numpy.py`). Everything else is plain msgpack.

What is read was written by others: only plain numbers are arrays, the bytes of an array must be those that its shape
needs, and lists, mappings and depths are bounded, because a list reserves the memory that its header claims.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from il_ros.core.tables import counted, shown
from il_ros.policies.protocol import Array

MOST_ITEMS = 4096
"""Items of a list, and entries of a mapping. A message has at most 1024 levels (msgpack's own limit)."""
MOST_DIMENSIONS = 8
TYPES = frozenset(["|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"])
"""The types of arrays: little-endian numbers. Others, such as objects and texts, are refused."""
_ARRAY, _NUMBER, _DATA, _DTYPE, _SHAPE = b"__ndarray__", b"__npgeneric__", b"data", b"dtype", b"shape"


class WireError(ValueError):
    """A message that is not readable, or is not what it has to be; the message says what and where."""


def encode(message: Any) -> bytes:
    """Return a message of mappings, lists, texts, bytes, numbers and arrays; raises WireError on another type."""
    import msgpack

    try:
        packed: bytes = msgpack.packb(message, default=_packed)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be written as msgpack: {error}") from error
    return packed


def decode(raw: bytes) -> Any:
    """Return the message in `raw`; its arrays are read-only. Raises WireError, and no other exception."""
    import msgpack

    try:
        return msgpack.unpackb(
            raw,
            object_hook=_unpacked,
            max_array_len=MOST_ITEMS,
            max_map_len=MOST_ITEMS,
            max_ext_len=64,
        )
    except WireError:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        what = str(error) or type(error).__name__
        raise WireError(f"no readable msgpack ({counted(len(raw), 'byte')}): {shown(what[:200])}") from error


def decode_mapping(raw: bytes) -> dict[str, Any]:
    """Return the mapping with texts as keys in `raw`; raises WireError if it is something else."""
    found = decode(raw)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise WireError(f"is {described(found)}; a mapping with texts as keys is needed")
    return found


def numbers(value: Any, what: str) -> Array:
    """Return an array, a number, or nested lists of numbers as a float64 array; raises WireError that names `what`."""
    if not isinstance(value, (np.ndarray, np.generic, list, int, float)):
        raise WireError(f"{what} is {described(value)}; an array of numbers is needed")
    try:
        found = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise WireError(f"{what} is no array: {error}") from error
    if found.dtype.kind not in "biuf" or found.ndim > MOST_DIMENSIONS:
        raise WireError(f"{what} is {described(found)}; an array of numbers is needed")
    return found.astype(np.float64)


def described(value: Any) -> str:
    """Return what a value is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, (dict, list)):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind} of {counted(len(value), 'item')}"
    return shown(repr(value)[:60])


def _packed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        if plain.dtype.str not in TYPES:
            raise TypeError(f"an array of {value.dtype}")
        return {_ARRAY: True, _DATA: plain.tobytes(), _DTYPE: plain.dtype.str, _SHAPE: value.shape}
    if isinstance(value, np.generic) and value.dtype.str in TYPES:
        return {_NUMBER: True, _DATA: value.item(), _DTYPE: value.dtype.str}
    raise TypeError(f"a value of type {type(value).__name__}")


def _unpacked(found: dict[Any, Any]) -> Any:
    if _ARRAY in found:
        return _array(found)
    if _NUMBER in found:
        value = found.get(_DATA)
        if not isinstance(value, (bool, int, float)):
            raise WireError(f"a number is {described(value)}")
        with np.errstate(over="ignore"):  # a number too large for its type is infinite
            return _dtype(found).type(value)
    return found


def _array(found: dict[Any, Any]) -> Array:
    dtype, data, shape = _dtype(found), found.get(_DATA), found.get(_SHAPE)
    if not isinstance(data, bytes):
        raise WireError(f"the data of an array are {described(data)}; bytes are needed")
    whole = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    if not whole or len(shape) > MOST_DIMENSIONS:  # type: ignore[arg-type]
        raise WireError(f"the shape of an array is {shown(repr(shape)[:60])}; whole numbers are needed")
    assert isinstance(shape, list)
    needed = math.prod(shape) * dtype.itemsize
    if len(data) != needed:
        raise WireError(
            f"an array of shape {shown(str(shape)[:60])} and type {dtype} has {counted(len(data), 'byte')}; "
            f"{needed} are needed"
        )
    if not needed and max(shape, default=0) > MOST_ITEMS:
        raise WireError(f"an empty array has the shape {shown(str(shape)[:60])}")
    return np.frombuffer(data, dtype).reshape(shape)


def _dtype(found: dict[Any, Any]) -> np.dtype[Any]:
    stated = found.get(_DTYPE)
    if not isinstance(stated, str) or stated not in TYPES:
        raise WireError(
            f"arrays of type {shown(repr(stated)[:40])} are not read; types: {', '.join(sorted(TYPES))}"
        )
    return np.dtype(stated)
