"""The pose of one frame in another, from transforms, at a tick."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.core import codecs, contract, messages
from il_ros.core.codecs.poses import chained, interpolated, inverse
from il_ros.core.messages import make
from il_ros.core.synchroniser import NoObservation, Synchroniser

MS = 1_000_000
TF = "tf2_msgs/msg/TFMessage"
HALF = math.sqrt(0.5)
TURN_Z = (0.0, 0.0, HALF, HALF)
"""A quarter turn about z: x becomes y."""
TEXT = """\
name: frames
rate_hz: 10
observations:
  tool:
    topic: /tf
    type: tf2_msgs/msg/TFMessage
    frames: [base, tool]
    max_age_s: 0.1
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, limits: {speed: 1}}
"""


def transform(parent, child, move=(0, 0, 0), turn=(0, 0, 0, 1), stamp_ns=0):
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=messages.header(stamp_ns, parent),
        child_frame_id=child,
        transform=make(
            "geometry_msgs/msg/Transform",
            translation=make("geometry_msgs/msg/Vector3", **dict(zip("xyz", map(float, move), strict=True))),
            rotation=make("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", map(float, turn), strict=True))),
        ),
    )


def raw(*transforms) -> bytes:
    return messages.encode(TF, make(TF, transforms=list(transforms)))


class Frames:
    """A synchroniser of one pose; messages arrive 5 ms after their stamp."""

    def __init__(self, *, extra: str = "", frames: str = "base, tool") -> None:
        text = TEXT.replace("base, tool", frames).replace("max_age_s: 0.1", f"max_age_s: 0.1\n{extra}")
        self.contract = contract.parse(text, "frames")
        self.synchroniser = Synchroniser(self.contract.observations)

    def move(self, parent, child, move=(0, 0, 0), turn=(0, 0, 0, 1), at_ms=0, arrival_ms=None):
        stamp_ns = at_ms * MS
        arrival_ns = stamp_ns + 5 * MS if arrival_ms is None else arrival_ms * MS
        self.synchroniser.push("/tf", raw(transform(parent, child, move, turn, stamp_ns)), arrival_ns)

    def fix(self, parent, child, move=(0, 0, 0), turn=(0, 0, 0, 1)):
        self.synchroniser.push("/tf_static", raw(transform(parent, child, move, turn)), 1)

    def pose(self, at_ms) -> np.ndarray:
        seen = self.synchroniser.sample(at_ms * MS)
        assert not isinstance(seen, NoObservation), seen.reasons
        return seen.values["tool"]

    def reason(self, at_ms) -> str:
        seen = self.synchroniser.sample(at_ms * MS)
        assert isinstance(seen, NoObservation)
        (reason,) = seen.reasons
        assert reason.startswith("tool (/tf): ")
        return reason.removeprefix("tool (/tf): ")


def test_a_chain_of_static_and_moving_transforms_is_multiplied():
    """The tool lies 1 m in front of the wrist, which is at (2, 0, 0) and looks along y: it is at (2, 1, 0.5)."""
    frames = Frames()
    frames.fix("base", "arm", (0, 0, 0.5))
    frames.move("arm", "wrist", (2, 0, 0), TURN_Z, at_ms=100)
    frames.fix("wrist", "tool", (1, 0, 0))
    np.testing.assert_allclose(frames.pose(110), [2, 1, 0.5, 0, 0, HALF, HALF], atol=1e-12)


def test_a_pose_leads_up_one_branch_and_down_another():
    """Both cameras hang on the world; the right one turns by a quarter. From the left, the object is at (-4, 3, 0)."""
    frames = Frames(frames="left, object")
    frames.fix("world", "left", (1, 0, 0))
    frames.fix("world", "right", (-3, 2, 0), TURN_Z)
    frames.move("right", "object", (1, 0, 0), at_ms=100)
    np.testing.assert_allclose(frames.pose(100), [-4, 3, 0, 0, 0, HALF, HALF], atol=1e-12)
    back = Frames(frames="object, left")
    back.fix("world", "left", (1, 0, 0))
    back.fix("world", "right", (-3, 2, 0), TURN_Z)
    back.move("right", "object", (1, 0, 0), at_ms=100)
    # world -> object is (-3, 3, 0) and a quarter turn; (1, 0, 0) - (-3, 3, 0) = (4, -3, 0), turned back: (-3, -4, 0)
    np.testing.assert_allclose(back.pose(100), [-3, -4, 0, 0, 0, -HALF, HALF], atol=1e-12)


def test_between_two_messages_the_pose_is_interpolated():
    """A quarter of the way from 0 to a quarter turn is 22.5 degrees."""
    frames = Frames()
    frames.move("base", "tool", (0, 0, 0), at_ms=100)
    frames.move("base", "tool", (0.4, 0, 0), TURN_Z, at_ms=140)
    eighth = math.radians(22.5) / 2
    np.testing.assert_allclose(
        frames.pose(110), [0.1, 0, 0, 0, 0, math.sin(eighth), math.cos(eighth)], atol=1e-12
    )


def test_a_quaternion_and_its_negative_are_the_same_rotation_between_messages():
    frames = Frames()
    frames.move("base", "tool", at_ms=100)
    frames.move("base", "tool", turn=[-each for each in TURN_Z], at_ms=140)
    eighth = math.radians(45) / 2
    np.testing.assert_allclose(frames.pose(120)[3:], [0, 0, math.sin(eighth), math.cos(eighth)], atol=1e-12)


unit = st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


@given(unit, unit, st.floats(0, 1))
def test_interpolation_turns_by_its_share_of_the_angle(first, second, share):
    """Along the shortest arc, the angle from the first rotation is `share` of the whole angle."""
    first, second = (
        np.array([0, 0, 0, *(np.array(each) / np.linalg.norm(each))]) for each in (first, second)
    )
    mixed = np.array(interpolated(tuple(first), tuple(second), share)[3:])
    assert np.linalg.norm(mixed) == pytest.approx(1)
    whole = math.acos(min(1.0, abs(first[3:] @ second[3:])))
    part = math.acos(min(1.0, abs(first[3:] @ mixed)))
    assert part == pytest.approx(share * whole, abs=2e-4)


@given(unit, st.tuples(*[st.floats(-1e3, 1e3)] * 3))
def test_a_pose_and_its_inverse_are_the_identity(turn, move):
    pose = (*move, *(np.array(turn) / np.linalg.norm(turn)).tolist())
    for product in (chained(pose, inverse(pose)), chained(inverse(pose), pose)):
        np.testing.assert_allclose(product, [0, 0, 0, 0, 0, 0, 1], atol=1e-9)


def test_after_the_newest_message_the_pose_stays_and_becomes_stale():
    frames = Frames()
    frames.move("base", "tool", (1, 0, 0), at_ms=100)
    frames.move("base", "tool", (2, 0, 0), at_ms=150)
    assert frames.pose(200)[0] == 2.0
    assert frames.synchroniser.sample(250 * MS).ages_s["tool"] == pytest.approx(0.1)
    reason = frames.reason(260)
    assert reason == "stale, the transform 'base' -> 'tool' is 0.110 s old at the tick; max_age_s is 0.1"
    assert frames.synchroniser.sample(260 * MS).untimely


def test_before_the_oldest_message_nothing_is_extrapolated():
    frames = Frames()
    frames.move("base", "tool", at_ms=100)
    assert frames.reason(80) == (
        "the transform 'base' -> 'tool' begins 0.020 s after the tick; nothing is extrapolated"
    )
    assert frames.synchroniser.sample(80 * MS).untimely


def test_the_age_is_that_of_the_oldest_transform_on_the_way():
    frames = Frames()
    frames.move("base", "arm", at_ms=120)
    frames.move("arm", "tool", at_ms=100)
    frames.move("base", "other", at_ms=0)
    assert frames.synchroniser.sample(150 * MS).ages_s["tool"] == pytest.approx(0.05)


def test_static_transforms_alone_have_no_age():
    frames = Frames()
    frames.fix("base", "tool", (1, 0, 0))
    assert frames.synchroniser.sample(10**15).ages_s["tool"] == 0.0


def test_missing_frames_and_separate_trees_are_named():
    frames = Frames()
    assert frames.reason(0) == "there is no frame 'base'; the frames are: none"
    frames.move("base", "arm", at_ms=100)
    assert frames.reason(100) == "there is no frame 'tool'; the frames are: arm, base"
    frames.fix("hand", "tool")
    assert frames.reason(100) == (
        "'base' and 'tool' are not connected: the first belongs to 'base', the second to 'hand'"
    )


def test_a_loop_is_named():
    frames = Frames()
    frames.fix("tool", "arm")
    frames.fix("arm", "tool")
    frames.fix("base", "other")
    assert frames.reason(0) in (
        "the transforms form a loop: tool -> arm -> tool",
        "the transforms form a loop: arm -> tool -> arm",
    )


def test_two_parents_of_a_frame_are_a_fault_until_there_is_one_again():
    frames = Frames()
    frames.move("base", "tool", at_ms=100)
    frames.move("odom", "tool", at_ms=110)
    assert frames.reason(110) == "'tool' has two parents, 'base' and 'odom', in transforms"
    frames.move("base", "tool", (3, 0, 0), at_ms=120)
    assert frames.pose(120)[0] == 3.0


def test_a_frame_may_get_another_parent_when_the_first_is_silent_for_long():
    frames = Frames()
    frames.fix("world", "base")
    frames.fix("world", "hand", (5, 0, 0))
    frames.move("base", "tool", at_ms=100)
    frames.move("hand", "tool", at_ms=1500)
    assert frames.pose(1500)[0] == 5.0


@pytest.mark.parametrize(
    ("move", "turn", "said"),
    [
        ((math.nan, 0, 0), (0, 0, 0, 1), "a transform has position.x that is not finite"),
        ((0, 0, 0), (0, 0, 0, 0), "a transform has a quaternion of length 0, which is no rotation"),
        ((0, 0, 0), (0, 0, 0, 1.5), "a transform has a quaternion of length 1.5, which is no rotation"),
    ],
)
def test_a_transform_that_is_none_is_a_reason_until_the_next_one(move, turn, said):
    frames = Frames()
    frames.move("base", "tool", at_ms=100)
    frames.move("base", "tool", move, turn, at_ms=110)
    assert frames.reason(110) == said
    frames.move("base", "tool", (1, 0, 0), at_ms=120)
    assert frames.pose(120)[0] == 1.0


def test_a_transform_stamped_far_ahead_does_not_make_the_others_old():
    frames = Frames()
    frames.move("base", "tool", (1, 0, 0), at_ms=100)
    frames.move("base", "tool", at_ms=5000, arrival_ms=110)
    assert "is stamped 3.890 s later than its arrival allows" in frames.reason(110)
    frames.move("base", "tool", (2, 0, 0), at_ms=120)
    assert frames.pose(120)[0] == 2.0


def test_bytes_that_are_no_transforms_are_a_reason():
    frames = Frames()
    frames.move("base", "tool", at_ms=100)
    frames.synchroniser.push("/tf", b"\0\1\0\0\7", 106 * MS)
    assert frames.reason(110).startswith(f"not a {TF} (5 bytes)")
    frames.move("base", "tool", (1, 0, 0), at_ms=120)
    assert frames.pose(120)[0] == 1.0


def test_stamps_are_ignored_where_the_contract_says_so():
    frames = Frames(extra="    stamp: arrival")
    frames.move("base", "tool", (1, 0, 0), at_ms=10**6, arrival_ms=100)
    assert frames.pose(150)[0] == 1.0


def test_static_transforms_outlive_a_clock_that_was_set_back():
    """They are sent only once."""
    frames = Frames()
    frames.fix("base", "arm", (0, 0, 1))
    frames.move("arm", "tool", at_ms=5000)
    assert frames.pose(5000)[2] == 1.0
    assert "the clock went back" in frames.synchroniser.sample(100 * MS).reasons[0]
    frames.move("arm", "tool", at_ms=150)
    assert frames.pose(150)[2] == 1.0


def test_old_transforms_are_forgotten_and_memory_is_bounded():
    frames = Frames()
    for at_ms in range(0, 20_000, 10):
        frames.move("base", "tool", (at_ms, 0, 0), at_ms=at_ms)
    assert frames.pose(19_990)[0] == 19_990
    tree = frames.synchroniser._transforms["/tf"]._tree
    assert len(tree._edges["tool"].stamps_ns) <= 102


def test_numbers_of_the_pose_are_selected_by_fields():
    frames = Frames(extra="    fields: [position.z, orientation]")
    assert frames.contract.observation("tool").elements == (
        *("position.z", "orientation.x", "orientation.y", "orientation.z", "orientation.w"),
    )
    frames.fix("base", "tool", (1, 2, 3))
    np.testing.assert_allclose(frames.pose(0), [3, 0, 0, 0, 1])


def test_the_contract_expects_both_topics_and_checks_the_frames():
    own = Frames().contract
    assert own.topics == {"/tf": TF, "/tf_static": TF, "cmd_vel": "geometry_msgs/msg/Twist"}
    for frames, said in (
        ("base", r"frames: has \['base'\]; two are needed"),
        ("base, base", "'base' is listed twice"),
        ("base, /base", r"frames: has \['base', 'base'\]; two are needed, the parent and the child"),
    ):
        with pytest.raises(contract.ContractError, match=said):
            Frames(frames=frames)
    with pytest.raises(contract.ContractError, match="static: is the topic of the other transforms too, /tf"):
        Frames(extra="    static: /tf")
    with pytest.raises(
        contract.ContractError, match="fields: 'angle' is not in a pose; of: position, orientation"
    ):
        Frames(extra="    fields: [angle]")


def test_one_message_with_the_whole_way_can_be_decoded():
    spec = Frames().contract.observation("tool")
    message = make(TF, transforms=[transform("base", "arm", (1, 0, 0)), transform("arm", "tool", (1, 0, 0))])
    np.testing.assert_allclose(codecs.decode(spec, message), [2, 0, 0, 0, 0, 0, 1])
    with pytest.raises(codecs.CodecError, match="there is no frame 'tool'"):
        codecs.decode(spec, make(TF, transforms=[transform("base", "arm")]))
