"""What every task needs of a simulator, whatever stands in the scene."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector


class Scene(Protocol):
    """One simulator with one task's scene in it."""

    def advance(self, period_ns: int) -> None:
        """Let so much time pass."""
        ...

    def state(self) -> Vector:
        """Return all that the physics goes on from, (S,)."""
        ...

    @property
    def restorable(self) -> bool:
        """Whether `restore` can do it."""
        ...

    def restore(self, state: Vector) -> None:
        """Go on from what `state` returned; raises ValueError when that can't be."""
        ...

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return what a camera of the task's sees, (height, width, 3)."""
        ...

    def close(self) -> None:
        """Free graphics and processes."""
        ...
