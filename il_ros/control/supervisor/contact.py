"""The contact stop: thresholds on a measured wrench or on joint efforts, as the contract declares them."""

from __future__ import annotations

import math

from il_ros.core.contract import Contract
from il_ros.core.safety import SAFE
from il_ros.core.specs import ObservationSpec
from il_ros.core.synchroniser import NoObservation, Synchroniser


class ContactWatch:
    """The newest forces and efforts, and whether they are within their thresholds.

    Times are of the robot's clock, in nanoseconds.
    """

    def __init__(self, contract: Contract) -> None:
        self._parts = {spec.observation: spec.parts for spec in contract.safety.contact}
        self.specs: tuple[ObservationSpec, ...] = tuple(contract.observation(key) for key in self._parts)
        self.gentle = contract.safety.on_contact == SAFE
        """Whether the actions' own safe behaviour follows a contact, not that of an emergency stop."""
        self._streams = {spec.key: Synchroniser([spec]) for spec in self.specs}
        self._longest_ns = {
            spec.key: round(spec.max_age_s * 1e9) + 2 * contract.period_ns for spec in self.specs
        }
        self._seen_ns: dict[str, int] = {}

    def push(self, topic: str, raw: bytes, now_ns: int, robot_ns: int) -> str:
        """Add a serialised message of a topic; return the contact that it shows, "" without one.

        `now_ns`: the node's clock. Raises ValueError when the bytes are not a message.
        """
        for spec in self.specs:
            if spec.topic != topic:
                continue
            stream = self._streams[spec.key]
            stamp_ns = stream.push(topic, raw, now_ns)
            found = stream.sample(max(now_ns, stamp_ns))
            if isinstance(found, NoObservation):
                continue  # the sensor counts as silent
            self._seen_ns[spec.key] = robot_ns
            for part in self._parts[spec.key]:
                value = math.hypot(*(float(found.values[spec.key][index]) for index in part.indices))
                if not value <= part.most:
                    what = f"{part.name} of {spec.key} ({topic})"
                    return f"contact: {what} is {value:.4g}, at most {part.most:g} is allowed"
        return ""

    def missing(self, robot_ns: int) -> str:
        """Return which sensor has not been received, or is silent, "" when all are there."""
        for spec in self.specs:
            seen_ns = self._seen_ns.get(spec.key)
            name = f"contact: {spec.key} ({spec.topic})"
            if seen_ns is None:
                return f"{name}: nothing received"
            if robot_ns - seen_ns > self._longest_ns[spec.key]:
                return f"{name}: silent for {(robot_ns - seen_ns) / 1e9:.2f} s"
        return ""

    def clear(self) -> None:
        """Discard all messages, for example after the clock was set back."""
        for stream in self._streams.values():
            stream.clear()
        self._seen_ns.clear()
