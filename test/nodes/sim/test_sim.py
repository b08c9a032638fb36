"""The simulator node on a real graph: pacing, resets, commands, start-up."""

import json
import math
import time
from functools import partial
from itertools import pairwise

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sim_node import PERIOD_NS, TWIST, command, pause, reset, set_parameter, started, status
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.diagnostics import ERROR
from il_ros.nodes.sim.node import Sim

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ODOMETRY, STRING = "nav_msgs/msg/Odometry", "std_msgs/msg/String"
CLOCK, BOOL = "rosgraph_msgs/msg/Clock", "std_msgs/msg/Bool"


@pytest.fixture
def start(graph):
    return partial(started, graph)


# ---- time ------------------------------------------------------------------------------------------------


def test_in_real_time_frames_come_one_period_apart(graph, start):
    start()
    odometry = graph.received("odom", ODOMETRY)
    graph.until(lambda: odometry, "the first frame")
    began_s, first = time.monotonic(), len(odometry)
    graph.until(lambda: len(odometry) >= first + 20, "twenty frames")
    assert time.monotonic() - began_s > 0.8  # 20 frames take 1 s: a busy machine may be slower, not faster
    stamps = [messages.stamp_ns(message) for message in odometry]
    assert {later - earlier for earlier, later in pairwise(stamps)} == {PERIOD_NS}


def test_speed_0_runs_freely_and_services_still_answer(graph, start):
    sim = start(speed=0.0)
    began_ns = sim.task.time_ns
    until_ns = began_ns + 90_000_000_000
    graph.until(lambda: sim.task.time_ns > until_ns, "a longer simulated time than this wait", timeout_s=60)
    assert reset(graph) == "seed 1"


def test_speed_can_be_changed_while_running(graph, start):
    sim = start(speed=0.001)  # a step every 50 s
    before = sim.task.time_ns
    assert set_parameter(graph, "speed", 50.0).successful
    graph.until(lambda: sim.task.time_ns > before + PERIOD_NS, "the next steps")


def test_a_negative_speed_is_refused(graph, start):
    start()
    assert not set_parameter(graph, "speed", -1.0).successful


def test_the_clock_has_the_stamps_of_the_frames_and_never_goes_back(graph, start):
    sim = start(speed=20.0)
    clocks, odometry = graph.received("/clock", CLOCK), graph.received("odom", ODOMETRY)
    for _ in range(3):
        seen = len(clocks)
        graph.until(lambda seen=seen: len(clocks) > seen + 5, "clock messages")
        reset(graph)
    graph.until(lambda: messages.stamp_ns(odometry[-1]) == sim.task.time_ns, "the last frame")
    times = [message.clock.sec * 1_000_000_000 + message.clock.nanosec for message in clocks]
    assert all(later > earlier for earlier, later in pairwise(times))
    assert {messages.stamp_ns(message) for message in odometry[5:-5]} <= set(times)


def test_publishing_the_clock_is_optional(graph, start):
    start(publish_clock=False)
    assert graph.outside.count_publishers("/clock") == 0


def test_paused_nothing_moves_but_a_reset_publishes_its_first_frame(graph, start):
    sim = start(paused=True)
    odometry = graph.received("odom", ODOMETRY)
    before = sim.task.time_ns
    graph.spin(0.3)
    assert sim.task.time_ns == before
    reset(graph)
    graph.until(lambda: odometry, "the reset's frame")
    assert messages.stamp_ns(odometry[0]) == sim.task.time_ns > before
    pause(graph, False)
    graph.until(lambda: sim.task.time_ns > messages.stamp_ns(odometry[0]), "the next step")
    pause(graph, True)
    before = sim.task.time_ns
    graph.spin(0.3)
    assert sim.task.time_ns == before


# ---- episodes --------------------------------------------------------------------------------------------


def test_a_reset_begins_the_episode_of_its_seed_and_counts_it_up(graph, start):
    start(seed=41, paused=True)
    assert reset(graph) == "seed 42"  # 41 was begun at the start
    assert reset(graph, seed=5) == "seed 5"
    assert reset(graph) == "seed 6"
    episodes = graph.received("task/episode", STRING, LATCHED)  # a late subscriber receives it
    graph.until(lambda: episodes, "the episode")
    assert json.loads(episodes[-1].data) == {"task": "drive", "seed": 6, "number": 3}


