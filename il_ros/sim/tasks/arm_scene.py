"""Scene protocol of the arm's tasks: the arm on its table, a goal, and in most tasks an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from il_ros.core.specs import Vector
from il_ros.sim.tasks.scene import Scene


@dataclass(frozen=True)
class Joints:
    """The arm's six joints and the gripper's opening, (7,) each: rad, rad/s, N m (m, m/s, N).

    `effort` is empty where the simulator does not report it.
    """

    position: Vector
    velocity: Vector
    effort: Vector


class ArmScene(Scene, Protocol):
    """One task's scene. Positions (3,) in metres in the world's frame, quaternions (4,) wxyz.

    Cameras: 'overhead', 'wrist', 'side' and 'scene'.
    """

    has_object: bool

    @property
    def joints(self) -> Joints:
        """The arm's current joint states."""
        ...

    @property
    def tip_m(self) -> Vector:
        """Position of the point between the fingertips."""
        ...

    @property
    def goal_m(self) -> Vector:
        """Position of the goal; its orientation is fixed."""
        ...

    @property
    def object_m(self) -> Vector:
        """Position of the object's centre."""
        ...

    @property
    def object_quaternion(self) -> Vector:
        """Orientation of the object."""
        ...

    @property
    def object_speed(self) -> float:
        """Speed of the object's centre in m/s."""
        ...

    def begin(self) -> None:
        """Begin a new episode; call the `set_...` methods next, then `settle`."""
        ...

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Set the joints (6,) and the gripper opening, at rest, and hold them."""
        ...

    def set_goal(self, position_m: Vector) -> None:
        """Set the goal's position (3,)."""
        ...

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Set the object's centre (3,) and yaw, at rest."""
        ...

    def settle(self, seed: int) -> None:
        """Apply the start that was set. `seed` seeds the simulator's own random numbers, if it has any."""
        ...

    def command_arm(self, targets_rad: Vector) -> None:
        """Set the joint targets (6,)."""
        ...

    def command_gripper(self, opening_m: float) -> None:
        """Set the target opening of the gripper."""
        ...


class MarkedScene(ArmScene, Protocol):
    """A scene with several named bodies that the task places and nothing moves."""

    def mark_m(self, name: str) -> Vector:
        """Position of a body's centre."""
        ...

    def set_mark(self, name: str, position_m: Vector) -> None:
        """Set the position (3,) of a body's centre."""
        ...


class PressScene(ArmScene, Protocol):
    """A scene with a pad on a spring, at the goal, and a force-torque sensor behind the tool."""

    @property
    def wrench(self) -> Vector:
        """What touches the tool: force (3,) in N and torque (3,) in N m about the tip.

        In the tool's frame, whose z points forwards, and without the tool's weight, as a sensor gives it that was set
        to zero; its inertia is in it.
        """
        ...

    def set_pad(self, height_m: float, stiffness_n_m: float) -> None:
        """Set the height of the pad's upper face above the goal, and the stiffness of its spring in N/m."""
        ...
