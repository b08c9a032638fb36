"""Builds the worlds for Gazebo Classic: one SDF text, with the models included and the camera sizes set.

Classic and gz-sim share the files in worlds/ and models/; elements that only gz-sim supports are removed
here.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from il_ros.core import share
from il_ros.sim.tasks.task import Cameras


def world_element(name: str) -> Element:
    """Return the root of worlds/<name>.sdf with its models included and without gz-sim's plugins."""
    root = ElementTree.parse(share.path("worlds", f"{name}.sdf")).getroot()
    world = _only(root, "world")
    for include in world.findall("include"):
        world.remove(include)
        world.append(_included(include))
    for parent in (world, *world.findall("model")):
        for plugin in parent.findall("plugin"):
            parent.remove(plugin)
    for sensor in root.iter("sensor"):
        if sensor.get("type") == "gpu_ray":
            sensor.set("type", "ray")  # ray cast in the physics engine: needs no GPU
    _only(_only(world, "physics"), "real_time_update_rate").text = "0"  # the client sets the pace
    return root


def world_text(root: Element, cameras: Cameras, step_ns: int) -> str:
    """Return the world as text, with the size of `cameras`; the vertical field of view stays."""
    _only(_only(_only(root, "world"), "physics"), "max_step_size").text = f"{step_ns * 1e-9:.9f}"
    for camera in root.iter("camera"):
        image = _only(camera, "image")
        field = _only(camera, "horizontal_fov")
        square = float(
            field.text or ""
        )  # images in the files are square, so this is the vertical field of view as well
        field.text = repr(2 * math.atan(cameras.width / cameras.height * math.tan(square / 2)))
        _only(image, "width").text, _only(image, "height").text = str(cameras.width), str(cameras.height)
    return ElementTree.tostring(root, encoding="unicode")


def _included(include: Element) -> Element:
    name = (_only(include, "uri").text or "").removeprefix("model://")
    model = _only(ElementTree.parse(share.path("models", name, "model.sdf")).getroot(), "model")
    pose = include.find("pose")
    if pose is not None:
        model.insert(0, pose)
    for plugin in include.findall("plugin"):  # dropped, with the damping that only they need
        if (plugin.get("name") or "").endswith("::JointPositionController"):
            _undamped(model, plugin.findtext("joint_name"))
    return model


def _undamped(model: Element, name: str | None) -> None:
    """Set a joint's damping to 0: gz-sim's controllers need it, the lockstep plugin's servos don't."""
    joint = model.find(f"joint[@name='{name}']")
    if joint is None:
        raise ValueError(f"SDF: a plugin drives joint {name}, which {model.get('name')} doesn't have")
    _only(_only(_only(joint, "axis"), "dynamics"), "damping").text = "0"


def _only(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    if found is None:
        raise ValueError(f"SDF: <{parent.tag}> has no <{tag}>")
    return found
