"""Rounds of unattended episodes: after each round the trainer trains and the result awaits promotion."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.nodes.runtime.parameters import declare
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.waiting import WaitError, Waiting
from il_ros.records import statuses


class Rounds:
    """Declares `per_round` and `training_s`; subscribes only if there are rounds."""

    def __init__(self, node: Node, waiting: Waiting) -> None:
        self._node, self._waiting = node, waiting
        self._per_round = declare(
            node, "per_round", 0, "episodes after which the trainer trains and the policy server examines "
            "the new policy, before the next episode; 0: no training", minimum=0, read_only=True,
        )  # fmt: skip
        self._longest_s = declare(
            node,
            "training_s",
            600.0,
            "per_round: longest wait for training and verdict",
            unit="s",
            minimum=1.0,
            read_only=True,
        )
        self._verdicts: dict[str, str] = {}  # by version
        self._failures: dict[str, str] = {}  # by version: why its training failed
        self._saved = ""  # the last saved episode
        if self._per_round:
            self._train = node.create_client(Trigger, "trainer/train")
            node.create_subscription(String, "recorder/status", self._on_recorder, LATCHED)
            node.create_subscription(String, "policy_server/version", self._on_version, LATCHED)
            node.create_subscription(String, "trainer/progress", self._on_training, QoSProfile(depth=100))

    def over(self, done: int) -> bool:
        """Return whether a round ends after `done` episodes."""
        return bool(self._per_round and done % self._per_round == 0)

    async def improve(self, episode: str, timeout_s: float) -> str:
        """Train a policy, wait for the verdict on it, and return a sentence with both.

        `episode`: the last one recorded, which must be saved before the training; "": nothing is recorded.
        `timeout_s`: limit for that and for the trainer's response. Raises WaitError on a time-out, a failed
        training, or a missing verdict.
        """
        if episode:
            what = f"{episode} saved (recorder/status)"
            await self._waiting.until(lambda: self._saved == episode, timeout_s, what)
        version = (await self._waiting.call(self._train, Trigger.Request(), timeout_s)).message
        what = f"training {version} and the verdict on it (do trainer and policy_server run?)"
        await self._waiting.until(
            lambda: version in self._verdicts or version in self._failures, self._longest_s, what
        )
        if version in self._failures:
            raise WaitError(f"training {version} failed: {self._failures[version]}")
        return f"{version} {self._verdicts[version]}"

    def _on_recorder(self, message: String) -> None:
        last = statuses.read(statuses.RECORDER, message.data).get("last") or {}
        self._saved = last.get("episode", "")
        self._waiting.notify()

    def _on_version(self, message: String) -> None:
        verdict = statuses.read(statuses.PROMOTION, message.data)["verdict"]
        self._verdicts[verdict["version"]] = f"{verdict['state']}: {verdict['reason']}"
        self._waiting.notify()

    def _on_training(self, message: String) -> None:
        event = statuses.read(statuses.TRAINING, message.data)
        if event["event"] in ("failed", "cancelled"):
            version = event.get("job", "").removeprefix("training ")
            self._failures[version] = event.get("reason", "cancelled")
            self._waiting.notify()
