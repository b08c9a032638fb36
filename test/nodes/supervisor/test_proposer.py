"""One proposal per tick with its stamp, or a reason."""

import itertools
import re
import time

import numpy as np
import pytest
from rcl_interfaces.msg import Log

from il_ros.core import contract, messages
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN
from il_ros.nodes.runtime.proposer import Proposer, declare_tick
from il_ros.records import proposal
from il_ros.records.proposal import Answer

JOINT_STATE, IMAGE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
MS = 1_000_000
TEXT = """
name: two_joints
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position], names: [a, b],
           unit: rad, max_age_s: 0.1}
  goal: {topic: goal, type: geometry_msgs/msg/PoseStamped, fields: [position], unit: m, max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, safe: hold, limits: {speed: 1.0}}
"""
CONTRACT = contract.parse(TEXT, "test")


class Source(managed.PlainNode):
    """Proposes the observed joints times two, or `.answers`."""

    def __init__(self, **kwargs):
        super().__init__("expert", **kwargs)
        declare_tick(self)
        self.seen = []
        self.answer = lambda observation: np.tile(observation.values["joints"], (2, 1))
        self.proposer = Proposer(self, CONTRACT, "expert", self._answer)

    def status(self):
        return self.proposer.status()

    def _answer(self, observation):
        self.seen.append(observation)
        chunk = self.answer(observation)
        return None if chunk is None else Answer(chunk, "v3", 4, 0.5)


class Robot:
    """Publishes joints (the trigger) and goal; stores the proposals."""

    def __init__(self, graph):
        self._joints = graph.publisher("joint_states", JOINT_STATE)
        self._goal = graph.publisher("goal", "geometry_msgs/msg/PoseStamped")
        self.proposals = graph.received("expert/proposal", proposal.TYPE)
        graph.in_line(self._joints, self._goal)

    def joints(self, stamp_ns, a=0.1, b=0.2, names=("b", "a")):
        self._joints(
            messages.make(
                JOINT_STATE, header=messages.header(stamp_ns), name=list(names), position=np.array([b, a])
            )
        )

    def goal(self, stamp_ns):
        self._goal(messages.make("geometry_msgs/msg/PoseStamped", header=messages.header(stamp_ns)))


def test_one_wrong_stamp_costs_no_other_stream_its_messages(graph):
    """A goal is valid for 0.1 s; one state between is stamped 1 ns, another a day ahead of the clock."""
    source, robot = graph.start(Source), Robot(graph)
    warnings = []
    graph.outside.create_subscription(Log, "/rosout", lambda message: warnings.append(message.msg), 100)
    now_ns = graph.outside.get_clock().now().nanoseconds
    robot.goal(now_ns)
    robot.joints(now_ns)
    robot.joints(1)
    robot.joints(now_ns + 50 * MS)
    robot.joints(now_ns + 86_400 * 1000 * MS)
    robot.joints(now_ns + 100 * MS)
    graph.until(lambda: len(robot.proposals) == 3, "three proposals")
    assert [each.tick_ns - now_ns for each in source.seen] == [0, 50 * MS, 100 * MS]
    assert source.status().values["ticks refused by stamp"] == 2
    told = "a message of 'joint_states' starts no tick: stamped "
    graph.until(lambda: any(text.startswith(told) for text in warnings), "the warning")


def test_each_tick_of_the_trigger_gets_one_proposal_with_its_stamp(graph):
    source, robot = graph.start(Source), Robot(graph)
    for stamp_ns in (1000 * MS, 1050 * MS, 1100 * MS):
        robot.goal(stamp_ns)
        robot.joints(stamp_ns)
    graph.until(lambda: len(robot.proposals) == 3, "three proposals")
    got = [
        proposal.from_message(message, CONTRACT.action_names, CONTRACT.period_ns)
        for message in robot.proposals
    ]
    assert [one.stamp_ns for one in got] == [1000 * MS, 1050 * MS, 1100 * MS]
    np.testing.assert_array_equal(got[0].chunk, [[0.1, 0.2], [0.1, 0.2]])
    assert (got[0].source, got[0].version, got[0].generation, got[0].uncertainty) == ("expert", "v3", 4, 0.5)
    status = source.status()
    assert (status.level, status.values["ticks answered"]) == (OK, 3)
    assert status.values["inference p99 [ms]"] >= 0


