"""The simulator's parameters: the task and the pace of time."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.parameter import Parameter

from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.parameters import declare
from il_ros.sim.tasks.task import SIMULATORS, Cameras, Task, camera_names, make_task, task_names


def declare_task(node: Node) -> Task:
    """Declare the task's parameters; return the task."""
    name = declare(node, "task", "push", "simulated task", choices=task_names(), read_only=True)
    simulator = declare(
        node, "simulator", "mujoco", "physics engine; gazebo_classic needs `make gazebo`",
        choices=SIMULATORS, read_only=True,
    )  # fmt: skip
    declare(node, "seed", 0, "seed of the next episode; counted up at each ~/reset", minimum=0)
    declare(
        node, "state", Parameter.Type.DOUBLE_ARRAY, "recorded task/state, without its stamp, at which the "
        "next ~/reset begins; empty: the seed's start",
    )  # fmt: skip
    seen = declare(node, "cameras", True, "render and publish the task's cameras", read_only=True)
    asked = declare(
        node, "more_cameras", "", "cameras that publish only on request, separated by spaces", read_only=True
    )  # fmt: skip
    width = declare(
        node,
        "camera_width",
        96,
        "width of every camera",
        unit="pixels",
        minimum=1,
        maximum=1920,
        read_only=True,
    )
    height = declare(
        node,
        "camera_height",
        96,
        "height of every camera",
        unit="pixels",
        minimum=1,
        maximum=1920,
        read_only=True,
    )
    divisor = declare(
        node, "camera_divisor", 1, "control periods per camera frame", minimum=1, read_only=True
    )  # fmt: skip
    try:
        names = (*camera_names(name), *asked.split()) if seen else ()
        cameras = Cameras(names, width, height, divisor)
        return make_task(name, cameras=cameras, simulator=simulator)
    except ValueError as error:
        raise managed.Refusal(f"parameter task: {error}") from error
    except RuntimeError as error:  # Gazebo is missing or does not start
        raise managed.Refusal(f"parameter simulator: {error}") from error


def declare_pace(node: Node) -> None:
    """Declare the pace of time."""
    declare(
        node, "speed", 1.0, "simulated seconds per second; 0: as fast as possible",
        minimum=0.0, maximum=1000.0,
    )  # fmt: skip
    declare(node, "lockstep", False, "wait for a decision after every frame")
    declare(
        node, "lockstep_answers", "", "topics of proposals, separated by spaces, that each frame also waits "
        "for, so that no source lags", read_only=True,
    )  # fmt: skip
    declare(
        node, "lockstep_timeout_s", 2.0, "wall time after which an unanswered frame is skipped",
        unit="s", minimum=0.001, maximum=600.0,
    )  # fmt: skip
