"""Forward kinematics of the arm, and inverse kinematics with the tool pointing down, in closed form.

The lengths are those of models/arm.xml. The wrist is roll-pitch-roll; its first roll is 0 with the tool down.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector

SHOULDER_M = 0.12
UPPER_M = 0.27
FOREARM_M = 0.25
TOOL_M = 0.14
"""From the wrist's pitch axis to the tip between the fingers."""

NEAREST_M, FARTHEST_M = 0.09, 0.515
"""Permitted distance from shoulder to wrist: keeps a margin to the joint limits and the stretched elbow."""


def forward(joints_rad: Vector) -> tuple[Vector, NDArray[np.float64]]:
    """Return the tip's position (3,) in metres and the tool's rotation (3, 3) for joints (6,)."""
    q1, q2, q3, q4, q5, q6 = (float(angle) for angle in joints_rad[:6])
    upper = _about_z(q1) @ _about_y(q2)
    forearm = upper @ _about_y(q3)
    tool = forearm @ _about_z(q4) @ _about_y(q5) @ _about_z(q6)
    tip = np.array([0.0, 0.0, SHOULDER_M]) + UPPER_M * upper[:, 2] + FOREARM_M * forearm[:, 2]
    return tip + TOOL_M * tool[:, 2], tool


def pointing_down(tip_m: Vector, yaw_rad: float | None = None) -> Vector:
    """Return the joints (6,) that place the tip at (3,) with the tool straight down, elbow up.

    The fingers lie left and right of the direction `yaw_rad`; None leaves joint6 at 0. An unreachable tip is
    replaced by the nearest reachable point on the line from the shoulder.
    """
    radius, height = math.hypot(tip_m[0], tip_m[1]), float(tip_m[2]) + TOOL_M - SHOULDER_M
    distance = math.hypot(radius, height)
    reach = min(max(distance, NEAREST_M), FARTHEST_M)
    if distance > 0:
        radius, height = radius * reach / distance, height * reach / distance
    joint1 = math.atan2(tip_m[1], tip_m[0])
    cosine = (reach**2 - UPPER_M**2 - FOREARM_M**2) / (2 * UPPER_M * FOREARM_M)
    joint3 = math.acos(min(max(cosine, -1.0), 1.0))
    aside = math.atan2(FOREARM_M * math.sin(joint3), UPPER_M + FOREARM_M * math.cos(joint3))
    joint2 = math.atan2(radius, height) - aside
    joint6 = 0.0 if yaw_rad is None else joint1 - yaw_rad
    return np.array([joint1, joint2, joint3, 0.0, math.pi - joint2 - joint3, joint6])


def reaches(tip_m: Vector) -> bool:
    """Return whether the arm reaches the tip position (3,) with the tool straight down."""
    distance = math.hypot(tip_m[0], tip_m[1], float(tip_m[2]) + TOOL_M - SHOULDER_M)
    return NEAREST_M <= distance <= FARTHEST_M


def _about_z(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _about_y(angle: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
