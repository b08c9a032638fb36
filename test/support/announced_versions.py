"""A policy server with v1 on a real graph; announces and reloads other versions."""

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
    """A policy server with v1, and a publisher of candidates."""

    def __init__(self, graph, tmp_path, first=made.RIGHT, **parameters):
        self.graph, self.folder, self.root = graph, tmp_path / "policies", tmp_path / "episodes"
        for number in (1, 2):
            made.episode(self.root, number)
        if first is not None:
            parameters["checkpoint"] = str(self.version(1, first))
        topic = f"{tmp_path.name}/checkpoint"  # unique: the latched message of an earlier test may remain
        self._born_s = time.time()
        self._verdicts = graph.received("policy_server/version", STRING, LATCHED)
        self.node = graph.start(
            PolicyServer,
            candidates=topic,
            versions=str(self.folder),
            **{"promotion__root": str(self.root), **parameters},
        )
        self._announce = graph.publisher(topic, STRING, LATCHED)

    @property
    def verdicts(self):
        """This server's verdicts, without the latched message of an earlier server."""
        records = [json.loads(message.data) for message in self._verdicts]
        return [each for each in records if each["at_s"] >= self._born_s]

    def version(self, number, answer=made.RIGHT, **changes):
        return made.version(self.folder, number, answer, held_out=["episode_000002"], **changes)

    def announce(self, run):
        self._announce(messages.make(STRING, data=str(run)))

    def choose(self, run):
        self.node.set_parameters([Parameter("checkpoint", value=str(run))])

    def reload(self, run):
        """Call ~/reload for a version."""
        self.choose(run)
        answer = self.graph.call("policy_server/reload", Trigger)
        assert answer.success, answer.message

    def roll_back(self):
        """Call ~/rollback; return its message."""
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
