"""The supervisor's plottable numbers, on `~/plot/NAME`, after the command and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Float32, Int8

from il_ros.core.contract import Contract
from il_ros.records.decision import Decision
from il_ros.records.scalars import FLOAT32, INT8, scalars_of, values_of

LEAST_NS = 20_000_000
"""Time between two points of a plot, by the decisions' stamps: fast control loops are not slowed by plots."""
_CLASSES = {FLOAT32: Float32, INT8: Int8}
_DEPTH = QoSProfile(depth=200)  # a recorder that is late for some seconds still gets all of them


class PlotTopics:
    """Publishes the plottable numbers of decisions, at most every LEAST_NS; `limited` is the largest since the last."""

    def __init__(self, node: Node, contract: Contract, sources: Sequence[str]) -> None:
        self._node, self._sources = node, tuple(sources)
        self._publishers = {
            scalar.name: (
                node.create_publisher(_CLASSES[scalar.type], f"~/plot/{scalar.name}", _DEPTH),
                scalar.type,
            )
            for scalar in scalars_of(contract)
        }
        self._shown_ns: int | None = None
        self._limited = 0.0

    def is_due(self, decision: Decision) -> bool:
        """Note the limits that acted; return whether the numbers of this decision are to be shown."""
        self._limited = max(self._limited, len(decision.limited))
        # a new simulation's stamps begin again
        return self._shown_ns is None or not 0 <= decision.stamp_ns - self._shown_ns < LEAST_NS

    def show(self, decision: Decision, threshold: float | None) -> None:
        """Publish the numbers of a decision; `threshold`: of the uncertainty, None where the mode has none."""
        values = values_of(decision, self._sources, threshold)
        values["limited"] = max(values["limited"], min(127, self._limited))
        self._shown_ns, self._limited = decision.stamp_ns, 0.0
        for name, value in values.items():
            publisher, kind = self._publishers[name]
            message: Any = Float32(data=float(value)) if kind == FLOAT32 else Int8(data=int(value))
            publisher.publish(message)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher, _ in self._publishers.values():
            self._node.destroy_publisher(publisher)
