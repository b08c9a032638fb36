"""Pictures that are kept compressed and decoded when they are read, so that large data sets fit on a disk.

A colour or grey picture is kept as the camera's own jpeg where that has the contract's size; it then decodes to exactly
what the policy sees. Every other one becomes a jpeg of `QUALITY` with full colour resolution. Depth is lossless: a
16-bit png where all values are whole millimetres, else zstandard over the planes of the bytes of float32.

KEY.pictures holds the pictures one after the other, KEY.places.npy (T, 2) the first byte and the size of each tick's
picture. Ticks that show the same message share one; size 0: the observation is missing, and the picture is zero.
"""

from __future__ import annotations

import copy
import operator
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core import codecs
from il_ros.core.codecs.base import Decoder
from il_ros.core.codecs.picture_header import read_header
from il_ros.core.codecs.pixels import metres
from il_ros.core.messages import Message
from il_ros.core.specs import COMPRESSED_IMAGE, ObservationSpec

Array = np.ndarray[Any, Any]

QUALITY = 95
"""Of the jpegs that are made here. docs/figures/data.md has their size and error (`bench/images_scale.py`)."""
MOST_CODE = 65535
_MM_PER_M = 1000.0
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"
_ZSTD_LEVEL = 3


def compressing(spec: ObservationSpec) -> Decoder:
    """Return the reader of an observation's messages that gives a picture compressed (n,) uint8, all else as usual.

    It raises CodecError where `codecs.decoder` does: a picture that can't be decoded is not kept either.
    """
    read = codecs.decoder(spec)
    if spec.image is None:
        return read

    def compress(message: Message) -> Array:
        picture = read(message)
        if spec.type == COMPRESSED_IMAGE and picture.dtype == np.uint8:
            own = np.array(np.frombuffer(bytes(message.data), dtype=np.uint8))
            if own[:2].tobytes() == _JPEG and _is(own, picture):
                return own
        return compressed(picture)

    return compress


def compressed(picture: Array) -> NDArray[np.uint8]:
    """Return a picture (H, W, C), uint8 colours in RGB order, grey, or float32 depth, compressed (n,)."""
    import cv2

    if picture.dtype != np.uint8:
        return _compressed_depth(picture)
    pixels = picture[..., ::-1] if picture.shape[2] == 3 else picture
    settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels), settings)
    if not done:
        raise ValueError(f"a picture of {picture.shape} can't be written as jpeg")
    return np.asarray(data, dtype=np.uint8).reshape(-1)


def decode(data: NDArray[np.uint8], out: Array) -> None:
    """Decode a compressed picture (n,) into `out` (H, W, C); n = 0 gives zeros.

    Raises ValueError when the bytes are no picture of this shape. OpenCV and zstandard release Python's lock.
    """
    import cv2

    if not data.size:
        out[...] = 0
        return
    if out.dtype != np.uint8:
        _decode_depth(data, out)
        return
    _require_size(data, out)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR if out.shape[2] == 3 else cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape[:2] != out.shape[:2]:
        raise ValueError(f"not a picture of {out.shape[1]}x{out.shape[0]}")
    if out.shape[2] == 3:
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=out)
    else:
        out[..., 0] = pixels


def _require_size(data: NDArray[np.uint8], out: Array) -> None:
    """Raise ValueError unless a picture has the size of `out`, perhaps turned: decoding allocates what it says."""
    header = read_header(data.tobytes())
    if header is None or {header.height, header.width} != set(out.shape[:2]):
        raise ValueError(f"not a picture of {out.shape[1]}x{out.shape[0]}")


def _is(data: NDArray[np.uint8], picture: Array) -> bool:
    """Return whether compressed bytes decode to exactly this picture."""
    found = np.empty_like(picture)
    try:
        decode(data, found)
    except ValueError:
        return False
    return np.array_equal(found, picture)


def _compressed_depth(depth: Array) -> NDArray[np.uint8]:
    import cv2
    import zstandard

    codes = np.rint(depth * _MM_PER_M)
    if codes.min(initial=0) >= 0 and codes.max(initial=0) <= MOST_CODE:
        whole = codes.astype(np.uint16)
        if np.array_equal(metres(whole), depth):
            return np.asarray(cv2.imencode(".png", whole)[1], dtype=np.uint8).reshape(-1)
    planes = np.ascontiguousarray(depth, dtype="<f4").view(np.uint8).reshape(-1, 4).T
    packed = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(planes.tobytes())
    return np.frombuffer(packed, dtype=np.uint8)


