"""Rounds of unattended episodes: after so many the trainer trains, and the gate judges what it made."""

from __future__ import annotations

import json

from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.nodes.runtime.parameters import declare
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.waiting import WaitError, Waiting


class Rounds:
    """Declares `per_round` and `training_s`; without rounds it listens to nobody."""

    def __init__(self, node: Node, waiting: Waiting) -> None:
        self._node, self._waiting = node, waiting
        self._per_round = declare(
            node, "per_round", 0, "episodes after which the trainer trains and the policy server judges what "
            "it made, while all wait; 0: nobody waits", minimum=0, read_only=True,
        )  # fmt: skip
        self._longest_s = declare(
            node, "training_s", 600.0, "per_round: longest wait for that", unit="s", minimum=1.0
        )
        self._verdicts: dict[str, str] = {}  # by version: what became of it
        self._saved = ""  # the episode that the recorder saved last
        if self._per_round:
            self._train = node.create_client(Trigger, "trainer/train")
            node.create_subscription(String, "recorder/status", self._on_recorder, LATCHED)
            node.create_subscription(String, "policy_server/version", self._on_version, LATCHED)
            node.create_subscription(String, "trainer/progress", self._on_training, QoSProfile(depth=100))

    def over(self, done: int) -> bool:
        """Tell whether a round is over after so many episodes."""
        return bool(self._per_round and done % self._per_round == 0)

    async def improve(self, episode: str, timeout_s: float) -> str:
        """Have a policy trained, wait until it drives or was refused, and return what became of which.

        `episode`: the last one recorded, which the training must find complete; "": nothing is recorded.
        `timeout_s`: for that, and for the trainer's answer. Raises WaitError when one of them takes longer,
        the training fails, or nobody judges it.
        """
        if episode:
            what = f"{episode} saved (recorder/status)"
            await self._waiting.until(lambda: self._saved == episode, timeout_s, what)
        version = (await self._waiting.call(self._train, Trigger.Request(), timeout_s)).message
        what = f"training {version} and the verdict on it (do trainer and policy_server run?)"
        await self._waiting.until(lambda: version in self._verdicts, self._longest_s, what)
        verdict = self._verdicts[version]
        if verdict.startswith("failed"):
            raise WaitError(f"training {version} {verdict}")
        return f"{version} {verdict}"

    def _on_recorder(self, message: String) -> None:
        last = json.loads(message.data)["last"]
        self._saved = last["episode"] if last else ""
        self._waiting.notify()

    def _on_version(self, message: String) -> None:
        verdict = json.loads(message.data)["verdict"]
        self._verdicts[verdict["version"]] = f"{verdict['state']}: {verdict['reason']}"
        self._waiting.notify()

    def _on_training(self, message: String) -> None:
        event = json.loads(message.data)
        if event["event"] in ("failed", "cancelled"):
            version = event["job"].removeprefix("training ")
            self._verdicts[version] = f"failed: {event.get('reason', 'cancelled')}"
            self._waiting.notify()
