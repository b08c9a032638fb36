"""`reach`: move the tip of the tool to a point in free space."""

from __future__ import annotations

import numpy as np

from il_ros.sim.tasks.arm import ArmTask

GOAL_LOWER_M, GOAL_UPPER_M = (0.24, -0.18, 0.06), (0.42, 0.18, 0.26)
NEAR_M = 0.02


class Reach(ArmTask):
    """Success while the tip is within 2 cm of the goal."""

    name = "reach"
    goal = "move the tip of the tool to the ball; success: it is within 2 cm"
    contract = "arm_reach"
    time_limit_s = 6.0
    opening_m = (0.02, 0.02)

    def place(self, rng: np.random.Generator) -> None:
        """Draw a goal in a box in front of the arm."""
        self.scene.set_goal(rng.uniform(GOAL_LOWER_M, GOAL_UPPER_M))

    @property
    def success(self) -> bool:
        """True while the tip is at the goal."""
        return bool(np.linalg.norm(self.scene.tip_m - self.scene.goal_m) < NEAR_M)
