"""`press`: press a pad with a force, which only a force sensor measures: height and stiffness of the pad vary."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from il_ros.core.messages import Message
from il_ros.core.specs import WRENCH, Vector
from il_ros.sim.tasks import reading
from il_ros.sim.tasks.arm import ArmTask
from il_ros.sim.tasks.arm_scene import PressScene
from il_ros.sim.tasks.reading import Reading

FORCE = "wrench"
TOOL_FRAME = "tool"

PAD_LOWER_M, PAD_UPPER_M = (0.27, -0.12), (0.37, 0.12)
HEIGHT_M = (0.050, 0.100)
STIFFNESS_N_M = (150.0, 400.0)
"""4 N press the pad down by 10 to 27 mm."""

PRESSED_N = (3.0, 5.0)
CRUSHED_N = 8.0
HELD_S = 1.0


class Press(ArmTask):
    """Success once the pad was pressed with 3 to 5 N for a second on end; failure above 8 N.

    The topics say where the pad stands, not how high or how stiff it is. In MuJoCo only.
    """

    name = "press"
    goal = "press the pad with 4 N; success: 3 to 5 N for a second on end, never more than 8 N"
    contract = "arm_press"
    robot = "press"
    time_limit_s = 12.0
    opening_m = (0.0, 0.0)
    simulators = ("mujoco",)

    scene: PressScene
    _held_s = 0.0
    _crushed = False

    def place(self, rng: np.random.Generator) -> None:
        """Draw the pad's place, height and stiffness."""
        self.scene.set_goal(np.array([*rng.uniform(PAD_LOWER_M, PAD_UPPER_M), 0.0]))
        self.scene.set_pad(rng.uniform(*HEIGHT_M), float(np.exp(rng.uniform(*np.log(STIFFNESS_N_M)))))
        self._held_s, self._crushed = 0.0, False

    @property
    def pressing_n(self) -> float:
        """The force with which the tool presses forwards."""
        return float(-self.scene.wrench[2])

    @property
    def success(self) -> bool:
        """True while the pad is pressed as it should be, for long enough."""
        return self._held_s > HELD_S - 1e-6

    @property
    def failed(self) -> bool:
        """True once the pad was pressed too hard."""
        return self._crushed

    def state(self) -> Vector:
        """Return the complete state (S,), but for the pad's place, height and stiffness, which the seed gives."""
        return np.concatenate([super().state(), [self._held_s, self._crushed]])

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state`; see `Task`."""
        super().restore(state[:-2])
        self._held_s, self._crushed = float(state[-2]), bool(state[-1])

    def step(self, commands: Mapping[str, Message]) -> None:
        """Apply commands and advance by 50 ms; see `Task`. Counts how long the pad is pressed as it should be."""
        super().step(commands)
        low, high = PRESSED_N
        force = self.pressing_n
        self._held_s = self._held_s + self.control_period_ns * 1e-9 if low <= force <= high else 0.0
        self._crushed = self._crushed or force > CRUSHED_N

    def _placed_streams(self) -> dict[str, str]:
        return {FORCE: WRENCH, **super()._placed_streams()}

    def _placed_readings(self, now: int) -> list[Reading]:
        felt = reading.wrench(FORCE, now, TOOL_FRAME, self.scene.wrench)
        return [felt, *super()._placed_readings(now)]
