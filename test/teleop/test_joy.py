"""A gamepad's axes and buttons."""

import numpy as np
import pytest

from il_ros.teleop.joy import Control, JoyMap, parse_controls

ACTIONS = ("base/linear.x", "base/angular.z")
MAP = JoyMap(
    ACTIONS,
    deadman_button=4,
    axes=(Control("base/linear.x", 1, 0.5), Control("base/angular.z", 0, 2.0)),
    buttons=(Control("base/angular.z", 0, -1.0),),
    deadzone=0.2,
)
HELD = [0, 0, 0, 0, 1]


def test_without_the_deadman_button_nothing_is_proposed():
    assert MAP.rates([1.0, 1.0], [1, 1, 1, 1, 0]) is None


def test_full_deflection_gives_the_full_rate():
    np.testing.assert_allclose(MAP.rates([-1.0, 1.0], HELD), [0.5, -2.0])


def test_deflection_rises_from_zero_at_the_edge_of_the_deadzone():
    np.testing.assert_allclose(MAP.rates([0.2, 0.0], HELD), [0.0, 0.0])
    np.testing.assert_allclose(MAP.rates([-0.6, 0.0], HELD), [0.0, -1.0])  # (0.6 - 0.2) / 0.8 * 2


def test_buttons_add_their_rate():
    np.testing.assert_allclose(MAP.rates([0.0, 0.0], [1, 0, 0, 0, 1]), [0.0, -1.0])


def test_a_missing_axis_is_named():
    with pytest.raises(ValueError, match="the map uses axis 1, but this gamepad has 1"):
        MAP.rates([0.0], HELD)


def test_a_missing_deadman_button_is_named():
    with pytest.raises(ValueError, match="the map uses button 4, but this gamepad has 2"):
        MAP.rates([0.0, 0.0], [1, 1])


def test_controls_are_parsed_from_lines():
    assert parse_controls(["base/linear.x 1 0.5"], ACTIONS, "axes") == (Control("base/linear.x", 1, 0.5),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("base/linear.x 1", "must be 'ACTION INDEX RATE'"),
        ("base/linear.y 1 0.5", "'base/linear.y' is not an action of the contract"),
        ("base/linear.x one 0.5", "'base/linear.x one 0.5'"),
        ("base/linear.x -1 0.5", "0 or more"),
        ("base/linear.x 1 nan", "is not a finite number"),
    ],
)
def test_a_wrong_line_is_refused_with_the_expected_form(line, message):
    with pytest.raises(ValueError, match=message):
        parse_controls([line], ACTIONS, "axes")


def test_an_empty_map_is_refused():
    with pytest.raises(ValueError, match="no axis or button is assigned"):
        JoyMap(ACTIONS, deadman_button=0)


def test_an_axis_or_button_beyond_its_range_moves_no_faster_than_at_its_end():
    np.testing.assert_allclose(MAP.rates([-4.0, 1e9], HELD), [0.5, -2.0])  # as [-1, 1]
    np.testing.assert_allclose(MAP.rates([0.0, 0.0], [200, 0, 0, 0, 2**31 - 1]), [0.0, -1.0])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_axis_that_is_no_number_is_refused_by_its_index(value):
    with pytest.raises(ValueError, match=f"axis 1 is {value}; it must be a number from -1 to 1"):
        MAP.rates([0.0, value], HELD)
