"""Products of poses, in plain Python: for seven numbers that is several times as fast as arrays.

A pose is a position (x, y, z) and the quaternion of a rotation (x, y, z, w) of length 1.
"""

from __future__ import annotations

import math

Pose = tuple[float, float, float, float, float, float, float]

IDENTITY: Pose = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def chained(first: Pose, second: Pose) -> Pose:
    """Return the pose that `second` has in the frame in which `first` is given."""
    ax, ay, az, aw = first[3:]
    bx, by, bz, bw = second[3:]
    x, y, z = _turned(first, second[0], second[1], second[2])
    return (
        first[0] + x,
        first[1] + y,
        first[2] + z,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def inverse(pose: Pose) -> Pose:
    """Return the pose of the first frame in the second."""
    back: Pose = (0.0, 0.0, 0.0, -pose[3], -pose[4], -pose[5], pose[6])
    x, y, z = _turned(back, pose[0], pose[1], pose[2])
    return (-x, -y, -z, *back[3:])


def interpolated(before: Pose, after: Pose, share: float) -> Pose:
    """Return the pose between two: positions on a line, orientations along the shortest arc (Shoemake 1985)."""
    first, second = before[3:], after[3:]
    cosine = sum(a * b for a, b in zip(first, second, strict=True))
    sign = -1.0 if cosine < 0 else 1.0  # q and -q are the same rotation
    cosine = abs(cosine)
    if cosine > 1 - 1e-9:
        left, right = 1 - share, sign * share
    else:
        angle = math.acos(cosine)
        left, right = math.sin((1 - share) * angle), sign * math.sin(share * angle)
    mixed = [left * a + right * b for a, b in zip(first, second, strict=True)]
    length = math.hypot(*mixed)
    x, y, z = (a + share * (b - a) for a, b in zip(before[:3], after[:3], strict=True))
    qx, qy, qz, qw = (each / length for each in mixed)
    return (x, y, z, qx, qy, qz, qw)


def _turned(pose: Pose, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Return a point after the rotation of a pose: v + 2 u x (u x v + w v)."""
    ux, uy, uz, w = pose[3:]
    cx, cy, cz = uy * z - uz * y + w * x, uz * x - ux * z + w * y, ux * y - uy * x + w * z
    return x + 2 * (uy * cz - uz * cy), y + 2 * (uz * cx - ux * cz), z + 2 * (ux * cy - uy * cx)
