"""Detection of cameras that repeat one frame with new stamps, which an age limit does not detect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from il_ros.core.specs import ObservationSpec
from il_ros.core.synchroniser import Observation


class FrozenCameras:
    """Detects images among `specs` that stay bit-identical for longer than `longest_s`; 0 disables it.

    Sensor noise changes every frame of a real camera, but not of a simulated one: disable the check there.
    A slow camera may repeat one frame for up to its `max_age_s`.
    """

    def __init__(self, specs: Iterable[ObservationSpec], longest_s: float) -> None:
        seen = [spec for spec in specs if spec.image is not None and longest_s > 0]
        self._names = {spec.key: spec.topic for spec in seen}
        self._longest_ns = {spec.key: round(max(longest_s, spec.max_age_s) * 1e9) for spec in seen}
        self._seen: dict[str, tuple[int, np.ndarray[Any, Any]]] = {}

    def reasons(self, observation: Observation) -> dict[str, str]:
        """Return topic and duration of each camera that is frozen at the observation's tick, by key."""
        found = {}
        for key, topic in self._names.items():
            frame = observation.values.get(key)
            if frame is None:  # an optional camera that is missing
                self._seen.pop(key, None)
                continue
            since = self._seen.get(key)
            if since is None or observation.tick_ns < since[0] or not np.array_equal(since[1], frame):
                self._seen[key] = (observation.tick_ns, frame)
            elif observation.tick_ns - since[0] > self._longest_ns[key]:
                frozen_s = (observation.tick_ns - since[0]) / 1e9
                found[key] = f"{key} ({topic}): frozen, the same frame for {frozen_s:.2f} s"
        return found
