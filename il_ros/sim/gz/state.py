"""What every scene heard from gz-sim has in common: it goes on by itself and can't be set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector

PUT_WITHIN_M = 0.05
"""Farther from where a reset put it, a thing is still told of as it was before."""


class Put:
    """What a reset puts somewhere: until it is told of there, it counts as there."""

    def __init__(self) -> None:
        self._at_m: Vector | None = None

    def to(self, position_m: Vector) -> None:
        """It was put to (3,)."""
        self._at_m = position_m

    def before(self, position_m: Vector) -> bool:
        """Tell whether what is told now, (3,), is of before it was put there."""
        if self._at_m is not None and np.linalg.norm(position_m - self._at_m) > PUT_WITHIN_M:
            return True
        self._at_m = None
        return False


class BridgeListener:
    """A scene that listens.

    `poses`: where a start puts the models (7,: position, quaternion wxyz). `stamps`: of what was heard, by
    the topic that the task publishes it on.
    """

    restorable = False

    def __init__(self) -> None:
        self.poses: dict[str, Vector] = {}
        self.stamps: dict[str, int] = {}

    def advance(self, period_ns: int) -> None:
        """Nothing: gz-sim's time goes on by itself."""

    def restore(self, state: Vector) -> None:
        """Refuse: nothing sets gz-sim's whole physics."""
        raise ValueError("gz-sim can't be set to a recorded state; restore it in the embedded simulator")

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Raise RuntimeError: the bridge carries the pictures."""
        raise RuntimeError(f"{camera}: gz-sim's pictures come over the bridge")

    def close(self) -> None:
        """Nothing to free."""
