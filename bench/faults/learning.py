"""A trainer of the campaign's own, which learns another task from demonstrations made here."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fault import NotAsDeclaredError
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger
from world import World

from il_ros.core import contract
from il_ros.envs.write_episode import write_episode
from il_ros.policies import checkpoint
from il_ros.policies.versions import CHECKPOINT, versions

LEARNER = "learner"
TASK = """
name: learnt
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, limits: {lower: -1, upper: 1, speed: 1000}}
"""
"""Its contract: the policy in control is of another one, and cannot become this one's."""
TRAINED_S = 120.0
ASK_AGAIN_S = 3.0
BEGUN = "begun"
STEPS = 60


class Learner:
    """The node `learner`; it announces its versions to nobody."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.events: list[dict[str, Any]] = []
        progress = f"{LEARNER}/progress"
        self._subscription = world.node.create_subscription(
            String, progress, self._on_progress, QoSProfile(depth=100)
        )

    def _on_progress(self, message: String) -> None:
        self.events.append(json.loads(message.data))

    def train(self) -> dict[str, Any]:
        """Train once; return how it ended: the event `announced`, `failed` or `cancelled`, or a refusal as `failed`."""
        count = len(self.events)
        refusal = self.begin()
        if refusal:
            return {"event": "failed", "reason": refusal}
        return self.end(count)

    def end(self, since: int) -> dict[str, Any]:
        """Wait for the end of the training that began after the first `since` events, and return it."""
        ends = ("announced", "failed", "cancelled")
        found = self._world.until(lambda: self.event(ends, since), "the end of a training", TRAINED_S)
        assert isinstance(found, dict)
        return found

    def process(self) -> int:
        """Return the number of the training's process, once there is one."""
        own = Path(f"/proc/{self._world.processes[LEARNER].pid}/task")

        def child() -> int:
            numbers = "".join(each.read_text() for each in own.glob("*/children")).split()
            return int(numbers[0]) if numbers else 0

        return int(self._world.until(child, "the training's process"))

    def begin(self) -> str:
        """Request a training until it begins, because an answer may be lost; return why it was refused, or ""."""
        count, answers = len(self.events), []
        client = self._world.node.create_client(Trigger, f"{LEARNER}/train")
        called = 0.0

        def answered() -> str | None:
            nonlocal called
            if self.event(("began",), count):
                return BEGUN
            if client.service_is_ready() and time.monotonic() - called > ASK_AGAIN_S:
                called = time.monotonic()
                answers.append(client.call_async(Trigger.Request()))
            results = [each.result() for each in answers if each.done()]
            return next(
                (each.message for each in results if not each.success and "busy" not in each.message), None
            )

        try:
            found = self._world.until(answered, "a training begins")
            return "" if found == BEGUN else str(found)
        finally:
            self._world.node.destroy_client(client)

    def event(self, names: tuple[str, ...], since: int = 0) -> dict[str, Any] | None:
        """Return the first event of these names after the first `since`."""
        return next((each for each in self.events[since:] if each.get("event") in names), None)

    def close(self) -> None:
        self._world.node.destroy_subscription(self._subscription)


@contextlib.contextmanager
def learner(world: World) -> Iterator[Learner]:
    """Start the trainer, which keeps running for the next fault."""
    shown = world.folder / "demonstrations"
    if not shown.exists():
        turn = np.linspace(0.0, 2 * np.pi, STEPS)
        joints = 0.5 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
        for _ in range(2):
            write_episode(
                shown, contract.parse(TASK, "learnt.yaml"), {"joints": joints}, joints / 2, success=True
            )
    made = Learner(world)
    try:
        if LEARNER not in world.processes or world.processes[LEARNER].poll() is not None:
            begin(world)
        progress = f"{LEARNER}/progress"
        world.until(lambda: world.node.count_publishers(progress) == 1, "the learner")
        yield made
    finally:
        made.close()


def begin(world: World) -> None:
    world.begin(
        LEARNER,
        "trainer",
        root=str(world.folder / "demonstrations"),
        checkpoint=str(world.learnt),
        contract="",  # the recorded one
        watch=False,
        background=False,  # else it waits for idle time, which a busy machine may not have
        train_after=200,
        recipe="bc_mlp",
        changes=["epochs=2", "policy.hidden=[8]"],
    )


def good_versions(world: World) -> list[str]:
    """Return the finished versions that load."""
    return [run.name for run in versions(world.learnt) if checkpoint.load(run / CHECKPOINT)]


def require_whole(world: World) -> None:
    """Raise NotAsDeclaredError unless each version loads: none is half."""
    try:
        good_versions(world)
    except checkpoint.CheckpointError as error:
        raise NotAsDeclaredError(f"a version is not whole: {error}") from error
