"""Base class of the scenes in gz-sim, which runs by its own clock and can't be set to a state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector

RESET_TOLERANCE_M = 0.05
"""A reported position farther than this from the reset's is still one of before the reset."""


class ResetPosition:
    """Position set by a reset; detects reports of before the reset."""

    def __init__(self) -> None:
        self._at_m: Vector | None = None

    def set(self, position_m: Vector) -> None:
        """Record the position (3,) that a reset set."""
        self._at_m = position_m

    def is_stale(self, position_m: Vector) -> bool:
        """Return whether a reported position (3,) is one of before the reset."""
        if self._at_m is not None and np.linalg.norm(position_m - self._at_m) > RESET_TOLERANCE_M:
            return True
        self._at_m = None
        return False


class BridgeListener:
    """A scene that is updated by bridged messages.

    `poses`: the models' poses at the start (7,: position, quaternion wxyz). `stamps`: of the last messages,
    by
    the topic on which the task publishes them.
    """

    restorable = False

    def __init__(self) -> None:
        self.poses: dict[str, Vector] = {}
        self.stamps: dict[str, int] = {}

    def advance(self, period_ns: int) -> None:
        """Do nothing: gz-sim runs by its own clock."""

    def restore(self, state: Vector) -> None:
        """Raise ValueError: gz-sim's complete physics state can't be set."""
        raise ValueError("gz-sim can't be set to a recorded state; restore it in the embedded simulator")

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Raise RuntimeError: images arrive over the bridge."""
        raise RuntimeError(f"{camera}: gz-sim's images arrive over the bridge")

    def close(self) -> None:
        """Do nothing: there are no resources to release."""
