"""Orientations as numbers that a network can learn: the first two columns of the rotation matrix.

Zhou et al. 2019, "On the Continuity of Rotation Representations", section 4.2: q and -q map to the same six numbers,
and near rotations to near numbers. Quaternions are x, y, z, w.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.specs import Vector

_SMALLEST = 1e-6


def columns_of(quaternions: Vector) -> Vector:
    """Return the first two columns (..., 6) of the rotation matrices of quaternions (..., 4) of any norm.

    A quaternion of zeros, which some drivers send for "no orientation", becomes the identity.
    """
    x, y, z, w = np.moveaxis(
        quaternions, -1, 0
    )  # element-wise: a product of matrices rounds by the batch's size
    twice = 2 / np.maximum(x * x + y * y + z * z + w * w, 1e-300)
    first = (1 - twice * (y * y + z * z), twice * (x * y + z * w), twice * (x * z - y * w))
    second = (twice * (x * y - z * w), 1 - twice * (x * x + z * z), twice * (y * z + x * w))
    return np.stack([*first, *second], axis=-1)


def quaternions_of(columns: Vector) -> Vector:
    """Return the quaternions (..., 4) of norm 1, w >= 0, of the rotations nearest to two columns (..., 6).

    The columns need not be orthogonal or of length 1: the first one is normalised, the second one made orthogonal to
    it. Raises ValueError when they say no rotation: one of them is 0, or they are parallel.
    """
    first, second = columns[..., :3], columns[..., 3:]
    x_axis = _unit(first)
    y_axis = _unit(second - np.sum(x_axis * second, axis=-1, keepdims=True) * x_axis)
    z_axis = np.cross(x_axis, y_axis)
    # matrix elements r[row, column]; each row of `candidates` is 4 q times one of q's numbers (Shepperd 1978)
    (xx, yx, zx), (xy, yy, zy), (xz, yz, zz) = (np.moveaxis(axis, -1, 0) for axis in (x_axis, y_axis, z_axis))
    candidates = np.stack(
        [
            np.stack([1 + xx - yy - zz, xy + yx, xz + zx, zy - yz], axis=-1),
            np.stack([xy + yx, 1 - xx + yy - zz, yz + zy, xz - zx], axis=-1),
            np.stack([xz + zx, yz + zy, 1 - xx - yy + zz, yx - xy], axis=-1),
            np.stack([zy - yz, xz - zx, yx - xy, 1 + xx + yy + zz], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(np.linalg.norm(candidates, axis=-1), axis=-1)[..., None, None]
    chosen = np.take_along_axis(candidates, best, axis=-2)[..., 0, :]
    quaternions = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
    turned: Vector = np.where(quaternions[..., 3:] < 0, -quaternions, quaternions)
    return turned


def _unit(vectors: Vector) -> Vector:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > _SMALLEST).all():
        raise ValueError("the columns of a rotation are 0 or parallel")
    unit: Vector = vectors / lengths
    return unit
