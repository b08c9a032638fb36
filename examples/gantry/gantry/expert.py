"""The scripted expert of the task `gantry`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from il_ros.core.specs import Vector

SHARE = 0.1
"""Share of the way to the mark that one command covers."""


class GantryExpert:
    """Moves the tool straight to the mark."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector:
        """Return the command (1, 2) for the observations `tool` (2,) and `mark` (2,), in m."""
        tool, mark = observation["tool"], observation["mark"]
        command: Vector = tool + SHARE * (mark - tool)
        return command[None]