def test_a_reset_can_begin_once_at_a_recorded_state(graph, start):
    sim = start(task="push", paused=True)

    def begun(seed):
        assert reset(graph, seed=seed) == f"seed {seed}"
        return sim.task.state().tolist()

    recorded = begun(5)
    assert set_parameter(graph, "state", recorded).successful
    assert begun(9) == recorded
    assert begun(9) != recorded

    assert set_parameter(graph, "state", recorded[:-1]).successful
    refused = graph.call("sim/reset", Trigger)
    assert not refused.success
    assert "parameter state: a state of" in refused.message
    assert reset(graph) == "seed 10"


def test_success_and_failure_are_published_with_each_frame(graph, start):
    sim = start(speed=20.0)
    success, failed = (
        graph.received("task/success", BOOL, LATCHED),
        graph.received("task/failed", BOOL, LATCHED),
    )
    graph.until(lambda: success and failed, "the first frame")
    assert not success[-1].data
    assert not failed[-1].data
    goal = sim.task.corridor.goal
    sim.task.scene.data.qpos[:2] = goal.x_m, goal.y_m
    graph.until(lambda: success[-1].data, "success")
    reset(graph)
    graph.until(lambda: not success[-1].data, "success false after the reset")


# ---- commands --------------------------------------------------------------------------------------------


def test_a_command_moves_the_robot_and_silence_stops_it(graph, start):
    start(speed=5.0)
    odometry = graph.received("odom", ODOMETRY)
    publish = graph.publisher("cmd_vel", TWIST)
    graph.until(publish.count, "the sim's subscription")

    def moving():
        publish(command(0.5))
        return odometry and odometry[-1].twist.twist.linear.x > 0.4

    graph.until(moving, "motion")
    graph.until(
        lambda: abs(odometry[-1].twist.twist.linear.x) < 0.02, "the stop after 0.5 s without a command"
    )


def test_a_non_finite_command_is_reported_and_time_continues(graph, start):
    sim = start(speed=5.0)
    publish = graph.publisher("cmd_vel", TWIST)
    graph.until(publish.count, "the sim's subscription")
    publish(command(math.nan))
    graph.until(lambda: status(graph, sim)[2]["refused commands"] == "1", "the refusal")
    before = sim.task.time_ns
    graph.until(lambda: sim.task.time_ns > before, "the next step")


# ---- start -----------------------------------------------------------------------------------------------


def test_an_unknown_task_is_refused_with_the_known_ones(graph):
    with pytest.raises(
        (managed.Refusal, ValueError), match="reach, push, pick_place, drive, carry, touch, press"
    ):
        graph.start(Sim, task="fly")


def test_cameras_are_published_when_enabled(graph, start):
    start(cameras=True, camera_width=32, camera_height=24, speed=20.0)
    pictures = graph.received("camera/image_raw", "sensor_msgs/msg/Image")
    graph.until(lambda: pictures, "a picture")
    assert (pictures[0].width, pictures[0].height, pictures[0].encoding) == (32, 24, "rgb8")


def test_a_camera_is_published_on_request(graph, start):
    start(task="reach", cameras=True, more_cameras="side", camera_width=32, camera_height=24, speed=20.0)
    pictures = graph.received("side_camera/image_raw", "sensor_msgs/msg/Image")
    graph.until(lambda: pictures, "a picture")
    assert (pictures[0].width, pictures[0].height) == (32, 24)
    with pytest.raises(managed.Refusal, match="there is no 'left'; the task has: overhead, wrist, side"):
        start(task="reach", cameras=True, more_cameras="left")


def test_without_graphics_cameras_are_refused_with_the_reason(graph, start, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "steam")
    with pytest.raises(managed.Refusal, match="parameter cameras: MUJOCO_GL is 'steam'"):
        start(cameras=True)


def test_without_gazebo_the_node_refuses_with_the_command_to_run(start, monkeypatch, tmp_path):
    monkeypatch.setenv("IL_ROS_GAZEBO", str(tmp_path))
    with pytest.raises(managed.Refusal, match=r"parameter simulator: there is no Gazebo at .* make gazebo"):
        start(simulator="gazebo_classic")


def test_a_second_simulator_is_told_by_both(graph, start):
    both = [start(), start(publish_clock=False)]
    for sim in both:
        graph.until(lambda sim=sim: "publishes on" in sim.status().message, "the status")
        assert sim.status().level == ERROR
        assert "/task/episode, too; two simulators contradict each other" in sim.status().message
