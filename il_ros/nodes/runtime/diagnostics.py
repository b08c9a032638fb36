"""A node's periodic status on /diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)


@dataclass(frozen=True)
class Status:
    """A level (OK, WARN, ERROR, STALE), a message, and named values (numbers or text)."""

    level: bytes = OK
    message: str = "running"
    values: Mapping[str, Any] = field(default_factory=dict)


class Diagnostics:
    """Publishes the result of `provide()` as this node's entry in /diagnostics every `period_s`."""

    def __init__(self, node: Node, provide: Callable[[], Status], period_s: float = 1.0) -> None:
        self._node = node
        self._provide = provide
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # steady clock: /clock can stop or run fast
        self._timer = node.create_timer(period_s, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Publish the status now."""
        self._publisher.publish(to_message(self._node, self._provide()))


def to_message(node: Node, status: Status) -> DiagnosticArray:
    """Return `status` as the only entry of a DiagnosticArray, named after `node`."""
    message = DiagnosticArray()
    message.header.stamp = node.get_clock().now().to_msg()
    name = node.get_fully_qualified_name().lstrip("/")
    values = [KeyValue(key=str(key), value=_text(value)) for key, value in status.values.items()]
    message.status = [DiagnosticStatus(level=status.level, name=name, message=status.message, values=values)]
    return message


def _text(value: Any) -> str:
    """Return floats with four significant digits, other values as `str` gives them."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
