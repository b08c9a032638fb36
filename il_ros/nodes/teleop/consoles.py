"""The messages of a console or gamepad to the supervisor: running, stop requested, suspended, closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from il_ros.control.supervisor.estop import ConsoleState, console_text
from il_ros.core.tables import shown

BEAT_S = 0.25
"""Period at which a running console reports; the supervisor's default time-out is eight of them."""
SENT_S = 0.5
CONFIRM_S = 0.05
"""Time after `say_stop` until the service confirms it: the first of the two is named as the reason of the stop."""
SUPERVISOR = "dagger_supervisor"


class ConsoleLink:
    """Stops the robot by a key or button, and when the console is suspended, closed or lost.

    `watched`: the supervisor stops the robot when this node falls silent. Every method works without a
    supervisor, too. `tell(line)` shows the outcome of a release.
    """

    def __init__(self, node: Any, *, watched: bool, tell: Callable[[str], None] | None = None) -> None:
        self._node = node
        self._name = node.get_fully_qualified_name()
        self._tell = tell or node.get_logger().info
        self._publisher = node.create_publisher(String, f"{SUPERVISOR}/console", QoSProfile(depth=10))
        self._press = node.create_client(SetBool, f"{SUPERVISOR}/estop")
        self._reset = node.create_client(Trigger, f"{SUPERVISOR}/reset_estop")
        self._timer: Any = None
        if watched:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(BEAT_S, lambda: self._say(ConsoleState.HERE), clock=steady)

    def say_stop(self) -> None:
        """Latch the emergency stop by the topic, which names this console; a flood may delay it."""
        self._say(ConsoleState.STOP)

    def stop(self) -> None:
        """Latch the emergency stop: by the topic, and by the service in case others flood the topic."""
        self.say_stop()
        if self._press.service_is_ready():
            for pressed in (True, False):
                self._press.call_async(SetBool.Request(data=pressed))

    def release(self) -> None:
        """Reset the emergency stop, also one by the service `estop`; the supervisor may refuse, and says why."""
        if not self._reset.service_is_ready():
            self._tell("not released: there is no supervisor")
            return
        self._press.call_async(SetBool.Request(data=False))
        self._reset.call_async(Trigger.Request()).add_done_callback(self._on_reset)

    def suspend(self) -> None:
        """Stop the robot because this process is about to be suspended; return when the supervisor has it."""
        self._say(ConsoleState.SUSPENDED)
        self._publisher.wait_for_all_acked(Duration(seconds=SENT_S))

    def close(self, *, left: bool) -> None:
        """End the console; unless a person `left` it, the robot stops. Call it once, before the node is destroyed."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
            self._say(ConsoleState.LEFT if left else ConsoleState.CLOSED)
            self._publisher.wait_for_all_acked(Duration(seconds=SENT_S))

    def _say(self, state: ConsoleState) -> None:
        self._publisher.publish(String(data=console_text(self._name, state)))

    def _on_reset(self, done: Any) -> None:
        answer = done.result()
        self._tell(shown(answer.message if answer.success else f"not released: {answer.message}"))
