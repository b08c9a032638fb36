"""The simulator node in lockstep: every frame waits for its decision, and a seed determines the run."""

import math
from functools import partial

import numpy as np
import pytest
from sim_node import PERIOD_NS, command, pause, reset, started, status

from il_ros.core import messages
from il_ros.nodes.runtime.streams import message_class
from il_ros.records.decision import Decision, to_json
from il_ros.sim.tasks.task import RESET_PAUSE_NS

STRING, ARRAY = "std_msgs/msg/String", "std_msgs/msg/Float64MultiArray"
DECISIONS = "dagger_supervisor/decision"


@pytest.fixture
def start(graph):
    return partial(started, graph)


class Supervisor:
    """Answers the frames of a task's trigger stream with commands and a decision, or with part of it.

    `answer(k)` of the k-th frame since `begin_ns`: the command by topic, none for a decision alone; None for
    silence.
    """

    def __init__(self, graph, sim, answer):
        self.frames = {}
        self.begin_ns = 0
        self.command_first = True
        self._answer = answer
        self._trigger, self._type = list(sim.task.streams.items())[-1]
        kind = message_class(self._type)
        self._decide = graph.publisher(DECISIONS, STRING)
        self._commands = {topic: graph.publisher(topic, type_) for topic, type_ in sim.task.commands.items()}
        graph.outside.create_subscription(kind, self._trigger, self._on_frame, 10, raw=True)
        publish = (self._decide, *self._commands.values())
        graph.until(lambda: all(each.count() for each in publish), "the sim's subscriptions")
        graph.until(lambda: graph.outside.count_subscribers(self._trigger), "the client's subscription")

    def since_begin(self):
        """The frames from `begin_ns` on, without the CDR header (4 bytes) and the stamp (8)."""
        return [raw[12:] for stamp_ns, raw in self.frames.items() if stamp_ns >= self.begin_ns]

    def answer(self, stamp_ns, commands):
        text = to_json(Decision(stamp_ns, stamp_ns, "expert", "test", sent=(1.0,) if commands else None))
        if not self.command_first:
            self._decide(messages.make(STRING, data=text))
        for topic, message in commands.items():
            self._commands[topic](message)
        if self.command_first:
            self._decide(messages.make(STRING, data=text))

    def _on_frame(self, raw):
        stamp_ns = messages.raw_stamp_ns(self._type, raw)
        self.frames[stamp_ns] = raw
        if (commands := self._answer((stamp_ns - self.begin_ns) // PERIOD_NS)) is not None:
            self.answer(stamp_ns, commands)


def weaving(k):
    return {"cmd_vel": command(0.3, math.sin(k))}


def waving(k):
    arm = messages.make(ARRAY, data=np.array([0.5 * math.sin(k / 10), 0.3, 0.3, 0.3, 0.0, 0.0]))
    gripper = messages.make(ARRAY, data=np.array([0.02 + 0.02 * math.cos(k)]))
    return {"arm_position_controller/commands": arm, "gripper_position_controller/commands": gripper}


def drive_in_lockstep(graph, sim, client, steps):
    """Run `steps` answered frames of seed 7; return their odometry."""
    client.begin_ns = sim.task.time_ns + RESET_PAUSE_NS
    reset(graph, seed=7)
    graph.until(lambda: client.since_begin(), "the first frame")
    pause(graph, False)
    graph.until(lambda: len(client.since_begin()) > steps, "the frames")
    pause(graph, True)
    graph.until(lambda: sim._pacing.answered, "the last answer")  # no message may arrive in the next episode
    return client.since_begin()[: steps + 1]


@pytest.mark.parametrize(("task", "commands"), [("drive", weaving), ("push", waving)])
def test_lockstep_runs_of_one_seed_are_equal_byte_for_byte(graph, start, task, commands):
    sim = start(task=task, lockstep=True, speed=0.0, paused=True, lockstep_timeout_s=30.0)
    client = Supervisor(graph, sim, commands)
    first = drive_in_lockstep(graph, sim, client, steps=80)
    second = drive_in_lockstep(graph, sim, client, steps=80)
    client.command_first = False  # a decision may overtake its command; the step waits for both
    third = drive_in_lockstep(graph, sim, client, steps=80)
    assert first[0] != first[-1]
    assert first == second == third
    assert status(graph, sim)[2]["lockstep time-outs"] == "0"


def test_lockstep_does_not_advance_without_an_answer(graph, start):
    sim = start(lockstep=True, speed=0.0, lockstep_timeout_s=30.0)
    client = Supervisor(graph, sim, lambda k: None)
    before = sim.task.time_ns
    client.answer(before - PERIOD_NS, {})  # answers the previous frame
    graph.spin(0.2)
    assert sim.task.time_ns == before
    client.answer(before, {})
    graph.until(lambda: sim.task.time_ns == before + PERIOD_NS, "the step")
    graph.spin(0.2)
    assert sim.task.time_ns == before + PERIOD_NS


def test_unanswered_frames_are_counted_and_time_continues(graph, start):
    sim = start(lockstep=True, speed=0.0, lockstep_timeout_s=0.02)
    before = sim.task.time_ns
    graph.until(lambda: sim.task.time_ns >= before + 3 * PERIOD_NS, "three time-outs")
    level, _, values = status(graph, sim, "no answer to")
    assert level == b"\x01"
    assert int(values["lockstep time-outs"]) >= 3
