"""Base class of the arm's tasks: clock, commands and sensors of a six-joint arm on a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import ARRAY, IMAGE, JOINT_STATE, POSE, Vector
from il_ros.core.tables import counted
from il_ros.sim.tasks import reading
from il_ros.sim.tasks.arm_scene import ArmScene
from il_ros.sim.tasks.kinematics import pointing_down
from il_ros.sim.tasks.reading import Reading
from il_ros.sim.tasks.task import GZ, NO_CAMERAS, RESET_PAUSE_NS, SIMULATORS, Cameras, scene_of
from il_ros.sim.tasks.wobble import Wobble

CONTROL_PERIOD_NS = 50_000_000
JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")
JOINT_STATES = "joint_states"
OBJECT_POSE = "object_pose"
GOAL_POSE = "goal_pose"
ARM_COMMAND = "arm_position_controller/commands"
GRIPPER_COMMAND = "gripper_position_controller/commands"
CAMERAS, MORE_CAMERAS = ("overhead", "wrist"), ("side",)

HOME_M = np.array([0.20, 0.0, 0.16])
HOME_SPREAD_RAD = np.array([0.15, 0.05, 0.05, 0.02, 0.05, 0.15])
UNTURNED = np.array([1.0, 0.0, 0.0, 0.0])


class ArmTask(ABC):
    """The arm in one task's scene; subclasses define the start and the success condition."""

    name: str
    goal: str
    contract: str
    time_limit_s: float
    opening_m: tuple[float, float]
    """Range from which the gripper's initial opening is drawn."""

    robot = "arm"
    control_period_ns = CONTROL_PERIOD_NS
    camera_names: tuple[str, ...] = CAMERAS
    more_cameras: tuple[str, ...] = MORE_CAMERAS
    view = "overhead_camera/image_raw"
    simulators = (*SIMULATORS, GZ)

    @classmethod
    def create(cls, cameras: Cameras, simulator: str) -> ArmTask:
        """Return the task in one of SIMULATORS; see `TaskClass`."""
        return cls(scene_of(simulator, cls.robot, cls.name, cameras), cameras)

    def __init__(self, scene: ArmScene, cameras: Cameras = NO_CAMERAS):
        self.scene = scene
        self._cameras = cameras
        self._time_ns = 0
        self._steps = 0
        self._target = pointing_down(HOME_M, 0.0)
        self._wobble = Wobble(np.random.default_rng(0))
        self.commands: Mapping[str, str] = {ARM_COMMAND: ARRAY, GRIPPER_COMMAND: ARRAY}
        self.streams: Mapping[str, str] = {
            **{camera_topic(name): IMAGE for name in cameras.names},
            **self._placed_streams(),
            JOINT_STATES: JOINT_STATE,
        }

    @abstractmethod
    def place(self, rng: np.random.Generator) -> None:
        """Draw the initial poses of goal and object, and set them in the scene."""

    @property
    @abstractmethod
    def success(self) -> bool:
        """True while the task's success condition holds."""

    @property
    def failed(self) -> bool:
        """True when the object has left the part of the table that the arm reaches."""
        if not self.scene.has_object:
            return False
        x, y, z = self.scene.object_m
        return bool(not (0.05 < x < 0.65 and abs(y) < 0.45 and z > -0.05))

    @property
    def time_ns(self) -> int:
        """Simulated time; resets do not set it back."""
        return self._time_ns

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed: the arm near its home pose, goal and object at random poses."""
        rng = np.random.default_rng(seed)
        self.scene.begin()
        home = pointing_down(HOME_M, 0.0) + rng.uniform(-1, 1, 6) * HOME_SPREAD_RAD
        self.scene.set_joints(home, rng.uniform(*self.opening_m))
        self._target = home
        self.place(rng)
        self._wobble = Wobble(rng)
        self.scene.settle(seed)
        self._steps = 0
        self._time_ns += RESET_PAUSE_NS

    def step(self, commands: Mapping[str, Message]) -> None:
        """Apply commands and advance by 50 ms. Raises ValueError on an invalid command."""
        for topic, values in [(topic, _checked(topic, message)) for topic, message in commands.items()]:
            if topic == ARM_COMMAND:
                self._target = values
            else:
                self.scene.command_gripper(float(values[0]))
        self.scene.command_arm(self._target + self._wobble.at(self._steps * self.control_period_ns * 1e-9))
        self.scene.advance(self.control_period_ns)
        self._steps += 1
        self._time_ns += self.control_period_ns

    def readings(self) -> list[Reading]:
        """Return camera images (when due), object and goal pose, and the joint states last."""
        now = self._time_ns
        found: list[Reading] = []
        if self._steps % self._cameras.divisor == 0:
            size = (self._cameras.width, self._cameras.height)
            for name in self._cameras.names:
                frame = f"{name}_camera"
                found.append(reading.image(camera_topic(name), now, frame, self.picture(name, *size)))
        found += self._placed_readings(now)
        found.append(Reading(JOINT_STATES, JOINT_STATE, self._joint_state(now)))
        return found

    def state(self) -> Vector:
        """Return the complete state (S,), including goal, commands and disturbances."""
        own = [*self._target, *self._wobble.phases.ravel(), self._steps]
        return np.concatenate([self.scene.state(), own])

    @property
    def restorable(self) -> bool:
        """Whether the simulator can be set to a state."""
        return self.scene.restorable

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state`; see `Task`."""
        phases = self._wobble.phases
        own = state[-(len(JOINTS) + phases.size + 1) :]
        self.scene.restore(state[: -len(own)])
        self._target = own[: len(JOINTS)]
        self._wobble.phases = own[len(JOINTS) : -1].reshape(phases.shape)
        self._steps = int(own[-1])

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the image (height, width, 3) of 'overhead', 'wrist', 'side' or 'scene' (an outside view)."""
        return self.scene.picture(camera, width, height)

    def close(self) -> None:
        """Release the simulator's resources."""
        self.scene.close()

    def _placed_streams(self) -> dict[str, str]:
        """Return topic and type of what is on the table."""
        return {**({OBJECT_POSE: POSE} if self.scene.has_object else {}), GOAL_POSE: POSE}

    def _placed_readings(self, now: int) -> list[Reading]:
        """Return where what is on the table is."""
        scene = self.scene
        found = []
        if scene.has_object:
            found.append(reading.pose(OBJECT_POSE, now, scene.object_m, scene.object_quaternion))
        return [*found, reading.pose(GOAL_POSE, now, scene.goal_m, UNTURNED)]

    def _joint_state(self, now: int) -> Message:
        joints = self.scene.joints
        return messages.make(
            JOINT_STATE,
            header=messages.header(now, "base_link"),
            name=[*JOINTS, "gripper"],
            position=joints.position,
            velocity=joints.velocity,
            effort=joints.effort,
        )


def camera_topic(name: str) -> str:
    """Return the topic of the arm's camera `name`."""
    return f"{name}_camera/image_raw"


def _checked(topic: str, message: Message) -> Vector:
    sizes = {ARM_COMMAND: len(JOINTS), GRIPPER_COMMAND: 1}
    if topic not in sizes:
        raise ValueError(f"{topic}: the arm has no such command topic; it has: {', '.join(sizes)}")
    values = np.asarray(message.data, dtype=np.float64)
    if values.shape != (sizes[topic],):
        raise ValueError(
            f"{topic}: needs {counted(sizes[topic], 'number')}, not {values.size}: {values.tolist()}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{topic}: every number must be finite, not {values.tolist()}")
    return values
