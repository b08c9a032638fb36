"""The supervisor's emergency-stop inputs: a topic, a service, the consoles, and the service that resets the latch.

The inputs have their own node, executor and thread: a flood of messages on any topic of the supervisor, which
its executor processes in order, does not delay a stop. The own executor takes one message per topic in turn, so
a flood on one input does not delay the others either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from il_ros.control.supervisor.estop import ConsoleState, EmergencyStop, read_console
from il_ros.core import messages
from il_ros.core.tables import shown
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.shell import Shell
from il_ros.nodes.runtime.streams import RawSubscriptions

WEAKEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
JOIN_S = 2.0


class EstopInputs:
    """The emergency-stop latch, which stays latched across activations, and its ROS inputs.

    `latched()` is called in the inputs' thread when the latch has closed. `reset()` resets the latch, in the
    thread of the node's executor, and returns the reason when it cannot, else "". Call `close` before the node is
    destroyed.
    """

    def __init__(self, node: Any, latched: Callable[[], None], reset: Callable[[], str]) -> None:
        self._node, self._latched, self._reset = node, latched, reset
        declare(
            node, "estop_timeout_s", 0.0, "longest silence of the topic ~/estop before the robot stops; 0: "
            "no limit", unit="s", minimum=0.0, read_only=True,
        )  # fmt: skip
        declare(
            node, "console_timeout_s", 2.0, "longest silence of a console that runs (session, teleop_keyboard) "
            "before the robot stops; 0: no limit", unit="s", minimum=0.0, read_only=True,
        )  # fmt: skip
        self.latch = EmergencyStop(
            value(node, "estop_timeout_s"), console_timeout_s=value(node, "console_timeout_s")
        )
        node.create_service(Trigger, "~/reset_estop", self._on_reset)
        self._own = _Inputs(node)
        self._own.create_service(SetBool, node.resolve_service_name("~/estop"), self._on_service)
        # two subscriptions: one with the QoS its publishers offer, one best effort until that is matched
        topic = node.resolve_topic_name("~/estop")
        self._stream = RawSubscriptions(self._own, {topic: "std_msgs/msg/Bool"}, self._on_topic)
        self._own.create_subscription(
            Bool, topic, lambda raw: self._on_topic(topic, raw, 0), WEAKEST, raw=True
        )
        console = node.resolve_topic_name("~/console")
        self._own.create_subscription(String, console, self._on_console, QoSProfile(depth=100))
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._own)
        self._thread = threading.Thread(target=self._spin, name="emergency stop", daemon=True)
        self._thread.start()

    def suspended(self) -> None:
        """Latch the stop, because the terminal of the nodes was suspended (Ctrl-Z)."""
        if self.latch.console("of the nodes", ConsoleState.SUSPENDED, time.monotonic_ns()):
            self._latched()

    def close(self) -> None:
        """End the thread; may be called twice."""
        if self._thread.is_alive():
            self._executor.shutdown(JOIN_S)
            self._thread.join(JOIN_S)
            self._own.destroy_node()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return

    def _on_topic(self, _topic: str, raw: bytes, _arrival_ns: int) -> None:
        self._press("topic", messages.decode("std_msgs/msg/Bool", raw).data)

    def _on_service(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._press("service", request.data)
        response.success = True
        response.message = self.latch.latched or "not stopped"
        if self.latch.latched and not request.data:
            response.message += "; call ~/reset_estop to let the robot move again"
        return response

    def _on_console(self, message: String) -> None:
        name, state = read_console(message.data)
        if self.latch.console(name, state, time.monotonic_ns()):
            self._latched()

    def _press(self, source: str, pressed: bool) -> None:
        if self.latch.update(source, pressed, time.monotonic_ns()):
            self._latched()

    def _on_reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refused = self._reset()
        response.success, response.message = not refused, refused or "the robot may move again"
        return response


class _Inputs(Shell, Node):
    """The node of the inputs; errors of its callbacks are reported by the supervisor."""

    def __init__(self, owner: Any) -> None:
        super().__init__(
            f"{owner.get_name()}_estop",
            namespace=owner.get_namespace(),
            context=owner.context,
            use_global_arguments=False,  # `__node:=` would rename it
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._owner = owner

    def report_error(self, where: str, error: BaseException) -> None:
        """Report an error of a callback in the name of the supervisor."""
        self._owner.report_error(shown(where), error)
