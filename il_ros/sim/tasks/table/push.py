"""`push`: push a block across the table to a mark."""

from __future__ import annotations

import numpy as np

from il_ros.sim.tasks.arm import ArmTask

HALF_HEIGHT_M = 0.02
BLOCK_LOWER_M, BLOCK_UPPER_M = (0.24, -0.08), (0.32, 0.08)
BLOCK_TURN_RAD = 0.3
PUSH_M = (0.11, 0.17)
PUSH_TURN_RAD = 0.6
"""Range of the mark's distance from the block, and largest angle of its direction from straight ahead."""

NEAR_M = 0.03
AT_REST_M_S = 0.03


class Push(ArmTask):
    """Success while the block's centre is within 3 cm of the mark's and the block is at rest."""

    name = "push"
    goal = "push the block onto the mark; success: it rests within 3 cm of the mark"
    contract = "arm_push"
    time_limit_s = 12.0
    opening_m = (0.03, 0.03)

    def place(self, rng: np.random.Generator) -> None:
        """Draw the block's position and yaw, and the mark ahead of it."""
        block = rng.uniform(BLOCK_LOWER_M, BLOCK_UPPER_M)
        turn = rng.uniform(-BLOCK_TURN_RAD, BLOCK_TURN_RAD)
        ahead = rng.uniform(-PUSH_TURN_RAD, PUSH_TURN_RAD)
        goal = block + rng.uniform(*PUSH_M) * np.array([np.cos(ahead), np.sin(ahead)])
        self.scene.set_object(np.array([*block, HALF_HEIGHT_M]), turn)
        self.scene.set_goal(np.array([*goal, 0.0]))

    @property
    def success(self) -> bool:
        """True while the block rests on the mark."""
        away = np.linalg.norm(self.scene.object_m[:2] - self.scene.goal_m[:2])
        return bool(away < NEAR_M and self.scene.object_speed < AT_REST_M_S)
