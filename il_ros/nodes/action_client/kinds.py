"""The goals of the action types that robots take commands by, and what their feedback says."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Duration
from trajectory_msgs.msg import JointTrajectoryPoint

from il_ros.core.specs import ActionSpec, Vector


@dataclass(frozen=True)
class HowToReach:
    """How a goal is to be reached: with at most `max_effort` (N or Nm; 0: the server's own), `within_s`."""

    max_effort: float
    within_s: float


@dataclass(frozen=True)
class GoalKind:
    """An action type: its name, how a goal is filled, and what is shown of its feedback.

    `most`: numbers that a goal can have.
    """

    type: str
    fill: Callable[[Any, ActionSpec, Vector, HowToReach], None]
    feedback: Callable[[Any], Mapping[str, Any]]
    most: float = math.inf


def action_class(type_name: str) -> Any:
    """Return rclpy's class for 'control_msgs/action/GripperCommand'.

    Raises ValueError when its package cannot be imported.
    """
    package, _, name = type_name.rpartition("/")
    try:
        return getattr(importlib.import_module(package.replace("/", ".")), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"action type {type_name} cannot be loaded ({error}); install {package.partition('/')[0]}, or source the "
            f"workspace that provides it"
        ) from error


def _gripper(goal: Any, action: ActionSpec, values: Vector, reach: HowToReach) -> None:
    goal.command.position, goal.command.max_effort = float(values[0]), reach.max_effort


def _parallel_gripper(goal: Any, action: ActionSpec, values: Vector, reach: HowToReach) -> None:
    goal.command.name, goal.command.position = list(action.names), values.tolist()
    if reach.max_effort:
        goal.command.effort = [reach.max_effort] * action.size


def _trajectory(goal: Any, action: ActionSpec, values: Vector, reach: HowToReach) -> None:
    seconds, rest_s = divmod(reach.within_s, 1.0)
    within = Duration(sec=int(seconds), nanosec=round(rest_s * 1e9))
    goal.trajectory.joint_names = list(action.names)
    goal.trajectory.points = [JointTrajectoryPoint(positions=values.tolist(), time_from_start=within)]


def _of_gripper(feedback: Any) -> Mapping[str, Any]:
    words = {name: getattr(feedback, name) for name in ("position", "effort")}
    return {**words, "stalled": feedback.stalled, "reached": feedback.reached_goal}


def _of_parallel_gripper(feedback: Any) -> Mapping[str, Any]:
    positions = zip(feedback.state.name, feedback.state.position, strict=False)
    return {f"position of {name}": position for name, position in positions}


def _of_trajectory(feedback: Any) -> Mapping[str, Any]:
    errors = [abs(each) for each in feedback.error.positions]
    return {"largest error": max(errors)} if errors else {}


KINDS = {
    "gripper_command": GoalKind("control_msgs/action/GripperCommand", _gripper, _of_gripper, most=1),
    "parallel_gripper_command": GoalKind(
        "control_msgs/action/ParallelGripperCommand", _parallel_gripper, _of_parallel_gripper
    ),
    "follow_joint_trajectory": GoalKind(
        "control_msgs/action/FollowJointTrajectory", _trajectory, _of_trajectory
    ),
}
"""By the value of the parameter `kind`."""
