"""Publish the simulator's frames: clock, sensors, success, state and episode with one stamp.

`task/state` (Float64MultiArray): the stamp in nanoseconds, then the complete physics state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool, String

from il_ros.core import messages
from il_ros.core.specs import ARRAY
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.streams import message_class
from il_ros.sim.tasks.reading import Reading
from il_ros.sim.tasks.task import Task

OWN_CLOCK = "clock"
"""Topic of simulated time, relative: /clock without a namespace."""
DEPTH = 5  # frames that a slow subscriber may lag
CLOCK, BOOL, STRING = "rosgraph_msgs/msg/Clock", "std_msgs/msg/Bool", "std_msgs/msg/String"


class FramePublisher:
    """Publishes a task's frames on relative topics, optionally with `clock`: each namespace has its own time."""

    def __init__(self, node: Node, task: Task, *, clock: bool, reliable: bool) -> None:
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        sensors = QoSProfile(depth=DEPTH, reliability=reliability)
        self._task = task
        self._clock = node.create_publisher(Clock, OWN_CLOCK, QoSProfile(depth=DEPTH)) if clock else None
        self._sensors: dict[str, Any] = {
            topic: node.create_publisher(message_class(kind), topic, sensors)
            for topic, kind in task.streams.items()
        }
        self._state = None
        if task.restorable:
            self._state = node.create_publisher(message_class(ARRAY), "task/state", sensors)
        self._success = node.create_publisher(Bool, "task/success", LATCHED)
        self._failed = node.create_publisher(Bool, "task/failed", LATCHED)
        self._episode = node.create_publisher(String, "task/episode", LATCHED)

    def episode(self, seed: int, number: int) -> None:
        """Publish the seed and number of a new episode."""
        text = json.dumps({"task": self._task.name, "seed": seed, "number": number})
        self._episode.publish(messages.encode(STRING, messages.make(STRING, data=text)))

    def publish(self, readings: Sequence[Reading] | None = None) -> None:
        """Publish the current frame: the clock first, the task's trigger stream last.

        `readings`: the sensor readings, if the task does not know their stamps.
        """
        if self._clock is not None:
            stamp = messages.header(self._task.time_ns).stamp
            self._clock.publish(messages.encode(CLOCK, messages.make(CLOCK, clock=stamp)))
        self._success.publish(_bool(self._task.success))
        self._failed.publish(_bool(self._task.failed))
        if self._state is not None:
            numbers = np.array([self._task.time_ns, *self._task.state()], dtype=np.float64)
            self._state.publish(messages.encode(ARRAY, messages.make(ARRAY, data=numbers)))
        for reading in self._task.readings() if readings is None else readings:
            self._sensors[reading.topic].publish(messages.encode(reading.type, reading.message))


def _bool(value: bool) -> bytes:
    return messages.encode(BOOL, messages.make(BOOL, data=value))
