"""What a camera sees, as letters of a terminal: it works over SSH, and needs no window."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LARGEST = 24  # lines; more would cost a slow connection too much
_BESIDE = 8  # lines left to what is told


def picture_lines(picture: NDArray[np.uint8], width: int, height: int) -> list[str]:
    """Return a picture (H, W, 3) as coloured lines for a terminal of `width` by `height` letters.

    A letter shows two dots, one above the other, which are nearly square. Nothing fits beside fewer than
    twelve lines of text.
    """
    rows = min(_LARGEST, height - _BESIDE)
    columns = min(width - 1, round(2 * rows * picture.shape[1] / picture.shape[0]))
    rows = round(columns * picture.shape[0] / picture.shape[1] / 2)
    if rows < 4:
        return []
    dots = cv2.resize(picture, (columns, 2 * rows), interpolation=cv2.INTER_AREA)
    return [
        _line(upper, lower) for upper, lower in zip(dots[0::2].tolist(), dots[1::2].tolist(), strict=True)
    ]


def _line(upper: list[list[int]], lower: list[list[int]]) -> str:
    """Return a line of half blocks; the colours are named only where they change."""
    line, before = "", ""
    for (r, g, b), (r2, g2, b2) in zip(upper, lower, strict=True):
        colours = f"\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m"
        line += "▀" if colours == before else f"{colours}▀"
        before = colours
    return f"{line}\x1b[0m"
