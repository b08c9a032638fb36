"""The settings of learning a reward from episodes by maximum-entropy IRL, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from il_ros.core.settings import at_least

L2 = 0.002
"""Without it, the parameters of a finite set of demonstrations grow without bound, to rule out what none shows."""


@dataclass(frozen=True)
class TabularTraining:
    """`l2`: weight of the parameters' squares. `iterations`: the most of the optimiser.

    `margin`: cells around what was shown that the map has. `diagonal`: whether moves lead to eight neighbours, or four.
    """

    l2: float = L2
    iterations: int = 500
    margin: int = 2
    diagonal: bool = True

    def __post_init__(self) -> None:
        at_least("iterations", self.iterations, 1)
        at_least("margin", self.margin, 0)
        if not (self.l2 > 0 and math.isfinite(self.l2)):
            raise ValueError(
                f"l2 is {self.l2:g}; it must be finite and above 0: few episodes show few places"
            )