def _decode_depth(data: NDArray[np.uint8], out: Array) -> None:
    import cv2
    import zstandard

    if data[:4].tobytes() == _PNG:
        _require_size(data, out)
        codes = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if codes is None or codes.dtype != np.uint16 or codes.shape != out.shape[:2]:
            raise ValueError(f"not a depth picture of {out.shape[1]}x{out.shape[0]}")
        out[..., 0] = metres(codes)
        return
    try:
        raw = zstandard.ZstdDecompressor().decompress(data.tobytes(), max_output_size=out.nbytes)
    except zstandard.ZstdError as error:
        raise ValueError(f"not a depth picture: {error}") from error
    if len(raw) != out.nbytes:
        raise ValueError(f"not a depth picture of {out.shape[1]}x{out.shape[0]}")
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(4, -1)
    out[...] = np.ascontiguousarray(planes.T).view("<f4").reshape(out.shape)


class PictureFile:
    """Write the compressed pictures of ticks: `stem`.pictures, and `stem`.places.npy at the end."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem
        self._file = _pictures(stem).open("wb")
        self._places: list[tuple[int, int]] = []
        self._size = 0
        self._last: Array | None = None

    def append(self, data: Array | None) -> None:
        """Append a tick's picture (n,), None if it is missing; raises OSError when the disk is full."""
        if data is None:
            self._places.append((self._size, 0))
            return
        if data is not self._last:  # else the same message as at the tick before
            self._file.write(data.tobytes())
            self._size += data.size
            self._last = data
        self._places.append((self._size - data.size, data.size))

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                np.save(_places(self._stem), np.array(self._places, dtype=np.int64).reshape(-1, 2))


class CompressedPictures:
    """The pictures of T ticks (T, H, W, C), read and decoded when they are indexed, as an array is.

    No file stays open, and nothing is kept in memory but the places. Several threads may read at once.
    """

    def __init__(self, stem: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Open the pictures of `stem`; raises OSError or ValueError when the files don't belong together."""
        self._path, self._picture, self.dtype = _pictures(stem), shape, dtype
        places: Array = np.load(_places(stem), allow_pickle=False)
        if places.ndim != 2 or places.shape[1] != 2 or places.dtype != np.int64:
            raise ValueError(f"{_places(stem)}: is {places.dtype} {places.shape}, not int64 (T, 2)")
        size = self._path.stat().st_size
        outside = places.min(initial=0) < 0 or places.max(initial=0) > size  # else the sum may overflow
        if outside or places.sum(axis=1).max(initial=0) > size:
            raise ValueError(f"{self._path}: has fewer bytes than {_places(stem).name} says")
        self._places = places
        self._flip = False

    def flipped(self) -> CompressedPictures:
        """Return the same pictures with left and right exchanged."""
        found = copy.copy(self)
        found._flip = not self._flip
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, C)."""
        return (len(self._places), *self._picture)

    @property
    def ndim(self) -> int:
        """4."""
        return len(self.shape)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, rows: Any) -> Array:
        """Return the picture of a tick (H, W, C), or those of a slice or of chosen ticks (N, H, W, C); read-only."""
        if isinstance(rows, tuple):
            return self[rows[0]][(slice(None),) + rows[1:]] if rows else self[:]  # noqa: RUF005 (Python 3.10)
        try:
            row = operator.index(rows)
        except TypeError:
            chosen = np.arange(len(self))[rows]
            out = np.empty((len(chosen), *self._picture), self.dtype)
            for place, each in enumerate(chosen.tolist()):
                self.read_into(each, out[place])
        else:
            if not -len(self) <= row < len(self):
                raise IndexError(f"picture {row} of {len(self)}")
            out = np.empty(self._picture, self.dtype)
            self.read_into(row % len(self), out)
        out.setflags(write=False)
        return out

    def __iter__(self) -> Iterator[Array]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("compressed pictures can't be an array without being decoded")
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)

    def read_into(self, row: int, out: Array) -> None:
        """Decode the picture of a tick into `out` (H, W, C).

        Raises OSError naming the file if it can't be read or its bytes are damaged.
        """
        start, size = self._places[row].tolist()
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(descriptor, size, start)
        finally:
            os.close(descriptor)
        try:
            if len(data) != size:
                raise ValueError("it is cut short")
            decode(np.frombuffer(data, dtype=np.uint8), out)
            if self._flip:
                out[...] = out[:, ::-1].copy()
        except ValueError as error:
            raise OSError(
                f"{self._path}: picture {row}, bytes {start} to {start + size}, can't be decoded: {error}; delete "
                f"{self._path.parent}, then it is made again from the bag"
            ) from error


def raw_bytes(specs: Sequence[ObservationSpec]) -> int:
    """Return the bytes of one tick's pictures when they are not compressed."""
    return sum(int(np.prod(spec.shape)) * spec.dtype.itemsize for spec in specs if spec.image is not None)


def _pictures(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.pictures")


def _places(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.places.npy")
