"""A recorder in a test: its bag must hold all that was published and decided during the recording."""

import itertools
from dataclasses import dataclass

from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import contract, messages
from il_ros.episodes import layout
from il_ros.episodes.bag.reader import open_bag
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.runtime.streams import matching_profile
from il_ros.records import proposal
from il_ros.records.decision import from_json

SOURCES = {"policy": "/policy_server/proposal", "expert": "/expert/proposal"}
NUMBERS = {
    "std_msgs/msg/Float64MultiArray": lambda message: tuple(message.data),
    "geometry_msgs/msg/TwistStamped": lambda message: (message.twist.linear.x,),
}
"""Values of a command, for the command types of these tests."""


@dataclass(frozen=True)
class Kept:
    """The contents of a bag: `info` of its episode, messages by topic (decoded), and its decisions."""

    info: layout.EpisodeInfo
    messages: dict[str, list]
    decisions: list
    proposed: dict[str, dict[int, tuple]]
    """Source -> tick -> its first proposal for the tick."""

    def stamps(self, topic):
        return [messages.stamp_ns(message) for message in self.messages[topic]]

    @property
    def account(self):
        """One row per decision: authority, the policy's and the expert's proposal, the command, version,
        uncertainty, and the number of generations since the first row.

        Proposals are joined by their stamps from their own topics; a missing one is None.
        """
        first = self.decisions[0].generation
        return [
            (
                each.authority,
                self.proposed["policy"].get(each.stamp_ns),
                self.proposed["expert"].get(each.stamp_ns),
                each.sent,
                each.version,
                each.uncertainty,
                each.generation - first,
            )
            for each in self.decisions
        ]


class Recorded:
    """A recorder node, and an independent copy of every topic that it records.

    The copy comes from the test itself for topics that it publishes, else from its own subscription.
    """

    def __init__(self, graph, contract_file, root, **parameters):
        self.graph, self.root = graph, root
        self._contract = contract.load(contract_file)
        given = {"contract": str(contract_file), "root": str(root), "min_free_bytes": 0, "pre_roll_s": 0.0}
        self.node = graph.start(Recorder, **{**given, **parameters})
        self._types = {topic: each.spec.type for topic, each in self.node._recorder.streams.items()}
        measured = {f"/{spec.topic}" for spec in self._contract.observations}
        others = {topic: kind for topic, kind in self._types.items() if topic not in measured}
        self._received = {topic: graph.received_raw(topic, kind) for topic, kind in others.items()}

    def start(self):
        """Begin an episode: all messages published from now on must be in its bag."""
        graph = self.graph
        for topic in self._types:
            graph.until(lambda topic=topic: self._in_line(topic), f"the recorder's {topic} in line")
        graph.settle()
        answer = graph.call("recorder/start", Trigger)
        assert answer.success, answer.message
        self.folder = self.root / answer.message
        graph.settle()
        self._begun = self._counts()

    def stop(self):
        """End the episode; return its bag's contents, checked to be all published messages."""
        graph = self.graph
        graph.settle()
        ended = self._counts()
        answer = graph.call("recorder/stop", Trigger)
        assert answer.success, answer.message
        graph.until(lambda: layout.load_info(self.folder).complete, "the episode on the disk")
        found = {topic: [] for topic in self._types}
        for item in open_bag(layout.bag_file(self.folder)).messages():
            found[item.topic].append(bytes(item.raw))
        for topic, kept in found.items():
            _require(topic, kept, self._witness(topic), self._begun[topic], ended[topic])
        decoded = {
            topic: [messages.decode(self._types[topic], raw) for raw in kept] for topic, kept in found.items()
        }
        info = layout.load_info(self.folder)
        decisions = [from_json(message.data) for message in decoded[info.decision_topic]]
        assert all(a.stamp_ns < b.stamp_ns for a, b in itertools.pairwise(decisions))
        self._require_commands(decisions, decoded)
        proposed = {name: self._proposed(decoded[topic]) for name, topic in SOURCES.items()}
        for each in decisions:
            for name, values in each.proposals.items():
                assert values in (None, proposed[name].get(each.stamp_ns, values))
        return Kept(info, decoded, decisions, proposed)

    def _require_commands(self, decisions, decoded):
        """Check that commands and decisions in the bag correspond one to one."""
        topics = [f"/{action.topic}" for action in self._contract.actions]
        vectors = [[NUMBERS[self._types[topic]](each) for each in decoded[topic]] for topic in topics]
        sent = [sum(parts, ()) for parts in zip(*vectors, strict=True)]
        assert sent == [each.sent for each in decisions if each.sent is not None]

    def _proposed(self, decoded):
        names, period_ns = self._contract.action_names, self._contract.period_ns
        found = {}
        for message in decoded:
            if message.points:
                read = proposal.from_message(message, names, period_ns)
                found.setdefault(read.stamp_ns, tuple(read.chunk[0].tolist()))
        return found

    def _witness(self, topic):
        return self.graph.sent[topic] if topic in self.graph.sent else self._received[topic]

    def _counts(self):
        return {topic: len(self._witness(topic)) for topic in self._types}

    def _in_line(self, topic):
        """Return whether the recorder's subscription is final: replacing it loses messages."""
        outside = self.graph.outside
        offers = [info.qos_profile for info in outside.get_publishers_info_by_topic(topic)]
        wanted = _words(matching_profile(offers, 1))
        subscribed = outside.get_subscriptions_info_by_topic(topic)
        return [_words(info.qos_profile) for info in subscribed if info.node_name == "recorder"] == [wanted]


def _words(profile: QoSProfile):
    return profile.reliability, profile.durability


def _require(topic, kept, published, begun, ended):
    """`kept` is a stretch of `published` that begins at `begun` at the latest and reaches `ended`."""
    for first in range(begun + 1):
        last = first + len(kept)
        if last >= ended and published[first:last] == kept:
            return
    missing = sum(raw not in kept for raw in published[begun:ended])
    raise AssertionError(
        f"{topic}: {ended - begun} published while it was recorded, {len(kept)} in the bag; {missing} "
        "of them missing, or not in their order"
    )