def test_a_source_that_stops_proposing_releases_once_and_so_does_an_ending_node(graph):
    source, robot = graph.start(Source), Robot(graph)
    propose, silent = source.answer, lambda observation: None
    for tick, answer in enumerate((silent, propose, silent, silent, propose)):
        source.answer = answer
        robot.goal((1000 + 50 * tick) * MS)
        robot.joints((1000 + 50 * tick) * MS)
        graph.until(lambda count=tick + 1: len(source.seen) == count, f"tick {tick}")
    source.proposer.close()
    graph.until(lambda: len(robot.proposals) == 4, "the releasing proposals")
    assert [len(message.points) for message in robot.proposals] == [2, 0, 2, 0]
    last = proposal.from_message(robot.proposals[-1], CONTRACT.action_names, CONTRACT.period_ns)
    assert last.releases
    assert last.stamp_ns >= 1200 * MS


def test_a_trigger_faster_than_the_rate_is_thinned_out(graph):
    source, robot = graph.start(Source), Robot(graph)
    robot.goal(1000 * MS)
    for stamp_ms in range(1000, 1101, 10):
        robot.joints(stamp_ms * MS)
    graph.until(lambda: len(source.seen) == 3, "three ticks")
    assert [observation.tick_ns for observation in source.seen] == [1000 * MS, 1050 * MS, 1100 * MS]
    graph.spin(0.1)
    assert len(robot.proposals) == 3


def test_without_an_observation_nothing_is_proposed_and_the_reason_is_given(graph):
    source, robot = graph.start(Source), Robot(graph)
    robot.joints(1000 * MS)
    graph.until(lambda: "ticks without observation" in source.status().values, "a tick")
    status = source.status()
    assert status.level == WARN
    assert "goal (goal): nothing received" in status.message
    assert source.seen == []
    assert robot.proposals == []


def test_messages_stamped_far_ahead_are_counted_in_the_status(graph):
    source, robot = graph.start(Source), Robot(graph)
    for _ in range(3):
        robot.goal(source.get_clock().now().nanoseconds + 37_000 * MS)
    key = "goal stamped more than 1 s ahead"
    graph.until(lambda: source.status().values.get(key) == 3, "three of them")


def test_a_stale_stream_stops_proposals_until_it_is_fresh(graph):
    source, robot = graph.start(Source), Robot(graph)
    robot.goal(1000 * MS)
    robot.joints(1150 * MS)
    graph.until(lambda: "stale, 0.150 s old" in source.status().message, "the reason")
    robot.goal(1200 * MS)
    robot.joints(1200 * MS)
    graph.until(lambda: robot.proposals, "a proposal")
    assert source.status().level == OK


def test_a_message_without_a_joint_gives_no_observation_and_names_the_joint(graph):
    source, robot = graph.start(Source), Robot(graph)
    robot.goal(1000 * MS)
    robot.joints(1000 * MS, names=("b", "c"))
    graph.until(lambda: source.status().values.get("ticks without observation"), "a tick")
    assert "'a'" in source.status().message


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_non_finite_answer_is_never_proposed(graph, bad):
    source, robot = graph.start(Source), Robot(graph)
    source.answer = lambda _: np.array([[0.0, 0.0], [0.0, bad]])
    robot.goal(1000 * MS)
    robot.joints(1000 * MS)
    graph.until(lambda: source.status().level == ERROR, "the error")
    assert source.status().message == f"not proposed: arm/b is {bad} at step 1 of the chunk"
    assert robot.proposals == []


def test_an_answer_of_none_is_silence(graph):
    source, robot = graph.start(Source), Robot(graph)
    source.answer = lambda _: None
    robot.goal(1000 * MS)
    robot.joints(1000 * MS)
    graph.until(lambda: source.status().values.get("ticks silent by choice"), "a silent tick")
    assert robot.proposals == []


def test_a_source_that_raises_is_reported_and_queried_again(graph):
    source, robot = graph.start(Source), Robot(graph)
    keep = source.answer
    source.answer = lambda _: 1 / 0
    robot.goal(1000 * MS)
    robot.joints(1000 * MS)
    graph.until(lambda: len(source.seen) == 1, "the failing tick")
    source.answer = keep
    robot.joints(1050 * MS)
    graph.until(lambda: len(robot.proposals) == 1, "a proposal")


def test_a_silent_trigger_is_named(graph):
    source = graph.start(Source)
    graph.until(lambda: "no tick for 1 s: nothing on 'joint_states'" in source.status().message, "the reason")
    assert source.status().level == WARN


def test_without_a_trigger_a_timer_ticks_at_the_rate(graph):
    source = graph.start(Source, tick="timer")
    graph.until(lambda: source.status().values.get("ticks without observation", 0) >= 3, "three ticks")


def test_a_second_source_of_the_same_name_is_told(graph):
    first, second = graph.start(Source), graph.start(Source)
    for source in (first, second):
        graph.until(lambda source=source: source.status().level == ERROR, "the status")
        assert "publishes on /expert/proposal, too; two sources of one name" in source.status().message
    second.proposer.close()
    graph.until(lambda: first.status().level == WARN, "the end of the second")


