"""A camera image as coloured characters of a terminal, which works over SSH and without a window."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LARGEST = 24  # lines; limits the data rate of slow connections
_BESIDE = 8  # lines reserved for text


def picture_lines(picture: NDArray[np.uint8], width: int, height: int) -> list[str]:
    """Return an RGB image (H, W, 3) as coloured lines for a terminal of `width` by `height` characters.

    A character shows two nearly square pixels, one above the other. A terminal with fewer than twelve lines
    shows no image.
    """
    rows = min(_LARGEST, height - _BESIDE)
    columns = min(width - 1, round(2 * rows * picture.shape[1] / picture.shape[0]))
    rows = round(columns * picture.shape[0] / picture.shape[1] / 2)
    if rows < 4:
        return []
    pixels = cv2.resize(picture, (columns, 2 * rows), interpolation=cv2.INTER_AREA)
    return [
        _line(upper, lower) for upper, lower in zip(pixels[0::2].tolist(), pixels[1::2].tolist(), strict=True)
    ]


def _line(upper: list[list[int]], lower: list[list[int]]) -> str:
    """Return a line of half blocks; colour codes are written only where the colours change."""
    line, before = "", ""
    for (r, g, b), (r2, g2, b2) in zip(upper, lower, strict=True):
        colours = f"\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m"
        line += "▀" if colours == before else f"{colours}▀"
        before = colours
    return f"{line}\x1b[0m"
