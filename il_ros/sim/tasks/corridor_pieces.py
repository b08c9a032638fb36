"""The pieces of a corridor: names in every model, sizes, and the contact test."""

from __future__ import annotations

import math
from collections.abc import Mapping

from il_ros.sim.tasks.corridor import BOXES, CYLINDERS, END_PANEL_M, PANEL_M, WALL_PANELS, Corridor, Place

CYLINDER_RADIUS_M, BOX_SIDE_M = 0.13, 0.24
ROBOT_RADIUS_M = 0.16
TOUCH_M = 0.002
"""At a smaller distance than this, the robot counts as touching a piece of the corridor."""

SIZES_M: Mapping[str, tuple[float, float]] = {
    **{f"panel{k}": PANEL_M for k in range(WALL_PANELS)},
    **{f"end{k}": (END_PANEL_M, PANEL_M[1]) for k in range(2)},
    **{f"cylinder{k}": (2 * CYLINDER_RADIUS_M, 0.0) for k in range(CYLINDERS)},
    **{f"box{k}": (BOX_SIDE_M, BOX_SIDE_M) for k in range(BOXES)},
}
"""Size of each piece in the plane, by name; a cylinder has (diameter, 0)."""


def places(corridor: Corridor) -> dict[str, Place]:
    """Return the pose of each piece, by name."""
    all_places = (*corridor.panels, *corridor.ends, *corridor.cylinders, *corridor.boxes)
    return dict(zip(SIZES_M, all_places, strict=True))


def touches(x_m: float, y_m: float, standing: Mapping[str, Place]) -> bool:
    """Return whether the robot's round hull, centred at (x, y), touches one of the pieces."""
    gaps = [gap_m(x_m, y_m, place, SIZES_M[name]) for name, place in standing.items()]
    return min(gaps) < ROBOT_RADIUS_M + TOUCH_M


def gap_m(x_m: float, y_m: float, place: Place, size_m: tuple[float, float]) -> float:
    """Return the distance in the plane from a point to a piece; 0 inside."""
    dx, dy = x_m - place.x_m, y_m - place.y_m
    if size_m[1] == 0.0:
        return max(math.hypot(dx, dy) - size_m[0] / 2, 0.0)
    cos, sin = math.cos(place.yaw_rad), math.sin(place.yaw_rad)
    along, across = abs(dx * cos + dy * sin) - size_m[0] / 2, abs(dy * cos - dx * sin) - size_m[1] / 2
    return math.hypot(max(along, 0.0), max(across, 0.0))
