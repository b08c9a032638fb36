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


def test_without_the_deadman_button_there_is_silence_whatever_the_axes_say():
    assert MAP.rates([1.0, 1.0], [1, 1, 1, 1, 0]) is None


def test_full_deflection_gives_the_full_rate():
    np.testing.assert_allclose(MAP.rates([-1.0, 1.0], HELD), [0.5, -2.0])


def test_deflection_grows_from_zero_at_the_edge_of_the_deadzone():
    np.testing.assert_allclose(MAP.rates([0.2, 0.0], HELD), [0.0, 0.0])
    np.testing.assert_allclose(MAP.rates([-0.6, 0.0], HELD), [0.0, -1.0])  # (0.6 - 0.2) / 0.8 * 2


def test_buttons_add_their_rate():
    np.testing.assert_allclose(MAP.rates([0.0, 0.0], [1, 0, 0, 0, 1]), [0.0, -1.0])


def test_a_gamepad_with_too_few_axes_is_named():
    with pytest.raises(ValueError, match="has 1 of axis, the map names axis 1"):
        MAP.rates([0.0], HELD)


def test_a_gamepad_without_the_deadman_button_is_named():
    with pytest.raises(ValueError, match="has 2 of button, the map names button 4"):
        MAP.rates([0.0, 0.0], [1, 1])


def test_controls_are_read_from_lines():
    assert parse_controls(["base/linear.x 1 0.5"], ACTIONS, "axes") == (Control("base/linear.x", 1, 0.5),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("base/linear.x 1", "must be 'ACTION INDEX RATE'"),
        ("base/linear.y 1 0.5", "'base/linear.y' is no action of the contract"),
        ("base/linear.x one 0.5", "'base/linear.x one 0.5'"),
        ("base/linear.x -1 0.5", "0 or more"),
        ("base/linear.x 1 nan", "is not a number"),
    ],
)
def test_a_wrong_line_is_refused_with_what_would_be_right(line, said):
    with pytest.raises(ValueError, match=said):
        parse_controls([line], ACTIONS, "axes")


def test_a_map_that_moves_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing would move"):
        JoyMap(ACTIONS, deadman_button=0)
