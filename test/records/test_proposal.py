import numpy as np
import pytest

from il_ros.core import messages
from il_ros.records import proposal as p
from il_ros.records.proposal import Proposal, ProposalError

NAMES = ("arm/joint1", "arm/joint2", "gripper/opening")
PERIOD_NS = 50_000_000
CHUNK = np.array([[0.1, 0.2, 0.03], [0.1 + 0.2, -0.0, 1e-300]])


def wire(**changes):
    message = p.to_message(Proposal("policy", 7_000_000_001, CHUNK), NAMES, PERIOD_NS)
    for name, value in changes.items():
        setattr(message, name, value)
    return messages.encode(p.TYPE, message)


def test_a_proposal_survives_encoding_bit_for_bit():
    sent = Proposal("policy", 7_000_000_001, CHUNK, version="v3", generation=4, uncertainty=0.1 + 0.2)
    got = p.decode(p.encode(sent, NAMES, PERIOD_NS), NAMES, PERIOD_NS)
    assert got.chunk.tobytes() == sent.chunk.tobytes()
    assert (got.source, got.stamp_ns, got.version, got.generation, got.uncertainty) == (
        "policy", 7_000_000_001, "v3", 4, 0.1 + 0.2,
    )  # fmt: skip


def test_unknown_fields_are_absent_and_not_zero():
    sent = Proposal("expert", 1, CHUNK)
    message = p.to_message(sent, NAMES, PERIOD_NS)
    assert message.header.frame_id == "source=expert"
    got = p.decode(p.encode(sent, NAMES, PERIOD_NS), NAMES, PERIOD_NS)
    assert (got.version, got.generation, got.uncertainty) == ("", None, None)


def test_the_tick_that_was_observed_survives_encoding():
    stamp_ns = 1_764_426_051_234_567_890  # nineteen digits
    sent = Proposal("policy", stamp_ns, CHUNK, observed_ns=stamp_ns - 3 * PERIOD_NS)
    got = p.decode(p.encode(sent, NAMES, PERIOD_NS), NAMES, PERIOD_NS)
    assert (got.observed_ns, got.seen_ns) == (stamp_ns - 150_000_000, stamp_ns - 150_000_000)
    assert Proposal("policy", stamp_ns, CHUNK).seen_ns == stamp_ns


def test_the_way_that_a_chunk_takes_survives_encoding():
    sent = p.proposing("policy", 1, p.Answer(CHUNK, "v3", way=2))
    assert p.to_message(sent, NAMES, PERIOD_NS).header.frame_id == "source=policy version=v3 way=2"
    assert p.decode(p.encode(sent, NAMES, PERIOD_NS), NAMES, PERIOD_NS).way == 2


def test_an_answer_to_the_tick_that_it_observed_says_no_other_one():
    answer = p.Answer(CHUNK, observed_ns=7)
    assert p.proposing("policy", 7, answer).observed_ns is None
    assert p.proposing("policy", 8, answer).observed_ns == 7


def test_step_k_is_at_k_periods():
    message = p.to_message(Proposal("policy", 1, np.zeros((31, 3))), NAMES, PERIOD_NS)
    after = message.points[30].time_from_start
    assert (after.sec, after.nanosec) == (1, 500_000_000)


def test_joints_in_another_order_are_sorted_by_name():
    raw = wire(joint_names=["gripper/opening", "arm/joint1", "arm/joint2"])
    # the message names the first column as the gripper
    np.testing.assert_array_equal(p.decode(raw, NAMES, PERIOD_NS).chunk[0], [0.2, 0.03, 0.1])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"joint_names": ["arm/joint1", "arm/joint2"]}, "joint 'gripper/opening' is missing"),
        ({"joint_names": [*NAMES, "wrist"]}, "joint 'wrist' is not one of"),
        ({"joint_names": [*NAMES, "arm/joint1"]}, "joint 'arm/joint1' is listed twice"),
        ({"header": messages.header(0, "source=policy")}, "has no stamp"),
        ({"header": messages.header(5, "")}, "needs the name of its source"),
        ({"header": messages.header(5, "source=policy epoch=four")}, "'four' is not a number for generation"),
        ({"header": messages.header(5, "source=policy epoch=1_0")}, "'1_0' is not a number for generation"),
        ({"header": messages.header(5, "source=policy doubt=0x1")}, "'0x1' is not a number for uncertainty"),
        ({"header": messages.header(5, "source=policy source=expert")}, "source is given twice"),
        (
            {"header": messages.header(5, "source=policy observed=6")},
            "observed must be the answered tick, 5, or",
        ),
        ({"header": messages.header(5, "source=policy observed=0")}, r"an earlier one \(> 0\), not 0"),
        ({"header": messages.header(5, "source=policy observed=x")}, "'x' is not a number for observed"),
        ({"header": messages.header(5, "source=a epoch=1 generation=2")}, "generation is given twice"),
        (
            {"header": messages.header(5, "source=policy generation=-1")},
            "generation must be 0 or more, not -1",
        ),
        ({"header": messages.header(5, "source=policy way=-1")}, "way must be 0 or more, not -1"),
        ({"header": messages.header(5, "source=policy way=left")}, "'left' is not a number for way"),
        ({"header": messages.header(5, "source=policy mood=good")}, "'mood=good' is none of"),
    ],
)
def test_an_invalid_message_is_rejected_with_the_reason(change, error):
    with pytest.raises(ProposalError, match=error):
        p.decode(wire(**change), NAMES, PERIOD_NS)


def test_a_chunk_of_another_rate_is_rejected():
    raw = p.encode(Proposal("policy", 1, CHUNK), NAMES, period_ns=100_000_000)
    with pytest.raises(
        ProposalError, match=r"points\[1\] is at 0.1 s; the contract's steps are 0.05 s apart"
    ):
        p.decode(raw, NAMES, PERIOD_NS)


def test_bytes_that_are_not_a_message_raise_a_proposal_error():
    with pytest.raises(ProposalError, match="3 bytes"):
        p.decode(b"\x00\x01\x02", NAMES, PERIOD_NS)


def test_a_proposal_copies_its_chunk():
    original = np.zeros((1, 3))
    proposal = Proposal("policy", 1, original)
    original[0, 0] = 9.0
    assert proposal.chunk[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        proposal.chunk[0, 0] = 1.0


@pytest.mark.parametrize(
    "bad", [{"source": "a b"}, {"version": "v=3"}, {"generation": -1}, {"uncertainty": float("nan")}]
)
def test_an_invalid_proposal_is_rejected(bad):
    with pytest.raises(ProposalError):
        Proposal(**{"source": "policy", "stamp_ns": 1, "chunk": CHUNK, **bad})


def test_a_proposal_without_points_is_a_release():
    release = p.releasing("expert", 7, len(NAMES))
    assert release.releases
    assert not Proposal("expert", 7, CHUNK).releases
    got = p.decode(p.encode(release, NAMES, PERIOD_NS), NAMES, PERIOD_NS)
    assert got.releases
    assert (got.source, got.stamp_ns, got.chunk.shape) == ("expert", 7, (0, 3))
