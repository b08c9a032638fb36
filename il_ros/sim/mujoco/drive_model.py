"""The MuJoCo model of `drive`: the robot of models/drive.xml in a corridor of movable pieces."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

import mujoco

from il_ros.sim.tasks.corridor import BOXES, CYLINDERS, END_PANEL_M, PANEL_M, WALL_PANELS, Corridor, Place
from il_ros.sim.tasks.corridor_pieces import BOX_SIDE_M, CYLINDER_RADIUS_M
from il_ros.sim.tasks.drive_scene import WHEEL_RADIUS_M

WALL_HEIGHT_M = 0.5
OBSTACLE_HEIGHT_M = 0.4


def drive_model() -> mujoco.MjModel:
    """Return the compiled model; every piece of the corridor is a mocap body, which `place` positions."""
    root = ElementTree.parse(Path(__file__).with_name("models") / "drive.xml").getroot()
    world = root.find("worldbody")
    assert world is not None
    length, thickness = PANEL_M
    for index in range(WALL_PANELS):
        _panel(world, f"panel{index}", length, thickness, "wall")
    for index in range(2):
        _panel(world, f"end{index}", END_PANEL_M, thickness, "end")
    height = OBSTACLE_HEIGHT_M / 2
    for index in range(CYLINDERS):
        _piece(world, f"cylinder{index}", "cylinder", (CYLINDER_RADIUS_M, height), height, "cone")
    for index in range(BOXES):
        _piece(world, f"box{index}", "box", (BOX_SIDE_M / 2, BOX_SIDE_M / 2, height), height, "crate")
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


def place(model: mujoco.MjModel, data: mujoco.MjData, corridor: Corridor) -> None:
    """Place the corridor's pieces and the robot as in `corridor`, the robot at rest."""
    pieces = {
        "panel": corridor.panels,
        "end": corridor.ends,
        "cylinder": corridor.cylinders,
        "box": corridor.boxes,
    }
    for kind, places in pieces.items():
        for index, where in enumerate(places):
            _put(model, data, f"{kind}{index}", where)
    _put(model, data, "goal", corridor.goal)
    start = corridor.start
    data.qpos[:7] = (start.x_m, start.y_m, WHEEL_RADIUS_M, *_quaternion(start.yaw_rad))


def _put(model: mujoco.MjModel, data: mujoco.MjData, body: str, where: Place) -> None:
    index = model.body(body).mocapid[0]
    data.mocap_pos[index] = (where.x_m, where.y_m, 0.0)
    data.mocap_quat[index] = _quaternion(where.yaw_rad)


def _quaternion(yaw_rad: float) -> tuple[float, float, float, float]:
    """Return the quaternion wxyz of a rotation about the vertical."""
    return (math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2))


def _panel(world: ElementTree.Element, name: str, length: float, thickness: float, material: str) -> None:
    height = WALL_HEIGHT_M / 2
    body = _piece(world, name, "box", (length / 2, thickness / 2, height), height, material)
    strip = _geom("box", (length / 2, thickness / 2 + 0.004, 0.03), 0.03, "skirting")
    strip.update({"contype": "0", "group": "0"})
    ElementTree.SubElement(body, "geom", strip)


def _piece(
    world: ElementTree.Element, name: str, kind: str, size: tuple[float, ...], height: float, material: str
) -> ElementTree.Element:
    body = ElementTree.SubElement(world, "body", {"name": name, "mocap": "true"})
    ElementTree.SubElement(body, "geom", {"name": name, **_geom(kind, size, height, material)})
    return body


def _geom(kind: str, size: tuple[float, ...], height: float, material: str) -> dict[str, str]:
    return {
        "class": "corridor",
        "type": kind,
        "size": " ".join(f"{number:g}" for number in size),
        "pos": f"0 0 {height:g}",
        "material": material,
    }
