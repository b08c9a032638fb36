"""Scene protocol that all tasks share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector


class Scene(Protocol):
    """One task's scene in one simulator."""

    def advance(self, period_ns: int) -> None:
        """Advance the simulation by `period_ns`."""
        ...

    def state(self) -> Vector:
        """Return the complete physics state, (S,)."""
        ...

    @property
    def restorable(self) -> bool:
        """Whether `restore` is supported."""
        ...

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state`; raises ValueError when that is impossible."""
        ...

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the image (height, width, 3) of one of the task's cameras."""
        ...

    def close(self) -> None:
        """Release graphics contexts and processes."""
        ...
