"""Units of observed numbers, and the groups that share a scale."""

import math

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.core.units import groups_of, other_unit, suspicion, units_of

ACTIONS = "\nactions:\n  base: {topic: c, type: geometry_msgs/msg/Twist, limits: {speed: 1}}\n"


def observed(words):
    """Return the observation `s` with these words."""
    text = f"name: x\nrate_hz: 20\nobservations:\n  s: {{topic: s, max_age_s: 1, {words}}}{ACTIONS}"
    return contract.parse(text, "text.yaml").observations[0]


ARRAY = "type: std_msgs/msg/Float64MultiArray"
JOINTS = "type: sensor_msgs/msg/JointState, names: [a, b, g]"


@pytest.mark.parametrize(
    ("words", "units"),
    [
        (f"{ARRAY}, size: 3", ("", "", "")),
        (f"{ARRAY}, size: 3, unit: m", ("m", "m", "m")),
        (f"{ARRAY}, names: [a, b, c], unit: m", ("m", "m", "m")),
        (f"{ARRAY}, size: 3, unit: 'm, m, rad'", ("m", "m", "rad")),
        (f"{ARRAY}, names: [a, b, c], unit: 'm, m, N m'", ("m", "m", "Nm")),
        (f"{ARRAY}, names: [a, b, c], unit: 'm (c rad)'", ("m", "m", "rad")),
        (f"{ARRAY}, names: [a, b, c], unit: 'm (d rad)'", ("m (d rad)",) * 3),  # there is no d
        (JOINTS, ("rad",) * 3),
        (f"{JOINTS}, unit: rad (g m)", ("rad", "rad", "m")),
        (
            f"{JOINTS}, fields: [velocity, effort], unit: rad (g m)",
            ("rad/s", "rad/s", "m/s", "Nm", "Nm", "N"),
        ),
        (f"{JOINTS}, fields: [effort], unit: ticks", ("",) * 3),
        ("type: sensor_msgs/msg/LaserScan, size: 2, unit: apples", ("m", "m")),
        ("type: geometry_msgs/msg/Twist, fields: [linear.x, angular.z]", ("m/s", "rad/s")),
        ("type: geometry_msgs/msg/WrenchStamped, fields: [force.x, torque.z]", ("N", "Nm")),
        ("type: sensor_msgs/msg/Imu, fields: [linear_acceleration.x, orientation]", ("m/s^2", *("1",) * 4)),
    ],
)
def test_each_number_has_a_unit(words, units):
    assert units_of(observed(words)) == units


@pytest.mark.parametrize("unit", ["", ", unit: m", ", unit: 'm, m, rad'"])
def test_an_array_is_grouped_alike_by_size_and_by_names(unit):
    by_size = groups_of(observed(f"{ARRAY}, size: 3{unit}"))
    by_names = groups_of(observed(f"{ARRAY}, names: [left.x, left/y, z]{unit}"))
    kinds = [[group == other for other in by_size] for group in by_size]
    assert kinds == [[group == other for other in by_names] for group in by_names]
    assert len(set(by_size)) == {"": 3, ", unit: m": 1}.get(unit, 2)


def test_groups_keep_units_and_fields_apart():
    groups = groups_of(observed(f"{JOINTS}, fields: [position, velocity], unit: rad (g m)"))
    assert groups[:3] == ("s/position [rad]", "s/position [rad]", "s/position [m]")
    assert groups[3:] == ("s/velocity [rad/s]", "s/velocity [rad/s]", "s/velocity [m/s]")


@pytest.mark.parametrize(
    ("words", "values", "sentence"),
    [
        (
            JOINTS,
            [3.1, -6.28, 9.42],
            None,
        ),  # a joint reaches a whole turn, 6.28 rad; half a turn is the margin
        (JOINTS, [3.1, -57.3, 20.0], "s/position/b reaches -57.3 rad, which looks like degrees"),
        (JOINTS, [3.1, math.nan, 0.0], None),
        (
            f"{JOINTS}, unit: rad (g m)",
            [0.0, 0.0, 40.0],
            "s/position/g reaches 40 m, which looks like millimetres",
        ),
        (f"{JOINTS}, unit: deg", [170.0, -90.0, 0.0], None),
        (f"{JOINTS}, continuous: [a]", [400.0, 0.0, 0.0], None),
        (f"{JOINTS}, fields: [velocity]", [400.0, 0.0, 0.0], None),
        (f"{ARRAY}, names: [a, b, c], unit: rad", [400.0, 0.0, 0.0], None),  # it may count turns
    ],
)
def test_a_joint_farther_away_than_its_unit_allows_looks_like_another_unit(words, values, sentence):
    found = suspicion(observed(words), np.array([[0.0, 0.0, 0.0], values]))
    assert (found and found.sentence) == sentence


def test_the_remedy_names_the_unit_to_declare():
    found = suspicion(observed(JOINTS), np.array([0.0, 180.0, -90.0]))
    assert found.times == pytest.approx(180 / (3 * math.pi))
    assert found.remedy == (
        "Convert the stream to rad, or correct the contract: 'unit: deg', or 'continuous' if the joint has no end."
    )


def test_limits_in_degrees_under_radians_are_named():
    text = """
name: x
rate_hz: 20
observations:
  j: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b, g], max_age_s: 1}
actions:
  arm:
    topic: c
    type: std_msgs/msg/Float64MultiArray
    names: [a, b, g]
    unit: rad (g m)
    reference: j
    limits: {lower: [-170, -3.1, 0], upper: [170, 3.1, 85], speed: 1}
"""
    own = contract.parse(text, "text.yaml")
    assert own.unit_warnings == (
        "contract 'x', actions.arm.limits: a may go to -170 rad, which looks like degrees",
        "contract 'x', actions.arm.limits: g may go to 85 m, which looks like millimetres",
    )
    assert other_unit(own.actions[0], 1, -57.3) == "; it looks like degrees"
    assert other_unit(own.actions[0], 1, 9.4) == ""
    assert contract.parse(text.replace("rad (g m)", "deg (g mm)"), "text.yaml").unit_warnings == ()
