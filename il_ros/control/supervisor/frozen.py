"""A camera that shows the same frame again and again, with fresh stamps: no age limit notices that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from il_ros.core.specs import ObservationSpec
from il_ros.core.synchroniser import Observation


class FrozenCameras:
    """Tells which of the images among `specs` has not changed in any bit for `longest_s`; 0: never.

    A real sensor's noise changes every frame. A simulated camera's doesn't: leave it off there. A slow camera
    may show one frame for as long as its `max_age_s` allows.
    """

    def __init__(self, specs: Iterable[ObservationSpec], longest_s: float) -> None:
        seen = [spec for spec in specs if spec.image is not None and longest_s > 0]
        self._names = {spec.key: spec.topic for spec in seen}
        self._longest_ns = {spec.key: round(max(longest_s, spec.max_age_s) * 1e9) for spec in seen}
        self._seen: dict[str, tuple[int, np.ndarray[Any, Any]]] = {}

    def reason(self, observation: Observation) -> str:
        """Return which camera is frozen at the observation's tick, "" when none is."""
        for key, topic in self._names.items():
            since = self._seen.get(key)
            frame = observation.values[key]
            if since is None or observation.tick_ns < since[0] or not np.array_equal(since[1], frame):
                self._seen[key] = (observation.tick_ns, frame)
            elif observation.tick_ns - since[0] > self._longest_ns[key]:
                frozen_s = (observation.tick_ns - since[0]) / 1e9
                return f"{key} ({topic}): frozen, the same frame for {frozen_s:.2f} s"
        return ""
