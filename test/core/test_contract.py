"""Parsing of contracts; an invalid file raises an error with line, field, value and remedy."""

from pathlib import Path

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.core.contract_differences import difference_lines, differences

CONTRACTS = Path(__file__).parents[2] / "config" / "contracts"

TEXT = """\
name: two_joints
rate_hz: 10
trigger: states
observations:
  joints:
    topic: states
    type: sensor_msgs/msg/JointState
    fields: [position, velocity]
    names: [a, b]
    max_age_s: 0.2
  camera:
    topic: image
    type: sensor_msgs/msg/Image
    image: {width: 8, height: 6}
    max_age_s: 0.2
actions:
  arm:
    topic: commands
    type: std_msgs/msg/Float64MultiArray
    names: [b, a]
    reference: joints
    limits: {lower: -1, upper: [1, 2], speed: 0.5}
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/TwistStamped
    names: [linear.x, angular.z]
    limits: {speed: [0.5, 1.0], acceleration: 2}
"""


def test_flat_action_vector_follows_the_file():
    c = contract.parse(TEXT, "c.yaml")
    assert c.action_names == ("arm/b", "arm/a", "base/linear.x", "base/angular.z")
    assert c.action_slices == {"arm": slice(0, 2), "base": slice(2, 4)}
    assert c.action_size == 4
    assert c.period_ns == 100_000_000


def test_reference_finds_each_commanded_joint_in_the_observation():
    # the observation is [pos a, pos b, vel a, vel b]; the action is ordered b, a
    assert contract.parse(TEXT, "c.yaml").action("arm").reference_index == (1, 0)


def test_one_number_applies_to_all_joints_and_absent_limits_are_infinite():
    lower, upper, speed, acceleration = contract.parse(TEXT, "c.yaml").action("arm").limits.arrays()
    np.testing.assert_array_equal(lower, [-1, -1])
    np.testing.assert_array_equal(upper, [1, 2])
    np.testing.assert_array_equal(speed, [0.5, 0.5])
    np.testing.assert_array_equal(acceleration, [np.inf, np.inf])


def test_shapes_of_observations():
    c = contract.parse(TEXT, "c.yaml")
    assert c.observation("joints").shape == (4,)
    assert c.observation("joints").elements == ("position/a", "position/b", "velocity/a", "velocity/b")
    assert c.observation("camera").shape == (6, 8, 3)
    assert c.topics == {
        "states": "sensor_msgs/msg/JointState",
        "image": "sensor_msgs/msg/Image",
        "commands": "std_msgs/msg/Float64MultiArray",
        "cmd_vel": "geometry_msgs/msg/TwistStamped",
    }


def test_the_safe_behaviour_defaults_to_zero_for_velocities_and_hold_for_positions():
    c = contract.parse(TEXT, "c.yaml")
    assert (c.action("arm").safe, c.action("base").safe) == ("hold", "zero")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate_hz: 10", "rate_hz: fast", "c.yaml:2: rate_hz: must be a number, not 'fast'"),
        ("rate_hz: 10", "rate_hz: -1", "c.yaml:2: rate_hz: must be above 0, not -1"),
        ("rate_hz: 10", "rate_hz: .nan", "c.yaml:2: rate_hz: must be a number, not nan"),
        ("rate_hz: 10", "rate_hz: 10\nrate_hz: 20", "c.yaml:3: rate_hz: given twice"),
        ("rate_hz: 10", "rate_hz: 10\ncolour: red", "c.yaml:3: colour: unknown key"),
        ("rate_hz: 10\n", "", "rate_hz: missing"),
        ("trigger: states", "trigger: joints", "c.yaml:3: trigger: 'joints' is not an observed topic"),
        ("max_age_s: 0.2", "max_age: 0.2", "max_age_s: missing; is 'max_age' meant to be it?"),
        ("JointState", "JointStates", "did you mean 'sensor_msgs/msg/JointState'?"),
        ("fields: [position, velocity]", "fields: [angle]", "'angle' is not known"),
        ("names: [a, b]", "names: [a, a]", "'a' is listed twice"),
        ("names: [a, b]", "names: [a, c]", "'joints' doesn't measure 'b'"),
        ("width: 8, ", "", "observations.camera.image.width: missing"),
        ("height: 6}", "height: 6, fit: squash}", "'squash' is not known"),
        ("reference: joints", "reference: camera", "'camera' doesn't measure 'b'"),
        ("upper: [1, 2]", "upper: [1, 2, 3]", "has 3 values; needed: 2"),
        ("upper: [1, 2]", "upper: -1", "-1 is not below upper -1"),
        (", speed: 0.5}", "}", "actions.arm.limits.speed: missing"),
        ("    reference: joints\n", "", "actions.arm.reference: missing"),
        ("reference: joints", "reference: joints\n    safe: zero", "'zero' would move every position to 0"),
        ("linear.x, angular.z]", "linear.x, angular.w]", "'angular.w' is not in"),
        ("topic: cmd_vel", "topic: cmd_vel\n    safe: hold", "'hold' would repeat a velocity forever"),
        ("topic: cmd_vel", "topic: commands", "is declared as std_msgs"),
        ("topic: cmd_vel", "topic: cmd vel", "'cmd vel' is not a topic name"),
        ("topic: cmd_vel", "topic: cmd_vel\n    mode: delta", "'delta' is for joint positions"),
    ],
)
def test_an_invalid_file_is_rejected_with_place_and_remedy(old, new, message):
    assert old in TEXT
    with pytest.raises(contract.ContractError) as error:
        contract.parse(TEXT.replace(old, new, 1), "c.yaml")
    assert str(error.value).startswith("c.yaml:")
    assert message in str(error.value)


