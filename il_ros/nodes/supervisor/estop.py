"""The supervisor's emergency-stop inputs: a topic, a service, and the service that resets the latch."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from il_ros.control.supervisor.estop import EmergencyStop
from il_ros.core import messages
from il_ros.core.tables import shown
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.streams import RawSubscriptions

WEAKEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class EstopInputs:
    """The emergency-stop latch, which stays latched across activations, and its ROS inputs.

    `press(source, pressed)` updates the latch and sends the resulting command. `reset()` resets the latch and
    returns the reason when it cannot, else "".
    """

    def __init__(self, node: Node, press: Callable[[str, bool], None], reset: Callable[[], str]) -> None:
        self._node, self._on_press, self._reset = node, press, reset
        declare(
            node, "estop_timeout_s", 0.0, "longest silence of the topic ~/estop before the robot stops; 0: "
            "no limit", unit="s", minimum=0.0, read_only=True,
        )  # fmt: skip
        self.latch = EmergencyStop(value(node, "estop_timeout_s"))
        node.create_service(SetBool, "~/estop", self._on_service)
        node.create_service(Trigger, "~/reset_estop", self._on_reset)
        # two subscriptions: one with the QoS its publishers offer, one best effort until that is matched
        self._stream = RawSubscriptions(node, {"~/estop": "std_msgs/msg/Bool"}, self._on_topic)
        node.create_subscription(
            Bool, "~/estop", lambda raw: self._on_topic("~/estop", raw, 0), WEAKEST, raw=True
        )

    def _on_topic(self, _topic: str, raw: bytes, _arrival_ns: int) -> None:
        self._press("topic", messages.decode("std_msgs/msg/Bool", raw).data)

    def _on_service(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._press("service", request.data)
        response.success = True
        response.message = self.latch.latched or "not stopped"
        if self.latch.latched and not request.data:
            response.message += "; call ~/reset_estop to let the robot move again"
        return response

    def _press(self, source: str, pressed: bool) -> None:
        was = self.latch.latched
        self._on_press(source, pressed)
        if self.latch.latched and not was:
            self._node.get_logger().error(shown(self.latch.latched))

    def _on_reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refused = self._reset()
        response.success, response.message = not refused, refused or "the robot may move again"
        return response
