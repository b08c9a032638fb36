"""A gamepad on a real graph."""

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.nodes.runtime.parameters import ParameterError
from il_ros.nodes.runtime.shell import Refusal
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.joy_node import TeleopJoy
from il_ros.records import proposal

JOY = "sensor_msgs/msg/Joy"
BASE = """
name: base
rate_hz: 50
observations:
  camera: {topic: image, type: sensor_msgs/msg/Image, max_age_s: 0.1, image: {width: 8, height: 8}}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/TwistStamped, names: [linear.x, angular.z],
         unit: "m/s, rad/s", safe: zero, limits: {speed: [1.0, 2.0]}}
"""
AXES = ["base/linear.x 1 0.5", "base/angular.z 0 2.0"]
FORWARD = messages.make(JOY, axes=np.array([0, 1], np.float32), buttons=np.array([1], np.int32))
RELEASED = messages.make(JOY, axes=np.array([0, 1], np.float32), buttons=np.array([0], np.int32))


@pytest.fixture
def contract_file(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    return str(tmp_path / "base.yaml")


@pytest.fixture
def joy(graph, contract_file):
    """Return the node, a publish function, the proposals and their decoded first step."""
    node = graph.start(
        TeleopJoy, contract=contract_file, axes=AXES, deadman_button=0, deadzone=0.0, timeout=0.3
    )
    publish, proposals = graph.publisher("joy", JOY), graph.received("expert/proposal", proposal.TYPE)
    graph.until(publish.count, "subscription")
    return node, publish, proposals


def silent_for(graph, proposals, seconds=0.15):
    """Return True when nothing is proposed after the releasing proposal."""
    graph.until(lambda: proposals and not proposals[-1].points, "the releasing proposal")
    count = len(proposals)
    graph.spin(seconds)
    return len(proposals) == count


def test_it_proposes_at_the_rate_while_the_deadman_is_held_without_any_camera(graph, joy):
    _, publish, proposals = joy

    def three():
        publish(FORWARD)
        return len(proposals) >= 3

    graph.until(three, "three proposals")
    parsed = contract.parse(BASE, "base")
    first = proposal.from_message(proposals[0], parsed.action_names, parsed.period_ns)
    assert first.source == "expert"
    np.testing.assert_allclose(first.chunk, [[0.5, 0.0]])
    assert proposals[1].header.stamp != proposals[0].header.stamp


def test_a_press_proposes_at_once_and_not_at_the_next_tick(graph, tmp_path):
    slow = BASE.replace("rate_hz: 50", "rate_hz: 50\ntrigger: image")
    (tmp_path / "slow.yaml").write_text(slow)
    graph.start(TeleopJoy, contract=str(tmp_path / "slow.yaml"), axes=AXES, deadman_button=0, timeout=30.0)
    publish, proposals = graph.publisher("joy", JOY), graph.received("expert/proposal", proposal.TYPE)
    graph.until(publish.count, "subscription")

    def press():
        publish(RELEASED)
        publish(FORWARD)

    def proposed():
        return [message for message in proposals if message.points]

    graph.until(proposed, "a proposal, though no image ever comes", again=press)


def test_after_the_deadman_is_released_it_releases_and_is_silent(graph, joy):
    _, publish, proposals = joy
    publish(FORWARD)
    graph.until(lambda: proposals, "a proposal")
    publish(RELEASED)
    assert silent_for(graph, proposals)
    assert [len(message.points) for message in proposals[-2:]] == [1, 0]  # the releasing proposal


def test_a_silent_gamepad_releases(graph, joy):
    node, publish, proposals = joy
    publish(FORWARD)
    graph.until(lambda: proposals, "a proposal")
    graph.until(lambda: node.status().message == "silent by choice", "silence after 0.3 s")
    assert silent_for(graph, proposals)


def test_a_gamepad_with_too_few_axes_releases_and_is_reported(graph, joy):
    node, publish, proposals = joy
    publish(FORWARD)
    graph.until(lambda: proposals, "a proposal")
    publish(messages.make(JOY, axes=np.array([0], np.float32), buttons=np.array([1], np.int32)))
    found = graph.received("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    graph.until(lambda: found and "the map uses axis 1" in found[-1].status[0].message, "diagnostics")
    graph.until(lambda: node.status().message == "silent by choice", "silence")


def test_a_wrong_line_is_refused_at_start(graph, contract_file):
    with pytest.raises(ParameterError, match=r"'base/linear.y' is not an action of the contract"):
        graph.start(TeleopJoy, contract=contract_file, axes=["base/linear.y 1 1"])


def test_a_missing_contract_is_refused_at_start(graph):
    with pytest.raises(Refusal, match=r"nowhere\.yaml"):
        graph.start(TeleopJoy, contract="/nowhere.yaml", axes=AXES)


def pad(*pressed):
    buttons = np.array([index in pressed for index in range(11)], np.int32)
    return messages.make(JOY, axes=np.array([0, 1], np.float32), buttons=buttons)


def test_the_stop_button_stops_the_robot_without_the_deadman_and_the_other_one_releases_it(
    graph, joy, contract_file
):
    _, publish, _ = joy
    supervisor = graph.start(DaggerSupervisor, contract=contract_file, discovery_s=0.1)
    estop = supervisor._supervision.estop

    def press(button):
        publish(pad(button))
        publish(pad())

    graph.until(lambda: estop.latched, "the stop", again=lambda: press(8))
    assert estop.latched.startswith("emergency stop pressed (")
    graph.until(lambda: not estop.latched, "the release", again=lambda: press(10))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"stop_button": 0}, "stop_button: button 0 is the deadman already; choose another, or -1"),
        ({"clear_button": 3, "buttons": ["base/linear.x 3 0.1"]}, "clear_button: button 3 is base/linear.x"),
        ({"stop_button": 10}, "stop_button and clear_button are both button 10"),
    ],
)
def test_a_stop_button_has_no_second_function(graph, contract_file, parameters, message):
    given = {"axes": AXES, "deadman_button": 0, **parameters}
    with pytest.raises(ParameterError, match=message):
        graph.start(TeleopJoy, contract=contract_file, **given)
