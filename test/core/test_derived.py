"""Derived observations: values by hand, and refusals."""

import numpy as np
import pytest

from il_ros.core import contract, derived
from il_ros.core.contract import ContractError
from il_ros.core.contract_differences import differences

HALF = np.sqrt(0.5)
XYZ = ("position.x", "position.y", "position.z")
TEXT = """
name: made_up
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], fields: [position, velocity],
           max_age_s: 0.1}
  wheels: {topic: wheels, type: sensor_msgs/msg/JointState, names: [a, b], continuous: [a], max_age_s: 0.1}
  object: {topic: object_pose, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.1}
  hand: {topic: hand_pose, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.1}
  bare: {topic: bare, type: std_msgs/msg/Float64MultiArray, size: 3, max_age_s: 0.1}
  heading: {topic: heading, type: std_msgs/msg/Float64MultiArray, size: 1, unit: deg, max_age_s: 0.1}
  words: {topic: words, type: std_msgs/msg/String, max_age_s: 9}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, limits: {speed: 1}}
"""
# the hand is at (1, 2, 3), a quarter turn about z: its x axis is the world's y, its y axis the world's -x
SEEN = {
    "joints": np.array([0.5, -0.25, 3.0, 4.0]),
    "wheels": np.array([3.0, 1.0]),
    "object": np.array([2.0, 4.0, 6.0, 0, 0, 0, 1.0]),
    "hand": np.array([1.0, 2.0, 3.0, 0, 0, HALF, HALF]),
    "bare": np.array([3.0, 4.0, 12.0]),
    "heading": np.array([30.0]),
}


def parsed(*lines):
    return contract.parse(TEXT + "".join(["derived:\n", *(f"  {line}\n" for line in lines)]), "c.yaml")


def spec(line, *others):
    return next(each for each in parsed(line, *others).derived if each.key == line.partition(":")[0])


@pytest.mark.parametrize(
    ("line", "value", "elements", "units"),
    [
        ("d: {difference: [object/position, hand/position]}", [1, 2, 3], XYZ, "mmm"),
        ("d: {difference: [joints/position/a, joints/position/b]}", [0.75], ["position/a-position/b"], ["rad"]),
        ("d: {difference: [joints/velocity/a, joints/velocity/b]}", [-1], ["velocity/a-velocity/b"], ["rad/s"]),
        # 3 - 0.5 = 2.5; no whole turn is taken out, because it is within half of one
        ("d: {difference: [wheels/position/a, joints/position/a]}", [2.5], ["position/a"], ["rad"]),
        # (1, 2, 3) in the world; the hand's x axis is the world's y: 2; its y axis the world's -x: -1
        ("d: {in_frame: [object/position, hand]}", [2, -1, 3], XYZ, "mmm"),
        (
            "d: {in_frame: [object, hand]}",  # and it is turned back by a quarter
            [2, -1, 3, 0, 0, -HALF, HALF],
            [*XYZ, *(f"orientation.{axis}" for axis in "xyzw")],
            "mmm1111",
        ),
        ("d: {norm: bare}", [13], ["norm"], [""]),
        ("d: {norm: joints/velocity}", [5], ["norm"], ["rad/s"]),
        ("d: {cos_sin: heading}", [np.sqrt(0.75), 0.5], ["cos.data/0", "sin.data/0"], "11"),
        (
            "d: {cos_sin: joints/position}",
            [np.cos(0.5), np.cos(-0.25), np.sin(0.5), np.sin(-0.25)],
            ["cos.position/a", "cos.position/b", "sin.position/a", "sin.position/b"],
            "1111",
        ),
    ],
)  # fmt: skip
def test_values_names_and_units_by_hand(line, value, elements, units):
    made = spec(line)
    np.testing.assert_allclose(made.value(SEEN), value, atol=1e-12)
    assert (made.elements, made.units) == (tuple(elements), tuple(units))
    assert made.shape == (len(value),)


def test_a_derived_one_may_come_before_what_it_is_derived_from():
    made = spec("far: {norm: apart}", "apart: {difference: [object/position, hand/position]}")
    np.testing.assert_allclose(made.value(SEEN), [np.sqrt(14)])  # of (1, 2, 3)
    assert [source.key for source in made.sources] == ["object", "hand"]


def test_angles_without_end_differ_the_shortest_way():
    made = spec("d: {difference: [wheels/position/a, joints/position/a]}")
    seen = {**SEEN, "wheels": np.array([3.0, 0]), "joints": np.array([-3.0, 0, 0, 0])}
    np.testing.assert_allclose(made.value(seen), [6 - 2 * np.pi])
    np.testing.assert_array_equal(made.turns, [2 * np.pi])


