"""`carry`: two planar arms carry a bar, which each holds at an end, to its mark.

The arms have an action group each, so that a person can correct one while the policy drives the other (docs/groups.md).
Poses of bar and mark are (3,): x and y in m, turn in rad.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import ARRAY, IMAGE, JOINT_STATE, POSE, Vector
from il_ros.sim.tasks import reading
from il_ros.sim.tasks.reading import Reading
from il_ros.sim.tasks.task import NO_CAMERAS, RESET_PAUSE_NS, Cameras, scene_of

if TYPE_CHECKING:
    from il_ros.sim.mujoco.carry import MujocoCarry

JOINTS = ("left_shoulder", "left_elbow", "right_shoulder", "right_elbow")
LEFT, RIGHT = "left_position_controller/commands", "right_position_controller/commands"
PLACES = {LEFT: slice(0, 2), RIGHT: slice(2, 4)}
SHOULDERS_M = np.array([[-0.25, 0.0], [0.25, 0.0]])
UPPER_M, FORE_M, BAR_M = 0.3, 0.25, 0.3
BEND = np.array([-1.0, 1.0])
"""The sign of each elbow's angle: the elbows point outwards."""
START, START_SPREAD = np.array([0.0, 0.26, 0.0]), np.array([0.05, 0.03, 0.25])
GOAL, GOAL_SPREAD = np.array([0.0, 0.37, 0.0]), np.array([0.07, 0.03, 0.3])
NEAR_M, NEAR_RAD, AT_REST = 0.015, 0.08, 0.03
SLIP_M = 0.08
"""The bar slips when the commanded tips are this much farther apart, or nearer, than its ends."""