def test_closed_it_is_silent(graph):
    source, robot = graph.start(Source), Robot(graph)
    source.proposer.close()
    robot.goal(1000 * MS)
    robot.joints(1000 * MS)
    graph.spin(0.2)
    assert source.seen == []


def warnings_of(graph):
    """Return a list that collects the warnings in the nodes' logs."""
    found = []
    graph.outside.create_subscription(
        Log, "/rosout", lambda entry: found.append(entry.msg) if entry.level == 30 else None, 100
    )
    return found


def test_the_first_second_after_a_start_is_quiet(graph):
    warned = warnings_of(graph)
    source, robot = graph.start(Source), Robot(graph)
    began_s = time.monotonic()
    stamps_ms = itertools.count(1000, 50)
    while time.monotonic() - began_s < 0.8:  # joints without a goal, as while the goal's node starts
        robot.joints(next(stamps_ms) * MS)
        graph.spin(0.05)
    assert "goal (goal): nothing received" in source.status().message
    assert warned == []

    def told():
        robot.joints(next(stamps_ms) * MS)
        return warned

    graph.until(told, "the warning")
    assert warned[0].startswith("no observation: goal (goal): nothing received")


def test_an_overloaded_process_is_not_told_to_change_its_stamps(graph):
    source, robot = graph.start(Source), Robot(graph)
    graph.spin(0.5)
    robot.goal(1100 * MS)
    graph.settle()
    robot.joints(1050 * MS)
    graph.until(lambda: "stamp: arrival" in source.status().message, "a goal after the tick")
    time.sleep(0.6)  # no callback runs, as in a process that gets no processor time
    robot.joints(1100 * MS)
    graph.until(lambda: source.seen, "an observation")
    robot.goal(1400 * MS)
    robot.joints(1350 * MS)
    graph.until(lambda: "overloaded" in source.status().message, "the cause")
    assert re.match(r"overloaded: this process handles messages 0\.[4-9]\d s late", source.status().message)


def test_a_missing_stream_is_named_also_while_the_process_is_overloaded(graph):
    source, robot = graph.start(Source), Robot(graph)
    graph.spin(0.5)
    time.sleep(0.6)
    robot.joints(1050 * MS)
    graph.until(lambda: "nothing received" in source.status().message, "the missing stream")


CAMERA = contract.parse(
    """
name: camera_and_joints
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position], names: [a, b],
           unit: rad, max_age_s: 0.1}
  camera: {topic: image, type: sensor_msgs/msg/Image, max_age_s: 0.1, image: {width: 2, height: 2}}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, safe: hold, limits: {speed: 1.0}}
""",
    "test",
)


class Seeing(managed.PlainNode):
    """Proposes the observed joints, with or without a picture."""

    def __init__(self, **kwargs):
        super().__init__("expert", **kwargs)
        declare_tick(self)
        self.seen = []
        self.proposer = Proposer(self, CAMERA, "expert", self._answer, optional=("camera",))

    def status(self):
        return self.proposer.status()

    def _answer(self, observation):
        self.seen.append(observation)
        return Answer(observation.values["joints"][None])


def test_an_optional_camera_that_is_frozen_is_missing_and_stops_nothing(graph):
    source = graph.start(Seeing, frozen_s=0.1)
    joints, images = graph.publisher("joint_states", JOINT_STATE), graph.publisher("image", IMAGE)
    proposals = graph.received("expert/proposal", proposal.TYPE)
    graph.in_line(joints, images)
    for tick, grey in enumerate((1, 2, 2, 2, 2, 3)):  # the picture of tick 1 is 0.15 s old at tick 4
        stamp_ns = (1000 + 50 * tick) * MS
        pixels = np.full(12, grey, np.uint8)
        head = messages.header(stamp_ns)
        images(messages.make(IMAGE, header=head, height=2, width=2, encoding="rgb8", step=6, data=pixels))
        joints(messages.make(JOINT_STATE, header=head, name=["a", "b"], position=np.array([0.1, 0.2])))
        graph.until(lambda count=tick + 1: len(proposals) == count, "the proposal")
        if tick == 4:
            status = source.status()
            assert (status.level, status.values["ticks without camera"]) == (WARN, 1)
            frozen = "camera (image): frozen, the same frame for 0.15 s"
            assert status.message == f"proposing without optional observations: {frozen}"
    got = [proposal.from_message(each, CAMERA.action_names, CAMERA.period_ns) for each in proposals]
    assert [each.missing for each in got] == [(), (), (), (), ("camera",), ()]
    assert ["camera" in each.values for each in source.seen] == [True, True, True, True, False, True]
