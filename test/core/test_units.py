"""Units of observed numbers, and the groups that share a scale."""

import pytest

from il_ros.core import contract
from il_ros.core.units import groups_of, units_of

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
