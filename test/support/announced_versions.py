"""A policy server on a real graph with v1, and whoever announces or orders others."""

import json
import time

import made_versions as made
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.nodes.policy_server.node import PolicyServer

STRING = "std_msgs/msg/String"
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LONG_S = 60.0


class PromotionRig:
    """A policy server with v1, and whoever announces candidates."""

    def __init__(self, graph, tmp_path, first=made.RIGHT, **parameters):
        self.graph, self.folder, self.root = graph, tmp_path / "policies", tmp_path / "episodes"
        for number in (1, 2):
            made.episode(self.root, number)
        if first is not None:
            parameters["checkpoint"] = str(self.version(1, first))
        topic = f"{tmp_path.name}/checkpoint"  # the latched word of an earlier test's publisher may linger
        self._born_s = time.time()
        self._said = graph.received("policy_server/version", STRING, LATCHED)
        self.node = graph.start(
            PolicyServer, candidates=topic, **{"promotion__root": str(self.root), **parameters}
        )
        self._announce = graph.publisher(topic, STRING, LATCHED)

    @property
    def verdicts(self):
        """What this server said; the latched word of one that has just gone may still come."""
        told = [json.loads(message.data) for message in self._said]
        return [each for each in told if each["at_s"] >= self._born_s]

    def version(self, number, answer=made.RIGHT, **told):
        return made.version(self.folder, number, answer, held_out=["episode_000002"], **told)

    def announce(self, run):
        self._announce(messages.make(STRING, data=str(run)))

    def choose(self, run):
        self.node.set_parameters([Parameter("checkpoint", value=str(run))])

    def reload(self, run):
        """As a person does."""
        self.choose(run)
        answer = self.graph.call("policy_server/reload", Trigger)
        assert answer.success, answer.message

    def roll_back(self):
        """Return what is said of it."""
        answer = self.graph.call("policy_server/rollback", Trigger)
        assert answer.success, answer.message
        return answer.message

    def verdict(self, name):
        """Return the verdict on a version, once there is one."""

        def found():
            return next((each for each in self.verdicts if each["verdict"]["version"] == name), None)

        return self.graph.until(found, f"the verdict on {name}", LONG_S)

    def judged(self, number, answer=made.RIGHT):
        run = self.version(number, answer)
        self.announce(run)
        return self.verdict(run.name)["verdict"]
