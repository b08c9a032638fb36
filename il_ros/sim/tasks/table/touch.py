"""`touch`: touch the block that the instruction names, among several: a task for policies that are told what to do."""

from __future__ import annotations

import numpy as np

from il_ros.core import messages
from il_ros.core.specs import POSE, STRING, Vector
from il_ros.sim.tasks import reading
from il_ros.sim.tasks.arm import UNTURNED, ArmTask
from il_ros.sim.tasks.arm_scene import MarkedScene
from il_ros.sim.tasks.reading import Reading

BLOCKS = ("red", "green", "blue", "yellow")
INSTRUCTION = "instruction"

BLOCK_LOWER_M, BLOCK_UPPER_M = (0.24, -0.18), (0.40, 0.18)
HALF_BLOCK_M = 0.02
APART_M = 0.10
"""Smallest distance between two blocks' centres."""
NEAR_M = 0.02
TOUCH_M = HALF_BLOCK_M + 0.02
"""Height of the point that must be reached above a block's centre: the fingertips are then on the block."""


class Touch(ArmTask):
    """Success while the tip is on the block that the instruction names; failure once it is on another one.

    The blocks are fixed. In MuJoCo only.
    """

    name = "touch"
    goal = "touch the block that the instruction names; success: the fingertips are on it"
    contract = "arm_touch"
    time_limit_s = 8.0
    opening_m = (0.02, 0.02)
    simulators = ("mujoco",)

    scene: MarkedScene
    named = BLOCKS[0]
    """The block that the instruction names."""

    def place(self, rng: np.random.Generator) -> None:
        """Draw the blocks' positions and the one that is named."""
        placed: list[Vector] = []
        while len(placed) < len(BLOCKS):
            position = rng.uniform(BLOCK_LOWER_M, BLOCK_UPPER_M)
            if all(np.linalg.norm(position - other) >= APART_M for other in placed):
                placed.append(position)
        for name, position in zip(BLOCKS, placed, strict=True):
            self.scene.set_mark(name, np.array([*position, HALF_BLOCK_M]))
        self.named = BLOCKS[int(rng.integers(len(BLOCKS)))]

    @property
    def instruction(self) -> str:
        """What to do, in words."""
        return instruction_of(self.named)

    @property
    def touched(self) -> str:
        """The block that the fingertips are on, "" if none."""
        above = np.array([0.0, 0.0, TOUCH_M])
        for name in BLOCKS:
            if np.linalg.norm(self.scene.tip_m - self.scene.mark_m(name) - above) < NEAR_M:
                return name
        return ""

    @property
    def success(self) -> bool:
        """True while the tip is on the named block."""
        return self.touched == self.named

    @property
    def failed(self) -> bool:
        """True while the tip is on another block."""
        return self.touched not in ("", self.named)

    def _placed_streams(self) -> dict[str, str]:
        return {INSTRUCTION: STRING, **{pose_topic(name): POSE for name in BLOCKS}}

    def _placed_readings(self, now: int) -> list[Reading]:
        spoken = Reading(INSTRUCTION, STRING, messages.make(STRING, data=self.instruction))
        poses = [reading.pose(pose_topic(name), now, self.scene.mark_m(name), UNTURNED) for name in BLOCKS]
        return [spoken, *poses]


def instruction_of(block: str) -> str:
    """Return the instruction that names a block."""
    return f"touch the {block} block"


def pose_topic(block: str) -> str:
    """Return the topic of a block's pose."""
    return f"{block}_pose"
