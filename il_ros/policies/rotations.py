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
    products = quaternions[..., :, None] * quaternions[..., None, :]  # (..., 4, 4)
    products = products.reshape(*quaternions.shape[:-1], 16)
    norms = np.maximum(products @ _SQUARED_NORM, 1e-300)[..., None]
    columns: Vector = _IDENTITY + products @ _TO_COLUMNS / norms
    return columns


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


def _rotation_tables() -> tuple[Vector, Vector, Vector]:
    """Return (16, 6), (16,), (6,): maps from products of x y z w to columns and norm, and the offset."""
    x, y, z, w = range(4)
    columns = np.zeros((4, 4, 6))
    for place, terms in enumerate(
        (
            ((-2, y, y), (-2, z, z)),
            ((2, x, y), (2, z, w)),
            ((2, x, z), (-2, y, w)),
            ((2, x, y), (-2, z, w)),
            ((-2, x, x), (-2, z, z)),
            ((2, y, z), (2, x, w)),
        )
    ):
        for factor, first, second in terms:
            columns[first, second, place] = factor
    return columns.reshape(16, 6), np.eye(4).reshape(16), np.array([1.0, 0, 0, 0, 1, 0])


_TO_COLUMNS, _SQUARED_NORM, _IDENTITY = _rotation_tables()
