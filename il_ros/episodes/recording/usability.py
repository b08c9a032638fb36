"""Check while recording that the streams give the contract's observations, with the synchroniser of the policy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.messages import MessageError
from il_ros.core.synchroniser import AHEAD_NS, NoObservation, Synchroniser
from il_ros.core.units import UnitSuspicion, suspicion


class UsabilityCheck:
    """Makes each observation from its newest messages when asked.

    An old message, or one stamped a little ahead, is no fault here: the stream's ages tell that.
    """

    def __init__(self, contract: Contract, optional: Collection[str] = ()) -> None:
        """`optional`: the keys of observations that may be missing, which are not counted as `refused`."""
        self._optional = frozenset(optional)
        specs = [replace(spec, max_age_s=math.inf) for spec in contract.observations]
        self._each = {spec.key: (spec, Synchroniser([spec])) for spec in specs}
        self._keys: dict[str, list[str]] = {}
        for spec in specs:
            for topic in spec.topics:
                self._keys.setdefault(topic, []).append(spec.key)
        self._large = {spec.topic for spec in specs if spec.image is not None}
        self._newest: dict[str, tuple[bytes, int]] = {}
        self._checks: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}
        self._seen: set[str] = set()
        self._ticks_ns: dict[str, int] = {}
        self._looked_ns = 0
        self.suspicions: dict[str, UnitSuspicion] = {}
        """By observation, the newest number that looks like one of another unit."""

    def receive(self, topic: str, raw: bytes, arrival_ns: int) -> None:
        """Keep a message of one of the contract's topics until the next check; of images only the newest."""
        if topic in self._large:
            self._newest[topic] = (raw, arrival_ns)
        elif topic in self._keys:
            self._push(topic, raw, arrival_ns)

    def _push(self, topic: str, raw: bytes, arrival_ns: int) -> None:
        for key in self._keys[topic]:
            self._seen.add(key)
            try:
                stamp_ns = self._each[key][1].push(topic, raw, arrival_ns)
                if stamp_ns <= arrival_ns + AHEAD_NS:
                    self._ticks_ns[key] = max(stamp_ns, self._ticks_ns.get(key, 0))
            except MessageError as error:  # too short for a header
                self._reasons[key] = f"{key} ({topic}): {error}"

    def look(self, now_ns: int) -> dict[str, str]:
        """Return why an observation can't be made from its newest messages, by its key; empty when all can.

        Keys without any message are not judged: their streams are silent, which is another fault.
        """
        back = now_ns < self._looked_ns
        self._looked_ns = now_ns
        if back:  # the clock was set back, as by a new simulation: what was received is of the time before
            for _, synchroniser in self._each.values():
                synchroniser.clear()
            self._newest.clear()
            self._seen.clear()
            self._ticks_ns.clear()
            return {}
        for topic, (raw, arrival_ns) in self._newest.items():
            self._push(topic, raw, arrival_ns)
        self._newest.clear()
        found: dict[str, str] = {}
        for key in sorted(self._seen):
            tick_ns = self._ticks_ns[key] = max(now_ns, self._ticks_ns.get(key, 0))
            sampled = self._each[key][1].sample(tick_ns)
            self._checks[key] += 1
            if not isinstance(sampled, NoObservation):
                self._suspect(key, sampled.values[key])
            else:
                found[key] = "; ".join(sampled.reasons)
                self._refused[key] += 1
                self._reasons[key] = found[key]
        return found

    def _suspect(self, key: str, values: NDArray[Any]) -> None:
        spec = self._each[key][0]
        if spec.kind == "numeric" and (wrong := suspicion(spec, values)):
            self.suspicions[key] = wrong

    def begin(self) -> None:
        """Forget the counts of earlier checks."""
        self._checks.clear()
        self._refused.clear()
        self._reasons.clear()

    @property
    def refused(self) -> dict[str, tuple[float, str]]:
        """By observation that is not optional, the share of checks in which it was not made, and the last reason."""
        return {
            key: (count / self._checks[key], self._reasons[key])
            for key, count in self._refused.items()
            if key not in self._optional
        }
