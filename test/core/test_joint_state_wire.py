"""The fast reader of joint states agrees with the general codec, or returns None."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from il_ros.core import messages
from il_ros.core.codecs import CodecError, decode
from il_ros.core.codecs.joint_state import JointStateReader
from il_ros.core.specs import JOINT_STATE, ObservationSpec

NAME = st.text("abcξ_1", min_size=1, max_size=9)
NUMBER = st.floats(-1e3, 1e3)


def spec(names, fields):
    elements = tuple(f"{field}/{name}" for field in fields for name in names)
    return ObservationSpec("joints", "joint_states", JOINT_STATE, 0.1, tuple(names), tuple(fields), elements)


def encoded(names, frame_id="", **fields):
    values = {field: np.array(numbers, dtype=np.float64) for field, numbers in fields.items()}
    head = messages.header(1_000_000_000, frame_id)
    return messages.encode(JOINT_STATE, messages.make(JOINT_STATE, header=head, name=list(names), **values))


@st.composite
def messages_and_specs(draw):
    names = draw(st.lists(NAME, min_size=1, max_size=6, unique=True))
    fields = draw(st.lists(st.sampled_from(["position", "velocity", "effort"]), min_size=1, unique=True))
    sent = {*fields, *draw(st.sets(st.sampled_from(["position", "velocity", "effort"])))}
    numbers = st.lists(NUMBER, min_size=len(names), max_size=len(names))
    wanted = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    raw = encoded(names, draw(st.text("abc", max_size=7)), **{field: draw(numbers) for field in sent})
    return raw, spec(wanted, fields)


@settings(max_examples=300, deadline=None)
@given(messages_and_specs(), st.binary(max_size=5))
def test_the_reader_agrees_with_the_codec_with_any_trailing_bytes(case, trailing):
    raw, wanted = case
    found = JointStateReader(wanted).read(raw + trailing)
    np.testing.assert_array_equal(found, decode(wanted, messages.decode(JOINT_STATE, raw)))


@settings(max_examples=200, deadline=None)
@given(messages_and_specs(), st.data())
def test_truncated_bytes_are_left_to_the_codec(case, data):
    raw, wanted = case
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    assert JointStateReader(wanted).read(cut) is None


def test_a_changed_order_of_names_is_detected():
    reader = JointStateReader(spec("ab", ["position"]))
    np.testing.assert_array_equal(reader.read(encoded("ab", position=[1, 2])), [1, 2])
    np.testing.assert_array_equal(reader.read(encoded("ba", position=[1, 2])), [2, 1])
    np.testing.assert_array_equal(reader.read(encoded("cba", position=[0, 1, 2])), [2, 1])


@pytest.mark.parametrize(
    "raw",
    [
        encoded("ac", position=[1, 2]),
        encoded("ab", velocity=[1, 2]),
        encoded("ab", position=[1, 2, 3]),
        encoded("ab", position=[1, np.nan]),
        encoded("", position=[]),
    ],
    ids=["missing joint", "missing field", "other length", "NaN", "empty"],
)
def test_invalid_messages_are_left_to_the_codec(raw):
    wanted = spec("ab", ["position"])
    assert JointStateReader(wanted).read(raw) is None
    with pytest.raises(CodecError):
        decode(wanted, messages.decode(JOINT_STATE, raw))


def test_big_endian_bytes_are_left_to_the_codec():
    raw = bytearray(encoded("ab", position=[1, 2]))
    raw[1] = 0
    assert JointStateReader(spec("ab", ["position"])).read(bytes(raw)) is None