class Carry:
    """See `il_ros.sim.tasks.task.Task`."""

    name = "carry"
    goal = "carry the bar to the green mark with both arms; success: it rests on the mark, within 1.5 cm and 5 degrees"
    contract = "carry"
    robot = "carry"
    camera_names: tuple[str, ...] = ("above",)
    view = "above_camera/image_raw"
    simulators: tuple[str, ...] = ("mujoco",)
    commands: Mapping[str, str] = {LEFT: ARRAY, RIGHT: ARRAY}
    control_period_ns = 50_000_000
    time_limit_s = 10.0

    @classmethod
    def create(cls, cameras: Cameras, simulator: str) -> Carry:
        """Return the task in one of its simulators; see `TaskClass`."""
        return cls(scene_of(simulator, cls.robot, cls.name, cameras), cameras)

    def __init__(self, scene: MujocoCarry, cameras: Cameras = NO_CAMERAS):
        self.scene = scene
        self._cameras = cameras
        self._steps = 0
        self._time_ns = 0
        images = {f"{name}_camera/image_raw": IMAGE for name in cameras.names}
        self.streams: Mapping[str, str] = {
            **images,
            "bar_pose": POSE,
            "goal_pose": POSE,
            "joint_states": JOINT_STATE,
        }

    @property
    def time_ns(self) -> int:
        """Simulated time; resets do not set it back."""
        return self._time_ns

    @property
    def success(self) -> bool:
        """True while the bar rests on its mark."""
        away = np.abs(self.scene.bar - self.scene.goal)
        near = np.hypot(*away[:2]) < NEAR_M and away[2] < NEAR_RAD
        return bool(self.scene.held and near and np.abs(self.scene.bar_speed).max() < AT_REST)

    @property
    def failed(self) -> bool:
        """True once the bar has slipped: the arms pulled against each other."""
        return not self.scene.held

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed: the arms hold the bar; bar and mark are at random poses."""
        rng = np.random.default_rng(seed)
        bar = START + START_SPREAD * rng.uniform(-1, 1, 3)
        goal = GOAL + GOAL_SPREAD * rng.uniform(-1, 1, 3)
        self.scene.place(reaching(ends(bar)), bar, goal)
        self._steps = 0
        self._time_ns += RESET_PAUSE_NS

    def step(self, commands: Mapping[str, Message]) -> None:
        """Apply the newest commands and advance by 50 ms. Raises ValueError on an invalid command."""
        targets = np.array(self.scene.data.ctrl)
        for topic, message in commands.items():
            targets[_place(topic)] = _checked(topic, message)
        self.scene.command(targets)
        apart_m = np.linalg.norm(np.subtract(*tips(targets)))
        if abs(apart_m - BAR_M) > SLIP_M:
            self.scene.release()
        self.scene.advance(self.control_period_ns)
        self._steps += 1
        self._time_ns += self.control_period_ns

    def readings(self) -> list[Reading]:
        """Return the camera's image (when due), the poses of bar and mark, and the joint states last."""
        now, found = self._time_ns, []
        if self._steps % self._cameras.divisor == 0:
            size = (self._cameras.width, self._cameras.height)
            for name in self._cameras.names:
                pixels = self.picture(name, *size)
                found.append(reading.image(f"{name}_camera/image_raw", now, f"{name}_camera", pixels))
        joints = messages.make(
            JOINT_STATE,
            header=messages.header(now, "table"),
            name=list(JOINTS),
            position=self.scene.joints_rad,
            velocity=self.scene.speeds_rad_s,
        )
        return [
            *found,
            _pose("bar_pose", now, self.scene.bar),
            _pose("goal_pose", now, self.scene.goal),
            Reading("joint_states", JOINT_STATE, joints),
        ]

    def state(self) -> Vector:
        """Return the complete state (S,)."""
        return np.append(self.scene.state(), self._steps)

    @property
    def restorable(self) -> bool:
        """Whether the simulator can be set to a state."""
        return self.scene.restorable

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state`; see `Task`."""
        self.scene.restore(state[:-1])
        self._steps = int(state[-1])

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the image (height, width, 3) of 'above'."""
        return self.scene.picture(camera, width, height)

    def close(self) -> None:
        """Release the simulator's resources."""
        self.scene.close()


def ends(bar: Vector) -> Vector:
    """Return the positions (2, 2) of the left and the right end of a bar (3,)."""
    along = BAR_M / 2 * np.array([np.cos(bar[2]), np.sin(bar[2])])
    return np.array([bar[:2] - along, bar[:2] + along])


def tips(joints_rad: Vector) -> Vector:
    """Return the positions (2, 2) of the left and the right tip for joint angles (4,)."""
    upper, fore = joints_rad[0::2], joints_rad[0::2] + joints_rad[1::2]
    x = -UPPER_M * np.sin(upper) - FORE_M * np.sin(fore)
    y = UPPER_M * np.cos(upper) + FORE_M * np.cos(fore)
    return SHOULDERS_M + np.stack([x, y], axis=1)


def reaching(points_m: Vector) -> Vector:
    """Return the joint angles (4,) with which the tips are at these points (2, 2), or as near as the arms reach."""
    x, y = (points_m - SHOULDERS_M).T
    cosine = (x**2 + y**2 - UPPER_M**2 - FORE_M**2) / (2 * UPPER_M * FORE_M)
    elbow = BEND * np.arccos(np.clip(cosine, -1.0, 1.0))
    shoulder = np.arctan2(-x, y) - np.arctan2(FORE_M * np.sin(elbow), UPPER_M + FORE_M * np.cos(elbow))
    return np.stack([shoulder, elbow], axis=1).reshape(4)


def _pose(topic: str, now_ns: int, pose: Vector) -> Reading:
    half = pose[2] / 2
    turn = np.array([np.cos(half), 0.0, 0.0, np.sin(half)])
    return reading.pose(topic, now_ns, np.array([pose[0], pose[1], 0.0]), turn)


def _place(topic: str) -> slice:
    if topic not in PLACES:
        raise ValueError(f"{topic}: there is no such command topic; the arms have: {', '.join(PLACES)}")
    return PLACES[topic]


def _checked(topic: str, message: Message) -> Vector:
    values = np.asarray(message.data, dtype=np.float64)
    if values.shape != (2,) or not np.isfinite(values).all():
        raise ValueError(f"{topic}: two finite numbers are needed, not {values.tolist()}")
    return values
