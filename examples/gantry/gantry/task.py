"""The task `gantry` in MuJoCo: move the tool onto the mark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import ARRAY, IMAGE, JOINT_STATE, Vector
from il_ros.sim.mujoco.render import Renderer
from il_ros.sim.mujoco.state import restore, state_of
from il_ros.sim.tasks import reading
from il_ros.sim.tasks.reading import Reading
from il_ros.sim.tasks.task import RESET_PAUSE_NS, Cameras

HERE = Path(__file__).parent
COMMAND = "gantry/commands"
OUTLINE = "geometry_msgs/msg/PolygonStamped"
REACH_M = 0.25
MARK_M = 0.02
NEAR_M, AT_REST_M_S = 0.01, 0.02


class Gantry:
    """See `il_ros.sim.tasks.task`: the class is a TaskClass, its instances are Tasks."""

    name = "gantry"
    goal = "move the tool onto the mark; success: it rests within 1 cm of the mark"
    contract = str(HERE / "gantry.yaml")
    camera_names: tuple[str, ...] = ("above",)
    view = "above_camera/image_raw"
    simulators: tuple[str, ...] = ("mujoco",)
    commands: Mapping[str, str] = {COMMAND: ARRAY}
    control_period_ns = 50_000_000
    time_limit_s = 8.0
    failed = False
    restorable = True

    @classmethod
    def create(cls, cameras: Cameras, simulator: str) -> Gantry:
        """Return the task; MuJoCo is its only simulator."""
        return cls(cameras)

    def __init__(self, cameras: Cameras):
        self._model = mujoco.MjModel.from_xml_path(str(HERE / "gantry.xml"))
        self._data = mujoco.MjData(self._model)
        self._renderer = Renderer(self._model)
        self._cameras = cameras
        self._steps = 0
        self.time_ns = 0
        images = {f"{name}_camera/image_raw": IMAGE for name in cameras.names}
        self.streams: Mapping[str, str] = {**images, "mark": OUTLINE, "joint_states": JOINT_STATE}

    @property
    def success(self) -> bool:
        """True while the tool rests on the mark."""
        away = np.linalg.norm(self._data.qpos - self._data.mocap_pos[0, :2])
        return bool(away < NEAR_M and np.linalg.norm(self._data.qvel) < AT_REST_M_S)

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed: tool and mark at random places, the tool at rest."""
        rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = self._data.ctrl[:] = rng.uniform(-REACH_M, REACH_M, 2)
        self._data.mocap_pos[0, :2] = rng.uniform(-REACH_M, REACH_M, 2)
        mujoco.mj_forward(self._model, self._data)
        self._steps = 0
        self.time_ns += RESET_PAUSE_NS

    def step(self, commands: Mapping[str, Message]) -> None:
        """Apply the newest command, if there is one, and advance by 50 ms."""
        for topic, message in commands.items():
            if topic != COMMAND or len(message.data) != 2 or not np.isfinite(message.data).all():
                raise ValueError(f"{topic}: {COMMAND} with two finite numbers is needed, not {message.data}")
            self._data.ctrl[:] = message.data
        period_s = self.control_period_ns * 1e-9
        mujoco.mj_step(self._model, self._data, round(period_s / self._model.opt.timestep))
        self._steps += 1
        self.time_ns += self.control_period_ns

    def readings(self) -> list[Reading]:
        """Return the camera's image, the mark, and the joint states last."""
        found: list[Reading] = []
        if self._steps % self._cameras.divisor == 0:
            size = self._cameras.width, self._cameras.height
            for name in self._cameras.names:
                pixels = self.picture(name, *size)
                found.append(reading.image(f"{name}_camera/image_raw", self.time_ns, name, pixels))
        joints = messages.make(
            JOINT_STATE,
            header=messages.header(self.time_ns, "table"),
            name=["x", "y"],
            position=self._data.qpos.copy(),
            velocity=self._data.qvel.copy(),
        )
        return [
            *found,
            Reading("mark", OUTLINE, self._outline()),
            Reading("joint_states", JOINT_STATE, joints),
        ]

    def _outline(self) -> Message:
        """Return the corners of the mark, as a camera's driver would find them."""
        x, y = self._data.mocap_pos[0, :2]
        corners = [
            messages.make("geometry_msgs/msg/Point32", x=x + along * MARK_M, y=y + across * MARK_M)
            for along, across in ((1, 1), (1, -1), (-1, -1), (-1, 1))
        ]
        polygon = messages.make("geometry_msgs/msg/Polygon", points=corners)
        return messages.make(OUTLINE, header=messages.header(self.time_ns, "table"), polygon=polygon)

    def state(self) -> Vector:
        """Return the complete state: MuJoCo's and the count of steps."""
        return np.append(state_of(self._model, self._data), self._steps)

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state`."""
        restore(self._model, self._data, state[:-1])
        mujoco.mj_forward(self._model, self._data)
        self._steps = int(state[-1])

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the camera's current image (height, width, 3)."""
        return self._renderer.picture(self._data, camera, width, height)

    def close(self) -> None:
        """Release the graphics context."""
        self._renderer.close()