def test_a_quaternion_of_zeros_is_the_identity_and_another_norm_does_not_matter():
    made = spec("d: {in_frame: [object/position, hand]}")
    np.testing.assert_array_equal(made.value({**SEEN, "hand": np.array([1.0, 2, 3, 0, 0, 0, 0])}), [1, 2, 3])
    np.testing.assert_allclose(made.value({**SEEN, "hand": np.array([1.0, 2, 3, 0, 0, 7, 7])}), [2, -1, 3])


def test_a_frame_seen_from_itself_is_the_origin_and_back_is_the_inverse():
    there, back = (spec(f"d: {{in_frame: [{pair}]}}") for pair in ("object, hand", "hand, object"))
    seen = {**SEEN, "object": np.array([0.3, -1, 2, 0.5, 0.5, -0.5, 0.5])}
    x, y, z, *turn = there.value(seen)
    again = back.value({"hand": np.array([0, 0, 0, 0, 0, 0, 1.0]), "object": np.array([x, y, z, *turn])})
    np.testing.assert_allclose(again, back.value(seen), atol=1e-12)


def test_an_episode_gives_the_numbers_of_its_ticks_bit_for_bit():
    lines = (
        "apart: {difference: [object/position, hand/position]}",
        "seen: {in_frame: [object, hand]}",
        "far: {norm: apart}",
        "round: {cos_sin: joints/position}",
        "turned: {difference: [wheels/position/a, joints/position/a]}",
    )
    own, rng = parsed(*lines), np.random.default_rng(0)
    episode = {key: rng.normal(0, 3, (101, *value.shape)) for key, value in SEEN.items()}
    # arrays of any layout: a tick is contiguous, an episode may be read column by column
    episode["hand"] = np.asfortranarray(episode["hand"])
    whole = derived.completed(own.derived, episode)
    for tick in range(101):
        alone = derived.completed(own.derived, {key: values[tick] for key, values in episode.items()})
        for each in own.derived:
            np.testing.assert_array_equal(whole[each.key][tick], alone[each.key])


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["d: {differenz: [object, hand]}"], "d: has no operation; exactly one is needed of: difference, in_frame"),
        (["d: {norm: bare, cos_sin: bare}"], "has norm and cos_sin; exactly one is needed"),
        (["d: {norm: bare, unit: m}"], "d.unit: unknown"),
        (["d: {difference: [objekt, hand]}"], "'objekt' is neither observed nor derived; there are: joints, wheels"),
        (["d: {difference: [object]}"], "has 1 name; two are needed"),
        (["d: {difference: [object, object]}"], "listed twice"),
        (["d: {difference: [object, hand]}"], "an orientation has no difference; take the positions only"),
        (["d: {difference: [object/position, bare/0]}"], "'bare' has no '0'; it has: data/0"),
        (["d: {difference: [object/position, wheels]}"], "'object/position' has 3 numbers (position.x, position.y, "),
        (["d: {difference: [object/position.x, wheels/position/a]}"], "position.x is in m here and in rad there"),
        (["d: {in_frame: [object, object/position]}"], "'object/position' is no frame: it has 3 numbers (position.x"),
        (["d: {in_frame: [joints, hand]}"], "'joints' has 4 numbers (position/a, position/b, velocity/a, velocity/b)"),
        (["d: {norm: joints}"], "has numbers of several units (rad, rad/s)"),
        (["d: {norm: object}"], "has an orientation, whose norm is 1"),
        (["d: {norm: words}"], "'words' is a text; numbers are needed"),
        (["d: {cos_sin: bare}"], "data/0 is in an unknown unit; an angle in rad or deg is needed"),
        (["d: {cos_sin: object/position}"], "position.x is in m; an angle in rad or deg is needed"),
        (["hand: {norm: bare}"], "hand: is an observation already; choose another name"),
        (["a: {norm: b}", "b: {norm: a}"], "'a' depends on itself: a -> b -> a"),
        (["a: {norm: a}"], "'a' depends on itself: a -> a"),
        (["a b: {norm: bare}"], "letters, digits and underscores only"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(lines, problem):
    with pytest.raises(ContractError) as refused:
        parsed(*lines)
    assert problem in str(refused.value)
    assert "c.yaml:" in str(refused.value)


def test_they_are_no_part_of_the_contracts_meaning():
    plain, more = contract.parse(TEXT, "c.yaml"), parsed("d: {norm: bare}")
    assert plain.hash == more.hash
    assert differences(plain, more) == []
    assert plain.derived == ()
