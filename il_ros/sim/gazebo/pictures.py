"""Images of any size from cameras whose size Gazebo fixes at its start."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def fitted(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) resized to (height, width, 3)."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
