"""A planar laser scanner: ray casts in MuJoCo, published as sensor_msgs/LaserScan (REP 117)."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import LASER_SCAN, Vector

BEAMS = 60
FIELD_RAD = math.radians(240)
RANGE_M = (0.05, 4.0)
SEEN_GROUP = 2  # geom group that the laser detects

_RIGHT_RAD = -FIELD_RAD / 2
_STEP_RAD = FIELD_RAD / (BEAMS - 1)


def beam_angles() -> Vector:
    """Return the beams' directions, (BEAMS,) radians, from right to left: 0 is ahead, left positive."""
    return _RIGHT_RAD + _STEP_RAD * np.arange(BEAMS, dtype=np.float64)


def laser_scan(ranges_m: Vector, stamp_ns: int, period_s: float) -> Message:
    """Return the LaserScan of ranges (BEAMS,) in metres; all beams are measured at one instant."""
    return messages.make(
        LASER_SCAN,
        header=messages.header(stamp_ns, "laser"),
        angle_min=_RIGHT_RAD,
        angle_max=-_RIGHT_RAD,
        angle_increment=_STEP_RAD,
        time_increment=0.0,
        scan_time=period_s,
        range_min=RANGE_M[0],
        range_max=RANGE_M[1],
        ranges=ranges_m.astype(np.float32),
    )


class Laser:
    """A scanner at a site of the model; it detects geoms of SEEN_GROUP only."""

    def __init__(self, model: mujoco.MjModel, site: str):
        self._model = model
        self._site = model.site(site).id
        self._groups = np.zeros(6, np.uint8)
        self._groups[SEEN_GROUP] = 1
        angles = beam_angles()
        self._directions = np.stack([np.cos(angles), np.sin(angles), np.zeros(BEAMS)], axis=1)

    def ranges(self, data: mujoco.MjData) -> Vector:
        """Return each beam's distance, (BEAMS,) metres: inf beyond the maximum, -inf below the minimum."""
        origin = data.site_xpos[self._site]
        directions = self._directions @ data.site_xmat[self._site].reshape(3, 3).T
        geom = np.zeros(1, np.int32)
        found = np.array(
            [
                mujoco.mj_ray(self._model, data, origin, direction, self._groups, True, -1, geom)
                for direction in directions
            ]
        )
        nearest, farthest = RANGE_M
        nothing = (found < 0.0) | (found > farthest)  # mj_ray returns -1 without a hit
        return np.where(nothing, np.inf, np.where(found < nearest, -np.inf, found))
