"""The worlds as Gazebo Classic gets them: one text, with the models in it and cameras of the wanted size.

The files in worlds/ and models/ are gz-sim's as well; what only gz-sim knows is taken out here.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from il_ros.sim.task import Cameras

FOLDER = Path(__file__).parent
MODELS, WORLDS = FOLDER / "models", FOLDER / "worlds"


def world_element(name: str) -> Element:
    """Return the root of worlds/<name>.sdf with its models written out and without gz-sim's plugins."""
    root = ElementTree.parse(WORLDS / f"{name}.sdf").getroot()
    world = _only(root, "world")
    for include in world.findall("include"):
        world.remove(include)
        world.append(_included(include))
    for plugin in world.findall("plugin"):
        world.remove(plugin)
    for sensor in root.iter("sensor"):
        if sensor.get("type") == "gpu_ray":
            sensor.set("type", "ray")  # cast in the physics: needs no graphics card
    _only(_only(world, "physics"), "real_time_update_rate").text = "0"  # who steps it sets the pace
    return root


def world_text(root: Element, cameras: Cameras) -> str:
    """Return the world as text, every camera with the wanted size and its own vertical field of view."""
    for camera in root.iter("camera"):
        image = _only(camera, "image")
        field = _only(camera, "horizontal_fov")
        square = float(field.text or "")  # the files' images are square: this is the vertical field, too
        field.text = repr(2 * math.atan(cameras.width / cameras.height * math.tan(square / 2)))
        _only(image, "width").text, _only(image, "height").text = str(cameras.width), str(cameras.height)
    return ElementTree.tostring(root, encoding="unicode")


def add_box(world: Element, name: str, size_m: tuple[float, float, float], rgb: str) -> Element:
    """Add a box that stands on the floor, to be placed later; return its link."""
    text = " ".join(f"{side:g}" for side in size_m)
    geometry = ElementTree.fromstring(f"<geometry><box><size>{text}</size></box></geometry>")
    return _standing(world, name, geometry, size_m[2], rgb)


def add_cylinder(world: Element, name: str, radius_m: float, height_m: float, rgb: str) -> Element:
    """Add an upright cylinder that stands on the floor, to be placed later; return its link."""
    size = f"<radius>{radius_m:g}</radius><length>{height_m:g}</length>"
    geometry = ElementTree.fromstring(f"<geometry><cylinder>{size}</cylinder></geometry>")
    return _standing(world, name, geometry, height_m, rgb)


def _standing(world: Element, name: str, geometry: Element, height_m: float, rgb: str) -> Element:
    model = SubElement(world, "model", {"name": name})
    SubElement(model, "static").text = "1"
    link = SubElement(model, "link", {"name": "link"})
    SubElement(link, "pose").text = f"0 0 {height_m / 2:g} 0 0 0"
    collision = SubElement(link, "collision", {"name": "solid"})
    collision.append(geometry)
    collision.append(ElementTree.fromstring(_FRICTION))
    visual = SubElement(link, "visual", {"name": "look"})
    visual.append(geometry)
    colour = f"<ambient>{rgb} 1</ambient><diffuse>{rgb} 1</diffuse>"
    visual.append(ElementTree.fromstring(f"<material>{colour}</material>"))
    return link


_FRICTION = "<surface><friction><ode><mu>0.3</mu><mu2>0.3</mu2></ode></friction></surface>"


def _included(include: Element) -> Element:
    name = (_only(include, "uri").text or "").removeprefix("model://")
    model = _only(ElementTree.parse(MODELS / name / "model.sdf").getroot(), "model")
    pose = include.find("pose")
    if pose is not None:
        model.insert(0, pose)
    return model


def _only(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    if found is None:
        raise ValueError(f"SDF: <{parent.tag}> has no <{tag}>")
    return found
