"""Messages between robot and policy server: openpi's encoding, and what is refused before memory is taken."""

import tracemalloc

import msgpack
import numpy as np
import policy_servers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from il_ros.policies.remote import wire
from il_ros.policies.remote.wire import WireError


def test_an_array_is_written_as_openpi_writes_it():
    # openpi-client, msgpack_numpy.py: keys are bytes, the data row by row
    raw = wire.encode({"actions": np.array([[1.0, 2.0]], np.float32)})
    flag, data = b"\xc4\x0b__ndarray__\xc3", b"\xc4\x04data\xc4\x08\x00\x00\x80?\x00\x00\x00@"
    kind, shape = b"\xc4\x05dtype\xa3<f4", b"\xc4\x05shape\x92\x01\x02"
    assert raw == b"\x81\xa7actions\x84" + flag + data + kind + shape


@given(
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.uint8, np.int16, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
def test_arrays_come_back_bit_for_bit_also_through_another_implementation(values):
    for raw in (wire.encode({"a": values}), policy_servers.pack({"a": values})):
        found = wire.decode(raw)["a"]
        assert (found.dtype, found.shape) == (values.dtype, values.shape)
        assert found.tobytes() == values.tobytes()
    np.testing.assert_array_equal(policy_servers.unpack(wire.encode({"a": values}))["a"], values)


def test_other_byte_orders_and_transposed_arrays_are_sent_in_one_form():
    values = np.arange(6, dtype=">i4").reshape(2, 3).T
    found = wire.decode(wire.encode(values))
    assert found.dtype == np.dtype("<i4")
    np.testing.assert_array_equal(found, values)


def test_a_numpy_number_is_read():
    assert wire.decode(policy_servers.pack({"x": np.float32(0.5)}))["x"] == 0.5


@pytest.mark.parametrize("value", [np.array([object()]), np.array(["text"]), np.array([1j]), object()])
def test_what_is_no_plain_data_is_not_written(value):
    with pytest.raises(WireError, match="cannot be written as msgpack"):
        wire.encode({"a": value})


def array(**changed):
    whole = {b"__ndarray__": True, b"data": b"\0" * 16, b"dtype": "<f8", b"shape": [2]}
    return msgpack.packb({"a": {**whole, **{key.encode(): value for key, value in changed.items()}}})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (array(dtype="|O"), r"arrays of type '\|O' are not read"),
        (array(dtype="<U4"), "arrays of type '<U4' are not read"),
        (array(dtype="V16"), "arrays of type 'V16' are not read"),
        (array(dtype=[1]), r"arrays of type \[1\] are not read"),
        (array(shape=[3]), r"shape \[3\] and type float64 has 16 bytes; 24 are needed"),
        (array(shape=[2**62, 4]), "has 16 bytes; 1475"),
        (array(shape=[-2, -1]), "whole numbers are needed"),
        (array(shape=[True, 2]), "whole numbers are needed"),
        (array(shape=[1] * 9), "whole numbers are needed"),
        (array(shape=2), "the shape of an array is 2"),
        (array(shape=[0, 2**62], data=b""), "an empty array has the shape"),
        (array(data="text"), "the data of an array are 'text'; bytes are needed"),
        (msgpack.packb({b"__npgeneric__": True, b"data": "1", b"dtype": "<f8"}), "a number is '1'"),
        (b"", "no readable msgpack"),
        (b"\xc1", "no readable msgpack"),
        (b"\x81\xa1a", "no readable msgpack"),
        (b"\x01\x02", "no readable msgpack"),
        (b"GET / HTTP/1.1\r\n\r\n", "no readable msgpack"),
        (b"\x81\x01\x02", "no readable msgpack"),  # a number as a key
        (b"\xd9\x02\xff\xff", "no readable msgpack"),  # no UTF-8
        (b"\x91" * 5000, "no readable msgpack"),
    ],
)
def test_what_is_not_readable_is_refused_in_words(raw, words):
    with pytest.raises(WireError, match=words):
        wire.decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of four billion items
        b"\xdf\xff\xff\xff\xff",  # a mapping
        b"\xc6\xff\xff\xff\xff",  # bytes
        b"\xdb\xff\xff\xff\xff",  # a text
        b"\xc9\xff\xff\xff\xff\x01",  # an extension
        b"\xdd\x00\x0f\xff\xff" * 200_000,  # a million items in each of many levels
        b"\xdc\x0f\xff" * 300_000,
    ],
    ids=["list", "mapping", "bytes", "text", "extension", "nested lists", "nested small lists"],
)
def test_a_header_that_claims_more_than_there_is_takes_no_memory(raw):
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            wire.decode(raw)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_a_message_is_a_mapping_with_texts_as_keys():
    for value, words in (([1], "is a list of 1 item"), (5, "is 5"), ({b"a": 1}, "is a mapping of 1 item")):
        with pytest.raises(WireError, match=words):
            wire.decode_mapping(msgpack.packb(value))


@pytest.mark.parametrize(
    "value", ["1", {"a": 1}, [[1], [1, 2]], ["1"], None, b"12", [None], np.zeros((1,) * 9)]
)
def test_numbers_are_numbers(value):
    with pytest.raises(WireError, match="'actions'"):
        wire.numbers(value, "'actions'")


def test_nested_lists_are_numbers_too():
    np.testing.assert_array_equal(wire.numbers([[1, 2.5], [True, 4]], "x"), [[1.0, 2.5], [1.0, 4.0]])
