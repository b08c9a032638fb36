"""The pictures of one camera across episodes, by the number of their frame; compressed ones are decoded by threads."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from il_ros.episodes.arrays.pictures import CompressedPictures
from il_ros.episodes.jobs import cores

Array = np.ndarray[Any, Any]

AHEAD = 2
"""Batches of pictures that are decoded while one is used."""
MOST_THREADS = 8
_BLOCK = 8
"""Pictures that a thread decodes at a time."""


class CameraFrames:
    """The frames of one camera across several episodes: arrays, usually memory-mapped, or compressed pictures."""

    def __init__(self, parts: Sequence[Array | CompressedPictures]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        self.compressed = any(isinstance(part, CompressedPictures) for part in parts)
        """Whether frames have to be decoded."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C) of a frame."""
        shape: tuple[int, ...] = self._parts[0].shape[1:]
        return shape

    def empty(self, count: int) -> Array:
        """Return an array for frames (count, H, W, C)."""
        return np.empty((count, *self.shape), self._parts[0].dtype)

    def take(self, frames: Sequence[int]) -> Array:
        """Return copies of the frames (B, H, W, C) with these indices."""
        out = self.empty(len(frames))
        self.take_into(frames, out)
        return out

    def take_into(self, frames: Sequence[int], out: Array) -> None:
        """Write the frames with these indices into `out` (B, H, W, C); raises OSError when one can't be read."""
        for place, frame in enumerate(frames):
            index = bisect_right(self._starts, frame) - 1
            part, row = self._parts[index], frame - self._starts[index]
            if isinstance(part, CompressedPictures):
                part.read_into(row, out[place])
            else:
                out[place] = part[row]


def read_ahead(
    cameras: Mapping[str, CameraFrames], batches: Iterable[Sequence[int]], threads: int | None = None
) -> Iterator[dict[str, Array]]:
    """Yield the frames of each batch of indices by camera: (B, H, W, C), in the order of `batches`.

    Where there are compressed pictures, `threads` (None: one per core) decode those of the next batches meanwhile.
    Threads, because a process that has rendered must not fork, and because decoding releases Python's lock. They end
    with the iterator. Raises OSError when a picture can't be read.
    """
    if not any(camera.compressed for camera in cameras.values()):
        for frames in batches:
            yield {key: camera.take(frames) for key, camera in cameras.items()}
        return
    source = iter(batches)
    pending: deque[tuple[dict[str, Array], list[Future[None]]]] = deque()
    pool = ThreadPoolExecutor(threads or min(MOST_THREADS, cores()), thread_name_prefix="pictures")
    try:
        while True:
            for frames in islice(source, AHEAD + 1 - len(pending)):
                pending.append(_begun(pool, cameras, frames))
            if not pending:
                return
            out, work = pending.popleft()
            for each in work:
                each.result()
            yield out
    finally:
        pool.shutdown(cancel_futures=True)


def _begun(
    pool: ThreadPoolExecutor, cameras: Mapping[str, CameraFrames], frames: Sequence[int]
) -> tuple[dict[str, Array], list[Future[None]]]:
    """Return arrays for a batch, and the work that fills them."""
    out = {key: camera.empty(len(frames)) for key, camera in cameras.items()}
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(frames), _BLOCK)]
    work = [
        pool.submit(camera.take_into, frames[block], out[key][block])
        for key, camera in cameras.items()
        for block in blocks
    ]
    return out, work
