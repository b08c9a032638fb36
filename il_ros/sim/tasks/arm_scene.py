"""What the arm's tasks need of a simulator: the arm on its table, a goal, and in most tasks an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from il_ros.core.specs import Vector
from il_ros.sim.tasks.scene import Scene


@dataclass(frozen=True)
class Joints:
    """The arm's six joints and the gripper's opening, (7,) each: rad, rad/s, N m (m, m/s, N).

    `effort` is empty where the simulator doesn't tell it.
    """

    position: Vector
    velocity: Vector
    effort: Vector


class ArmScene(Scene, Protocol):
    """One task's scene. Positions (3,) in metres in the world's frame, quaternions (4,) wxyz.

    Its cameras: 'overhead', 'wrist' and 'scene'.
    """

    has_object: bool

    @property
    def joints(self) -> Joints:
        """What the arm's joints do now."""
        ...

    @property
    def tip_m(self) -> Vector:
        """The point between the finger tips."""
        ...

    @property
    def goal_m(self) -> Vector:
        """Where the goal is; it never turns."""
        ...

    @property
    def object_m(self) -> Vector:
        """The object's middle."""
        ...

    @property
    def object_quaternion(self) -> Vector:
        """How the object is turned."""
        ...

    @property
    def object_speed(self) -> float:
        """Speed of the object's middle in m/s."""
        ...

    def begin(self) -> None:
        """Forget the episode before. `set_...` follow, then `settle`."""
        ...

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Put the arm's joints (6,) and the gripper there at rest, and hold them."""
        ...

    def set_goal(self, position_m: Vector) -> None:
        """Put the goal to (3,)."""
        ...

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Put the object's middle to (3,), turned about the vertical, at rest."""
        ...

    def settle(self, seed: int) -> None:
        """Take what was set as the start. `seed` is for what the simulator draws itself, if anything."""
        ...

    def command_arm(self, targets_rad: Vector) -> None:
        """Take new targets (6,)."""
        ...

    def command_gripper(self, opening_m: float) -> None:
        """Take a new opening."""
        ...
