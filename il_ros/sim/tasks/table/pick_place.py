"""`pick_place`: pick a cube up from the table and drop it into a bin."""

from __future__ import annotations

import numpy as np

from il_ros.sim.tasks.arm import ArmTask

HALF_CUBE_M = 0.02
HALF_BIN_M = 0.059
"""From the bin's centre to the inner face of a wall; the walls are 4 cm high."""

CUBE_LOWER_M, CUBE_UPPER_M = (0.26, -0.16), (0.38, 0.02)
CUBE_TURN_RAD = 0.4
BIN_LOWER_M, BIN_UPPER_M = (0.29, 0.15), (0.35, 0.21)

RELEASED_M = 0.05
"""A gripper opened wider than this does not hold the 4 cm cube."""


class PickPlace(ArmTask):
    """Success while the cube lies in the bin and the gripper has released it."""

    name = "pick_place"
    goal = "pick the cube up and drop it into the bin; success: it lies in the bin and the gripper is open"
    contract = "arm_pick_place"
    time_limit_s = 15.0
    opening_m = (0.03, 0.08)  # demonstrations include starts with a closed, empty gripper

    def place(self, rng: np.random.Generator) -> None:
        """Draw the cube's position and yaw, and the bin's position next to it."""
        self.scene.set_object(
            np.array([*rng.uniform(CUBE_LOWER_M, CUBE_UPPER_M), HALF_CUBE_M]),
            rng.uniform(-CUBE_TURN_RAD, CUBE_TURN_RAD),
        )
        self.scene.set_goal(np.array([*rng.uniform(BIN_LOWER_M, BIN_UPPER_M), 0.0]))

    @property
    def success(self) -> bool:
        """True while the cube's centre is between the bin's walls and the gripper is open."""
        away = np.abs(self.scene.object_m - self.scene.goal_m)
        inside = away[0] < HALF_BIN_M and away[1] < HALF_BIN_M and away[2] < 2 * HALF_CUBE_M
        return bool(inside and self.scene.joints.position[6] > RELEASED_M)
