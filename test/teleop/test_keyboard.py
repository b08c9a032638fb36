"""Key presses to rates. The base's top speeds are 0.5 m/s and 1.0 rad/s; it starts with a quarter."""

import numpy as np
import pytest

from il_ros.teleop.keyboard import DOWN, UP, Keyboard, KeyTimes

TIMES = KeyTimes(move_s=0.4, silent_s=2.0)


def test_nothing_is_proposed_before_the_first_key(base):
    assert Keyboard(base, TIMES).rates(0.0) is None


def test_a_press_moves_then_holds_then_stops_proposing(base):
    keys = Keyboard(base, TIMES)
    assert keys.press("w", 10.0)
    np.testing.assert_allclose(keys.rates(10.3), [0.125, 0.0])
    np.testing.assert_allclose(keys.rates(10.5), [0.0, 0.0])
    np.testing.assert_allclose(keys.rates(12.0), [0.0, 0.0])
    assert keys.rates(12.1) is None


def test_both_axes_of_a_base_move_at_once(base):
    keys = Keyboard(base, TIMES)
    keys.press("s", 0.0)
    keys.press("a", 0.1)
    np.testing.assert_allclose(keys.rates(0.2), [-0.125, 0.25])


def test_digits_select_the_joint_that_the_arrows_move(arm):
    keys = Keyboard(arm, TIMES)  # speed limits 2 and 4 rad/s
    keys.press(UP, 0.0)
    np.testing.assert_allclose(keys.rates(0.1), [0.5, 0.0])
    keys.press("2", 1.0)
    keys.press(DOWN, 1.0)
    np.testing.assert_allclose(keys.rates(1.1), [0.0, -1.0])


def test_space_stops_and_keeps_control(base):
    keys = Keyboard(base, TIMES)
    keys.press("w", 0.0)
    keys.press(" ", 0.1)
    np.testing.assert_allclose(keys.rates(0.2), [0.0, 0.0])


def test_x_releases_at_once(base):
    keys = Keyboard(base, TIMES)
    keys.press("w", 0.0)
    keys.press("x", 0.1)
    assert keys.rates(0.1) is None


def test_plus_and_minus_change_the_speed_within_bounds(base):
    keys = Keyboard(base, TIMES)
    keys.press("+", 0.0)
    keys.press("w", 0.0)
    np.testing.assert_allclose(keys.rates(0.1), [0.15625, 0.0])  # a quarter, times 1.25
    for _ in range(50):
        keys.press("+", 0.0)
    keys.press("w", 0.0)
    np.testing.assert_allclose(keys.rates(0.1), [0.5, 0.0])


@pytest.mark.parametrize("key", ["z", "3", "", "\x1b[C", "w"])
def test_a_key_without_function_takes_no_control(arm, key):
    keys = Keyboard(arm, TIMES)
    assert not keys.has_function(key)
    assert not keys.press(key, 0.0)
    assert keys.rates(0.0) is None


@pytest.mark.parametrize("key", ["K", UP, "2", "x", "_"])
def test_a_key_with_function(arm, key):
    assert Keyboard(arm, TIMES).has_function(key)


def test_help_lists_only_keys_with_a_function(arm, base):
    assert "W/S" in Keyboard(base, TIMES).help()
    assert "Q/E" not in Keyboard(base, TIMES).help()
    assert "select: 1 arm/a  2 arm/b" in Keyboard(arm, TIMES).help()
    assert "W/S" not in Keyboard(arm, TIMES).help()


def test_the_status_line_shows_whether_the_keyboard_has_control(base):
    keys = Keyboard(base, TIMES)
    assert keys.line(0.0).startswith("silent")
    keys.press("w", 0.0)
    assert keys.line(0.1) == "base/linear.x +0.12/s  speed 25 %"
    assert keys.line(1.0).startswith("holding")


def test_contradictory_times_are_refused():
    with pytest.raises(ValueError, match="move_s <= silent_s"):
        KeyTimes(move_s=3.0, silent_s=2.0)
