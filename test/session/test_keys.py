"""Each key and each button has one user command."""

import pytest
import yaml

from il_ros.core import contract, share
from il_ros.session.keys import KEYS, Buttons, command_of, key_help, no_function
from il_ros.teleop.keyboard import Keyboard, KeyTimes


def test_no_key_of_the_session_drives_a_robot():
    for name in ("drive", "arm_push"):
        board = Keyboard(contract.load(share.path("config", "contracts", f"{name}.yaml")), KeyTimes())
        taken = [key for key in KEYS if board.press(key, 0.0)]
        assert taken == [" "]  # halt in one, emergency stop in the other


def test_at_recorded_moments_the_help_lists_only_available_keys():
    lines = " ".join(key_help(at_moments=True))
    assert "n  next moment" in lines
    assert not any(f" {key}  " in lines for key in "rtlb")
    assert len(key_help(instructions=True)) == len(KEYS)
    assert not any("take over" in line for line in key_help(by_key=False))


def test_capitals_have_the_same_command_and_arrows_none():
    assert (command_of("N"), command_of("n"), command_of("\x1b[A"), command_of("w")) == (
        "next",
        "next",
        "",
        "",
    )


@pytest.mark.parametrize(("key", "shown"), [("w", "w"), ("\x1b[C", r"'\x1b[C'"), ("\x01", r"'\x01'")])
def test_a_key_without_function_is_said_without_escapes_for_the_terminal(key, shown):
    assert no_function(key) == f"key {shown} has no function: ? lists the keys"


def test_a_button_counts_once_per_press():
    buttons = Buttons.parse(["next 0", "stop 2"])
    assert buttons.pressed([], [1, 0, 1]) == ["next", "stop"]
    assert buttons.pressed([1, 0, 1], [1, 0, 1]) == []
    assert buttons.pressed([1, 0, 1], [0, 0]) == []


@pytest.mark.parametrize("line", ["next", "fly 1", "next one", "next 0 1"])
def test_an_invalid_line_is_named(line):
    with pytest.raises(ValueError, match=f"joy_buttons: '{line}' must be"):
        Buttons.parse([line])


def test_the_shipped_buttons_cover_all_commands_of_an_episode_and_avoid_the_drivers_buttons():
    lines = shipped("session")["joy_buttons"]
    buttons = Buttons.parse(lines)
    wanted = {"next", "record", "run", "take", "success", "failure", "undo", "later", "stop", "clear"}
    assert set(buttons.commands.values()) == wanted
    driver = shipped("teleop_joy")
    taken = {driver["deadman_button"], *(int(line.split()[1]) for line in driver.get("buttons", ()))}
    assert not taken & set(buttons.commands)
    assert buttons.help().startswith("gamepad buttons: 0 next, 1 failure, ")


def shipped(node):
    return yaml.safe_load(share.path("config", "nodes", f"{node}.yaml").read_text())["/**"]["ros__parameters"]


def test_a_button_with_two_commands_is_refused():
    with pytest.raises(ValueError, match="button 3 is 'next'"):
        Buttons.parse(["next 3", "undo 3"])


def test_the_help_has_no_dead_keys():
    robot = "\n".join(key_help(simulator=False, camera=False, by_key=False))
    assert not any(text in robot for text in ("label it later", "camera image", "take over"))
    assert len(key_help(simulator=False, camera=False, by_key=False)) == len(KEYS) - 4
    assert len(key_help(instructions=True)) == len(KEYS)
