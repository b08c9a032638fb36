"""Watch the topics of the running graph for a few seconds; `il_ros.episodes.survey` judges what was seen.

A node of its own with an executor of its own, which lives as long as the call. It publishes nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.episodes.recording.options import RecordedStream
from il_ros.episodes.recording.stream import Stream
from il_ros.episodes.recording.usability import UsabilityCheck
from il_ros.episodes.survey.survey import GraphEndpoint, GraphSurvey, SeenTopic
from il_ros.nodes.runtime import process
from il_ros.nodes.runtime.publishers import CLOCK, UNKNOWN
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.streams import LARGE_TYPES, NO_EVENTS, matching_profile, message_class, ros_time

DISCOVERY_S = 2.0
"""Time in which nodes, topics and types are discovered."""
KEPT, KEPT_LARGE = 400, 2
"""Messages that are kept of a topic."""
DEPTH, DEPTH_LARGE = 200, 4
PARAMETERS_S = 2.0
NAME = "_survey"


class SurveyError(RuntimeError):
    """The graph cannot be looked at; the message says why."""


def look(
    seconds: float,
    wanted: Callable[[str, str], bool],
    *,
    contract: Contract | None = None,
    namespace: str = "",
    controllers: Callable[[str, str], bool] = lambda name, type_name: False,
) -> GraphSurvey:
    """Return what was seen within `seconds` after the discovery.

    `wanted` says of a topic's name and type whether its messages are received; a contract's topics are received anyway.
    `controllers`: of which topics the node behind is asked for its parameter `joints`. `namespace`: of relative topics.
    Time is that of /clock where one is published. Raises SurveyError when ROS cannot start, or /clock is silent.
    """
    process.set_dds_profile()
    context = rclpy.Context()
    try:
        rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rcl's errors have no common class
        raise SurveyError(f"ROS cannot start: {error}") from error
    try:
        node = Node(
            NAME,
            context=context,
            namespace=namespace,
            use_global_arguments=False,
            start_parameter_services=False,
        )
        executor = EventsExecutor(context=context)
        executor.add_node(node)
        try:
            return _Watch(node, executor, contract).survey(seconds, wanted, controllers)
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        context.try_shutdown()


class _Watch:
    """One look at the graph."""

    def __init__(self, node: Node, executor: Any, contract: Contract | None) -> None:
        self._node, self._executor, self._simulated = node, executor, False
        self._now_ns = ros_time(node)
        specs = () if contract is None else contract.observations
        self._names = {spec.topic: node.resolve_topic_name(spec.topic) for spec in specs}
        self._specs = {self._names[spec.topic]: [s for s in specs if s.topic == spec.topic] for spec in specs}
        self._contract_topics = {
            node.resolve_topic_name(topic): topic for spec in specs for topic in spec.topics
        }
        self._usability = None if contract is None else UsabilityCheck(contract)
        self._streams: dict[str, Stream] = {}
        self._samples: dict[str, deque[bytes]] = {}
        self._description: list[str] = []

    def survey(
        self, seconds: float, wanted: Callable[[str, str], bool], controllers: Callable[[str, str], bool]
    ) -> GraphSurvey:
        self._node.create_subscription(
            String, "robot_description", lambda message: self._description.append(message.data), LATCHED
        )
        self._spin(DISCOVERY_S)
        if self._node.count_publishers(self._node.resolve_topic_name(CLOCK)):
            self._simulated = True
            self._node.set_parameters([Parameter("use_sim_time", value=True)])
            self._spin(DISCOVERY_S / 2)
            if not self._now_ns():
                raise SurveyError(
                    "there is a publisher of /clock, but it publishes no time: is the simulator paused?"
                )
        types = self._types()
        for name, kinds in types.items():
            if name in self._contract_topics or wanted(name, kinds[0]):
                self._receive(name, kinds[0])
        self._spin(seconds)
        joints = {
            name: self._declared_joints(name) for name, kinds in types.items() if controllers(name, kinds[0])
        }
        now_ns = self._now_ns()
        topics = {
            name: self._seen(name, kinds, now_ns, joints.get(name, ())) for name, kinds in types.items()
        }
        return GraphSurvey(
            topics,
            seconds,
            self._description[-1] if self._description else "",
            {} if self._usability is None else self._usability.look(now_ns),
            self._simulated,
            {} if self._usability is None else self._usability.suspicions,
        )

    def _types(self) -> dict[str, list[str]]:
        return {name: kinds for name, kinds in self._node.get_topic_names_and_types() if kinds}

    def _spin(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(left_s)

    def _receive(self, name: str, type_name: str) -> None:
        """Subscribe; a type that is not installed here is not received."""
        try:
            kind = message_class(type_name)
            messages.definition(type_name)
        except ValueError:
            return
        large = type_name in LARGE_TYPES
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(name)]
        profile = matching_profile(offers, DEPTH_LARGE if large else DEPTH)
        specs = self._specs.get(name, [])
        spec = RecordedStream(
            name,
            type_name,
            required=bool(specs),
            max_age_s=min((each.max_age_s for each in specs), default=float("inf")),
            contract_topic=self._contract_topics.get(name, ""),
            by_arrival=bool(specs) and all(each.stamp == "arrival" for each in specs),
        )
        self._streams[name] = Stream(spec, specs, simulated=self._simulated)
        self._streams[name].begin_episode()
        self._samples[name] = deque(maxlen=KEPT_LARGE if large else KEPT)
        self._node.create_subscription(
            kind, name, partial(self._on_message, name), profile, raw=True, event_callbacks=NO_EVENTS
        )

    def _on_message(self, name: str, raw: bytes) -> None:
        now_ns, stream = self._now_ns(), self._streams[name]
        stream.observe(now_ns, raw, recording=True)
        self._samples[name].append(raw)
        if self._usability is not None and stream.spec.contract_topic:
            self._usability.receive(stream.spec.contract_topic, raw, now_ns)

    def _declared_joints(self, topic: str) -> tuple[str, ...]:
        """Return the parameter `joints` of the controller before a topic's last part, () if it has none."""
        client = self._node.create_client(GetParameters, f"{topic.rpartition('/')[0]}/get_parameters")
        try:
            if not client.service_is_ready():
                return ()
            future = client.call_async(GetParameters.Request(names=["joints"]))
            end_s = time.monotonic() + PARAMETERS_S
            while not future.done() and time.monotonic() < end_s:
                self._executor.spin_once(0.05)
            values = future.result().values if future.done() else []
            return tuple(values[0].string_array_value) if values else ()
        finally:
            self._node.destroy_client(client)

    def _seen(self, name: str, kinds: list[str], now_ns: int, joints: tuple[str, ...]) -> SeenTopic:
        stream = self._streams.get(name)
        return SeenTopic(
            name,
            tuple(kinds),
            tuple(_endpoint(info) for info in self._node.get_publishers_info_by_topic(name)),
            tuple(
                _endpoint(info)
                for info in self._node.get_subscriptions_info_by_topic(name)
                if info.node_name != NAME
            ),
            None if stream is None else stream.episode(now_ns),
            tuple(self._samples.get(name, ())),
            joints,
            "" if stream is None else stream.fault,
        )


def _endpoint(info: Any) -> GraphEndpoint:
    profile: QoSProfile = info.qos_profile
    name = "a node that was just discovered" if info.node_name == UNKNOWN else info.node_name
    return GraphEndpoint(
        f"{info.node_namespace.rstrip('/')}/{name}",
        profile.reliability == ReliabilityPolicy.RELIABLE,
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )


def resolver(namespace: str) -> Callable[[str], str]:
    """Return a function that gives a contract's topic its full name in a namespace."""
    prefix = "/" + namespace.strip("/") + "/" if namespace.strip("/") else "/"
    return lambda topic: topic if topic.startswith("/") else f"{prefix}{topic}"