def test_the_error_names_a_missing_or_broken_file(tmp_path):
    with pytest.raises(contract.ContractError, match=r"nowhere\.yaml: there is no such contract file$"):
        contract.load(tmp_path / "nowhere.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    with pytest.raises(contract.ContractError, match=r"broken\.yaml: not YAML"):
        contract.load(broken)
    broken.write_text("")
    with pytest.raises(contract.ContractError, match="must be a mapping"):
        contract.load(broken)


def test_comments_and_name_do_not_change_the_hash_but_meaning_does():
    first = contract.parse(TEXT, "c.yaml")
    same = contract.parse("# a comment\n" + TEXT.replace("two_joints", "other"), "c.yaml")
    other = contract.parse(TEXT.replace("max_age_s: 0.2", "max_age_s: 0.3", 1), "c.yaml")
    assert first.hash == same.hash
    assert first.hash != other.hash
    assert differences(first, same) == []
    assert differences(first, other) == ["observations.joints.max_age_s: 0.2 here, 0.3 there"]


def test_an_action_that_one_contract_lacks_is_one_difference():
    lines = TEXT.splitlines(keepends=True)
    without = contract.parse("".join(lines[: lines.index("  base:\n")]), "c.yaml")
    whole = contract.parse(TEXT, "c.yaml")
    kind = whole.action("base").type
    order = "order of actions: ['arm', 'base'] here, ['arm'] there"
    assert differences(whole, without) == [f"actions.base: absent there, {kind} here", order]
    assert f"actions.base: absent here, {kind} there" in differences(without, whole)
    assert difference_lines(whole, without) == ["only here: actions.base"]
    faster = contract.parse(whole.text.replace("rate_hz: ", "rate_hz: 1"), "c.yaml")
    rate = differences(without, faster)[0]
    assert rate.startswith("rate_hz: ")
    assert difference_lines(without, faster) == ["only there: actions.base", rate]


def test_order_of_actions_is_part_of_the_meaning():
    lines = TEXT.splitlines(keepends=True)
    start, middle = lines.index("  arm:\n"), lines.index("  base:\n")
    swapped = "".join(lines[:start] + lines[middle:] + lines[start:middle])
    first, second = contract.parse(TEXT, "c.yaml"), contract.parse(swapped, "c.yaml")
    assert first.hash != second.hash
    assert differences(first, second) == ["order of actions: ['arm', 'base'] here, ['base', 'arm'] there"]


@pytest.mark.parametrize("path", sorted(CONTRACTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_contracts_load_and_have_the_name_of_their_file(path):
    assert contract.load(path).name == path.stem


def test_velocities_expire_by_default_and_positions_do_not():
    # 10 Hz: 5 periods are 0.5 s; at 50 Hz they would be 0.1 s, but it is at least 0.25 s
    c = contract.parse(TEXT, "c.yaml")
    assert [c.expires_s(action) for action in c.actions] == [np.inf, 0.5]
    fast = contract.parse(TEXT.replace("rate_hz: 10", "rate_hz: 50"), "c.yaml")
    assert fast.expires_s(fast.action("base")) == 0.25
    assert c.expiry_warnings == (
        "contract 'two_joints', actions.base: expires_s is not declared; a velocity command counts for 0.5 s "
        "(5 periods, at least 0.25 s)",
    )


def test_a_declared_default_means_the_same_as_an_undeclared_one():
    c = contract.parse(TEXT, "c.yaml")
    said = contract.parse(TEXT + "    expires_s: 0.5\n    expired: no_label\n", "c.yaml")
    assert said.expiry_warnings == ()
    assert said.hash == c.hash
    assert differences(c, said) == []
    other = contract.parse(TEXT + "    expires_s: 1\n    expired: stop\n", "c.yaml")
    assert other.hash != c.hash
    assert differences(c, other) == [
        "actions.base.expires_s: absent here, 1.0 there",
        "actions.base.expired: absent here, stop there",
    ]


def test_the_hash_of_an_old_contract_stays():
    assert contract.parse(TEXT, "c.yaml").hash == "fdeb2932e4db3262"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("expires_s: 0", "expires_s: must be above 0, not 0"),
        ("expires_s: soon", "expires_s: must be a number, not 'soon'"),
        ("expired: zero", "expired: 'zero' is not known; one of: no_label, stop"),
    ],
)
def test_an_odd_expiry_is_an_error(line, says):
    with pytest.raises(contract.ContractError, match=says):
        contract.parse(TEXT + f"    {line}\n", "c.yaml")


def test_an_expired_position_cannot_be_a_stop():
    text = TEXT.replace("    reference: joints\n", "    reference: joints\n    expired: stop\n")
    with pytest.raises(contract.ContractError, match="an expired position has no label"):
        contract.parse(text, "c.yaml")
