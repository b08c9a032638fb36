"""A real ROS graph in one process: nodes, an executor, and waiting with a time-out instead of sleeping."""

import gc
import time

import rclpy
from rclpy.parameter import Parameter
from rclpy.task import Future

from il_ros.core import messages
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.streams import message_class

TIMEOUT_S = 120.0  # for a very busy machine; waits end as soon as their condition holds
RETRY_S = 3.0  # a response may be lost until the service has discovered the client
AGAIN_S = 0.2  # a message may be lost until its subscriber is discovered; more often would overrun its queue
DEPTH = 1000  # messages queued for a slow test


class Graph:
    """Nodes spun by the test itself, so no callback runs between two waits."""

    def __init__(self):
        rclpy.init()
        self.executor = managed.EventsExecutor()
        self._started = []
        self.sent = {}
        """The bytes of the messages published by the test, by topic."""
        self.outside = self._add(rclpy.create_node("outside"))
        self._never = Future()
        self._bounced = None

    def start(self, node_class, **parameters):
        """Construct, add and start a node; parameters by name ('.' as '__')."""
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        node = self._add(node_class(parameter_overrides=overrides))
        node.start()
        return node

    def spin(self, seconds):
        """Spin for a while; only to show that something does NOT happen."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self.executor.spin_until_future_complete(self._never, left_s)

    def until(self, condition, what="the condition", timeout_s=TIMEOUT_S, again=None, every_s=AGAIN_S):
        """Spin until `condition()` is true; return what it returned.

        `again()` is called at once and then every `every_s`. A condition that published two messages itself would
        overrun a queue: one event is handled per look, so that the subscriber would see every second message.
        """
        begun_s, times = time.monotonic(), 0
        while not (result := condition()):
            passed_s = time.monotonic() - begun_s
            assert passed_s < timeout_s, f"{what}: not within {timeout_s} s"
            if again is not None and passed_s >= times * every_s:
                times += 1
                again()
            self.executor.spin_once(0.02)
        return result

    def settle(self, hops=8):
        """Spin until all published messages, and those that follow over `hops` callbacks, are handled."""
        if self._bounced is None:
            self._bounce = self.publisher("outside/bounce", "std_msgs/msg/Empty")
            self._bounced = self.received("outside/bounce", "std_msgs/msg/Empty")
        for _ in range(hops):  # the executor handles events in their order
            count = len(self._bounced)
            self._bounce(messages.make("std_msgs/msg/Empty"))
            self.until(lambda count=count: len(self._bounced) > count, "its turn")
        self._bounced.clear()

    def publisher(self, topic, type_name, qos=10):
        """Return what publishes rosbags messages when it is called, from outside."""
        publisher = self.outside.create_publisher(message_class(type_name), topic, qos)
        return _Publisher(publisher, type_name, self.sent)

    def in_line(self, *publishers):
        """Wait until adaptive subscriptions have the QoS of these publishers.

        Replacing a subscription loses messages; afterwards none is lost.
        """

        def settled(publish):
            profiles = [
                info.qos_profile for info in self.outside.get_subscriptions_info_by_topic(publish.topic)
            ]
            same = all(
                (each.reliability, each.durability) == (publish.qos.reliability, publish.qos.durability)
                for each in profiles
            )
            return profiles and same and publish.count() == len(profiles)

        for publish in publishers:
            self.until(lambda publish=publish: settled(publish), f"subscriptions to {publish.topic} in line")

    def received(self, topic, type_name, qos=DEPTH):
        """Return a list that collects the decoded messages of a topic."""
        return self._received(topic, type_name, qos, lambda raw: messages.decode(type_name, raw))

    def received_raw(self, topic, type_name, qos=DEPTH):
        """Return a list that collects the raw messages of a topic."""
        return self._received(topic, type_name, qos, bytes)

    def _received(self, topic, type_name, qos, read):
        found = []
        kind = message_class(type_name)
        self.outside.create_subscription(kind, topic, lambda raw: found.append(read(raw)), qos, raw=True)
        return found

    def call(self, service, service_type, **request):
        """Call a service of this process's nodes, which need no discovery; return its response."""
        client = self.outside.create_client(service_type, service)
        self.until(client.service_is_ready, f"service {service}")
        future = client.call_async(service_type.Request(**request))
        self.until(future.done, f"answer of {service}")
        self.outside.destroy_client(client)
        return future.result()

    def ask(self, service, service_type, **request):
        """Call a service of another process, repeatedly until it responds; return the first response."""
        client = self.outside.create_client(service_type, service)
        self.until(client.service_is_ready, f"service {service}")
        futures = []
        future = self.until(
            lambda: next((each for each in futures if each.done()), None),
            f"answer of {service}",
            again=lambda: futures.append(client.call_async(service_type.Request(**request))),
            every_s=RETRY_S,
        )
        self.outside.destroy_client(client)
        return future.result()

    def close(self):
        """End all nodes, and their DDS participant with the last reference to any of them.

        A participant that stays is visible to the next test: with half its endpoints gone, services are never
        ready.
        """
        for node in reversed(self._started):
            if hasattr(node, "stop"):
                node.stop()
            node.destroy_node()
        self._started.clear()
        self.executor.shutdown()
        rclpy.shutdown()
        gc.collect()

    def _add(self, node):
        self.executor.add_node(node)
        self._started.append(node)
        return node


class _Publisher:
    """Publishes a message when it is called. `topic`, `qos`: what it was made with; `count`: of subscriptions."""

    def __init__(self, publisher, type_name, sent):
        self._publisher, self._type_name, self._sent = publisher, type_name, sent
        self.topic, self.qos = publisher.topic_name, publisher.qos_profile
        self.count = publisher.get_subscription_count

    def __call__(self, message):
        raw = messages.encode(self._type_name, message)
        self._sent.setdefault(self.topic, []).append(raw)
        self._publisher.publish(raw)
