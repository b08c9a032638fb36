"""The six-joint arm on its table: clock, controllers, sensors. What there is to do stands in the tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from il_ros import messages
from il_ros.messages import Message
from il_ros.sim import reading
from il_ros.sim.kinematics import pointing_down
from il_ros.sim.reading import Reading
from il_ros.sim.render import Renderer
from il_ros.sim.task import NO_CAMERAS, RESET_PAUSE_NS, Cameras
from il_ros.specs import ARRAY, IMAGE, JOINT_STATE, POSE, Vector

CONTROL_PERIOD_NS = 50_000_000
JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")
JOINT_STATES = "joint_states"
OBJECT_POSE = "object_pose"
GOAL_POSE = "goal_pose"
ARM_COMMAND = "arm_position_controller/commands"
GRIPPER_COMMAND = "gripper_position_controller/commands"
CAMERAS = ("overhead", "wrist")

HOME_M = np.array([0.20, 0.0, 0.16])
HOME_SPREAD_RAD = np.array([0.15, 0.05, 0.05, 0.02, 0.05, 0.15])


class ArmTask(ABC):
    """One scene of models/ with the arm in it; a task says how it starts and what counts as done."""

    name: str
    time_limit_s: float
    opening_m: float
    """How far the gripper is open at the start."""

    control_period_ns = CONTROL_PERIOD_NS
    camera_names = CAMERAS

    def __init__(self, *, cameras: Cameras = NO_CAMERAS):
        cameras.require(self.camera_names)
        path = Path(__file__).with_name("models") / f"{self.name}.xml"
        self.model = mujoco.MjModel.from_xml_path(str(path))
        self.data = mujoco.MjData(self.model)
        self._substeps = round(CONTROL_PERIOD_NS * 1e-9 / self.model.opt.timestep)
        self._cameras = cameras
        self._renderer = Renderer(self.model)
        self._goal = int(self.model.body("goal").mocapid[0])
        self._tip = int(self.model.site("tip").id)
        self._object: int | None = None
        if mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, "object") >= 0:
            self._object = int(self.model.joint("object").qposadr[0])
            self._object_velocity = int(self.model.joint("object").dofadr[0])
        self._time_ns = 0
        self._steps = 0
        self.commands = {ARM_COMMAND: ARRAY, GRIPPER_COMMAND: ARRAY}
        self.streams = {camera_topic(name): IMAGE for name in cameras.names}
        if self._object is not None:
            self.streams[OBJECT_POSE] = POSE
        self.streams |= {GOAL_POSE: POSE, JOINT_STATES: JOINT_STATE}

    @abstractmethod
    def place(self, rng: np.random.Generator) -> None:
        """Draw where goal and object start, and set them with `set_goal` and `set_object`."""

    @property
    @abstractmethod
    def success(self) -> bool:
        """True while the task's goal holds."""

    @property
    def failed(self) -> bool:
        """True once the object has left the part of the table that the arm reaches."""
        if self._object is None:
            return False
        x, y, z = self.object_m
        return bool(not (0.05 < x < 0.65 and abs(y) < 0.45 and z > -0.05))

    # ---- the scene ---------------------------------------------------------------------------------------

    @property
    def tip_m(self) -> Vector:
        """Position (3,) of the point between the finger tips."""
        return np.array(self.data.site_xpos[self._tip])

    @property
    def opening(self) -> float:
        """How far the gripper is open, in metres."""
        return float(self.data.qpos[6] + self.data.qpos[7])

    @property
    def goal_m(self) -> Vector:
        """Position (3,) of the goal."""
        return np.array(self.data.mocap_pos[self._goal])

    @property
    def object_m(self) -> Vector:
        """Position (3,) of the object's middle."""
        assert self._object is not None
        return np.array(self.data.qpos[self._object : self._object + 3])

    @property
    def object_speed(self) -> float:
        """Speed of the object's middle in m/s."""
        assert self._object is not None
        start = self._object_velocity
        return float(np.linalg.norm(self.data.qvel[start : start + 3]))

    def set_goal(self, position_m: Vector) -> None:
        """Put the goal to (3,)."""
        self.data.mocap_pos[self._goal] = position_m

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Put the object's middle to (3,), turned about the vertical, at rest."""
        assert self._object is not None
        turn = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self.data.qpos[self._object : self._object + 7] = [*position_m, *turn]
        self.data.qvel[self._object_velocity : self._object_velocity + 6] = 0.0

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Put the arm's joints (6,) and the gripper there at rest, and hold them."""
        self.data.qpos[:6] = joints_rad
        self.data.qpos[6:8] = opening_m / 2
        self.data.qvel[:8] = 0.0
        self.data.ctrl[:6] = joints_rad
        self.data.ctrl[6] = opening_m
        mujoco.mj_kinematics(self.model, self.data)

    # ---- the task protocol -------------------------------------------------------------------------------

    @property
    def time_ns(self) -> int:
        """Simulated time; goes on through resets."""
        return self._time_ns

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed: arm near its home, goal and object where the task draws them."""
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self.model, self.data)
        home = pointing_down(HOME_M, 0.0) + rng.uniform(-1, 1, 6) * HOME_SPREAD_RAD
        self.set_joints(home, self.opening_m)
        self.place(rng)
        self._derive()
        self._steps = 0
        self._time_ns += RESET_PAUSE_NS

    def step(self, commands: Mapping[str, Message]) -> None:
        """Take commands, and advance by 50 ms. Raises ValueError on a command that can't be followed."""
        for topic, values in [(topic, _checked(topic, message)) for topic, message in commands.items()]:
            self.data.ctrl[slice(0, 6) if topic == ARM_COMMAND else slice(6, 7)] = values
        mujoco.mj_step(self.model, self.data, self._substeps)
        self._derive()
        self._steps += 1
        self._time_ns += CONTROL_PERIOD_NS

    def readings(self) -> list[Reading]:
        """Return cameras (when due), object and goal pose, and the joint states last."""
        now = self._time_ns
        found: list[Reading] = []
        if self._steps % self._cameras.divisor == 0:
            size = (self._cameras.width, self._cameras.height)
            for name in self._cameras.names:
                frame = f"{name}_camera"
                found.append(reading.image(camera_topic(name), now, frame, self.picture(name, *size)))
        if self._object is not None:
            turn = self.data.qpos[self._object + 3 : self._object + 7]
            found.append(reading.pose(OBJECT_POSE, now, self.object_m, turn))
        found.append(reading.pose(GOAL_POSE, now, self.goal_m, self.data.mocap_quat[self._goal]))
        found.append(Reading(JOINT_STATES, JOINT_STATE, self._joint_state(now)))
        return found

    def state(self) -> Vector:
        """Return all that the physics goes on from, (S,), goal and commands included."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.empty(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        return state

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return what 'overhead', 'wrist' or 'scene' (a view for pages) sees, (height, width, 3)."""
        return self._renderer.picture(self.data, camera, width, height)

    def close(self) -> None:
        """Free the graphics context."""
        self._renderer.close()

    def _derive(self) -> None:
        """Bring what follows from the joints up to date: a step leaves it at its beginning."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def _joint_state(self, now: int) -> Message:
        position, velocity = self.data.qpos, self.data.qvel
        return messages.make(
            JOINT_STATE,
            header=messages.header(now, "base_link"),
            name=[*JOINTS, "gripper"],
            position=np.array([*position[:6], position[6] + position[7]]),
            velocity=np.array([*velocity[:6], velocity[6] + velocity[7]]),
            effort=np.array(self.data.actuator_force),
        )


def camera_topic(name: str) -> str:
    """Return the topic of the arm's camera of that name."""
    return f"{name}_camera/image_raw"


def _checked(topic: str, message: Message) -> Vector:
    sizes = {ARM_COMMAND: len(JOINTS), GRIPPER_COMMAND: 1}
    if topic not in sizes:
        raise ValueError(f"{topic}: the arm takes no such command; it takes: {', '.join(sizes)}")
    values = np.asarray(message.data, dtype=np.float64)
    if values.shape != (sizes[topic],):
        raise ValueError(f"{topic}: {sizes[topic]} numbers are needed, not {values.size}: {values.tolist()}")
    if not np.isfinite(values).all():
        raise ValueError(f"{topic}: every number must be finite, not {values.tolist()}")
    return values
