"""Sensor readings of a simulated robot, as messages on the topics of a real robot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import IMAGE, POSE, WRENCH, Vector

WORLD_FRAME = "world"


@dataclass(frozen=True)
class Reading:
    """One message on a topic, stamped with the simulated time."""

    topic: str
    type: str
    message: Message


def pose(topic: str, stamp_ns: int, position_m: Vector, quaternion_wxyz: Vector) -> Reading:
    """Return a PoseStamped in the world frame, from (3,) metres and a quaternion (4,) wxyz."""
    x, y, z = (float(value) for value in position_m)
    qw, qx, qy, qz = (float(value) for value in quaternion_wxyz)
    where = messages.make(
        "geometry_msgs/msg/Pose",
        position=messages.make("geometry_msgs/msg/Point", x=x, y=y, z=z),
        orientation=messages.make("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
    )
    return Reading(
        topic, POSE, messages.make(POSE, header=messages.header(stamp_ns, WORLD_FRAME), pose=where)
    )


def wrench(topic: str, stamp_ns: int, frame_id: str, values: Vector) -> Reading:
    """Return a WrenchStamped of `values` (6,): force in N, torque in N m, in the frame `frame_id`."""
    force, torque = (
        messages.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z) for x, y, z in values.reshape(2, 3).tolist()
    )
    felt = messages.make("geometry_msgs/msg/Wrench", force=force, torque=torque)
    header = messages.header(stamp_ns, frame_id)
    return Reading(topic, WRENCH, messages.make(WRENCH, header=header, wrench=felt))


def image(topic: str, stamp_ns: int, frame_id: str, picture: NDArray[np.uint8]) -> Reading:
    """Return an rgb8 Image of `picture` (H, W, 3) uint8."""
    return Reading(topic, IMAGE, pixels(stamp_ns, frame_id, picture, "rgb8"))


def pixels(stamp_ns: int, frame_id: str, picture: NDArray[Any], encoding: str) -> Message:
    """Return an Image of `picture` (H, W, C) or (H, W): uint8 for rgb8 and mono8, float32 for 32FC1."""
    height, width = picture.shape[:2]
    content = np.ascontiguousarray(picture).view(np.uint8).reshape(-1)
    return messages.make(
        IMAGE,
        header=messages.header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=len(content) // height,
        data=content,
    )
