"""What every scene heard from gz-sim has in common: it goes on by itself and can't be set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from il_ros.specs import Vector


class Heard:
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
