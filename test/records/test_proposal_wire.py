"""The packed bytes equal those of the general serialiser, and unpacking restores the proposal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from il_ros.core import messages
from il_ros.records import proposal, proposal_wire
from il_ros.records.proposal import Proposal, ProposalError

PERIOD_NS = 50_000_000
WORD = st.text("abcdefgäξ0123456789-_.", min_size=1, max_size=9)


@st.composite
def proposals(draw):
    names = draw(st.lists(WORD, min_size=1, max_size=5, unique=True))
    steps = draw(st.integers(1, 40))
    chunk = draw(arrays(np.float64, (steps, len(names)), elements=st.floats(allow_nan=True)))
    stamp_ns = draw(st.integers(1, 2**31 * 10**9 - 1))
    uncertainty = draw(st.none() | st.floats(0, 1e6))
    generation = draw(st.none() | st.integers(0, 10**9))
    version = draw(st.just("") | WORD)
    return names, Proposal(draw(WORD), stamp_ns, chunk, version, generation, uncertainty)


@settings(max_examples=200, deadline=None)
@given(proposals())
def test_packed_bytes_are_those_of_the_general_serialiser(named):
    names, one = named
    general = messages.encode(proposal.TYPE, proposal.to_message(one, names, PERIOD_NS))
    assert proposal.encode(one, names, PERIOD_NS) == general


@settings(max_examples=200, deadline=None)
@given(proposals(), st.binary(max_size=4))
def test_decoding_restores_the_proposal_with_any_trailing_bytes(named, trailing):
    names, one = named
    raw = proposal.encode(one, names, PERIOD_NS) + trailing
    assert proposal_wire.unpack(raw, names, PERIOD_NS) is not None
    back = proposal.decode(raw, names, PERIOD_NS)
    np.testing.assert_array_equal(back.chunk, one.chunk)
    assert (back.source, back.stamp_ns, back.version, back.generation, back.uncertainty) == (
        one.source,
        one.stamp_ns,
        one.version,
        one.generation,
        one.uncertainty,
    )


@settings(max_examples=100, deadline=None)
@given(proposals(), st.data())
def test_truncated_bytes_raise_an_error(named, data):
    names, one = named
    raw = proposal.encode(one, names, PERIOD_NS)
    with pytest.raises(ProposalError):
        proposal.decode(raw[: data.draw(st.integers(0, len(raw) - 1))], names, PERIOD_NS)


def test_joints_in_another_order_are_decoded_by_the_general_reader():
    one = Proposal("expert", 10**9, np.array([[1.0, 2.0]]))
    raw = proposal.encode(one, ("b", "a"), PERIOD_NS)
    assert proposal_wire.unpack(raw, ("a", "b"), PERIOD_NS) is None
    np.testing.assert_array_equal(proposal.decode(raw, ("a", "b"), PERIOD_NS).chunk, [[2.0, 1.0]])


def test_velocities_beside_positions_are_decoded_by_the_general_reader():
    message = proposal.to_message(Proposal("expert", 10**9, np.ones((2, 1))), ("a",), PERIOD_NS)
    message.points[0].velocities = np.ones(1)
    raw = messages.encode(proposal.TYPE, message)
    assert proposal_wire.unpack(raw, ("a",), PERIOD_NS) is None
    np.testing.assert_array_equal(proposal.decode(raw, ("a",), PERIOD_NS).chunk, [[1.0], [1.0]])


def test_steps_at_another_period_are_rejected():
    raw = proposal.encode(Proposal("expert", 10**9, np.ones((2, 1))), ("a",), 2 * PERIOD_NS)
    with pytest.raises(ProposalError, match=r"points\[1\] is at 0\.1 s"):
        proposal.decode(raw, ("a",), PERIOD_NS)


def test_a_message_without_stamp_is_rejected():
    message = proposal.to_message(Proposal("expert", 10**9, np.ones((1, 1))), ("a",), PERIOD_NS)
    message.header = messages.header(0, "source=expert")
    with pytest.raises(ProposalError, match="no stamp"):
        proposal.decode(messages.encode(proposal.TYPE, message), ("a",), PERIOD_NS)
