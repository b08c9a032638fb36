"""What on the ROS graph keeps a scenario from working, found before its nodes start."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence

import rclpy
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from il_ros.core import contract
from il_ros.nodes.runtime import process
from il_ros.scenarios.checks import CheckError, check_files, contracts_of
from il_ros.scenarios.graph import NodeSpec, Spec, full_name, secured

OPERATOR = "/session"
"""The enclave of the check, with SROS2: the operator's. See docs/security.md."""
DISCOVERY_S = 1.0
"""Time in which running nodes are discovered; a problem is found earlier."""
MOST_S = 4.0
"""Longest time of it while what `check` waits for is not finished: on a busy machine, discovery takes over a second."""
_LOOK_S = 0.1
_NAMES_S = 0.5
"""Time in which a discovered publisher's node becomes known by name."""


def check(
    specs: Sequence[Spec],
    pushed: str = "",
    finished: Callable[[], bool] = lambda: True,
    tell: Callable[[str], object] = lambda line: None,
) -> None:
    """Raise CheckError if the nodes' files or the graph are wrong. `pushed`: the surrounding namespace.

    The files are checked while nodes are discovered, for `DISCOVERY_S` and until `finished()`. `tell` gets a sentence
    about a check that takes longer than a second.
    """
    with _looking() as node:
        deadline_s = time.monotonic() + DISCOVERY_S
        latest_s = deadline_s - DISCOVERY_S + MOST_S
        check_files(specs, tell)
        while not any(_problems(node, specs, pushed)):
            now_s = time.monotonic()
            if now_s > latest_s or (now_s > deadline_s and finished()):
                return
            time.sleep(_LOOK_S)
        time.sleep(_NAMES_S)
        raise CheckError("\n".join(dict.fromkeys(_problems(node, specs, pushed))))


@contextlib.contextmanager
def _looking() -> Iterator[Node]:
    """Yield a node that discovers the graph."""
    process.set_dds_profile()
    context = rclpy.Context()
    arguments = ["--ros-args", "--enclave", OPERATOR] if secured() else []
    try:
        rclpy.init(args=arguments, context=context, signal_handler_options=SignalHandlerOptions.NO)
    except rclpy_implementation.RCLError as error:
        raise CheckError(
            f"ROS cannot start (with SROS2, the enclave {OPERATOR} is needed): {error}"
        ) from error
    try:
        node = Node(
            f"_check_{os.getpid()}",
            context=context,
            use_global_arguments=False,
            start_parameter_services=False,
        )
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


def _problems(node: Node, specs: Sequence[Spec], pushed: str) -> Iterator[str]:
    own = [spec for spec in specs if isinstance(spec, NodeSpec)]
    running = {f"{space.rstrip('/')}/{name}" for name, space in node.get_node_names_and_namespaces()}
    for spec in own:
        name = _resolved(spec, pushed, spec.name)
        if name in running:
            domain = os.environ.get("ROS_DOMAIN_ID", "0")
            yield (
                f"a node {name} is already running in ROS domain {domain}: end it, or choose another "
                "namespace or ROS_DOMAIN_ID"
            )
            return  # the other findings are its topics
    types = dict(node.get_topic_names_and_types())
    for contract_name, users in contracts_of(own).items():
        wanted = contract.find(contract_name)
        for stream in (*wanted.observations, *wanted.actions):
            topic = _resolved(users[0], pushed, stream.topic)
            for kind in types.get(topic, [stream.type]):
                if kind != stream.type:
                    yield f"{topic} has type {kind} on the graph; {contract_name} says {stream.type}"
        for spec in users:
            if spec.executable == "dagger_supervisor":
                for action in wanted.actions:
                    yield from _publishers(node, _resolved(spec, pushed, action.topic), "commands the robot")
    for spec in own:
        if spec.executable == "sim":
            yield from _publishers(node, _resolved(spec, pushed, "clock"), "publishes simulated time")


def _publishers(node: Node, topic: str, does: str) -> Iterator[str]:
    for info in node.get_publishers_info_by_topic(topic):
        name = f"{info.node_namespace.rstrip('/')}/{info.node_name}"
        yield f"{name} already {does} on {topic}: end it, or choose another namespace or ROS_DOMAIN_ID"


def _resolved(spec: NodeSpec, pushed: str, name: str) -> str:
    """Return the full name of a topic or node in the node's namespace."""
    return name if name.startswith("/") else full_name(name, spec.namespace, pushed)
