"""Render an episode's cameras, side by side, as an mp4 video or as one contact sheet."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import atomic, messages
from il_ros.core.codecs.image import decode_image, decode_picture
from il_ros.core.codecs.pixels import best_encoding
from il_ros.core.specs import COMPRESSED_IMAGE, IMAGE, MOST_PIXELS, ImageSpec
from il_ros.episodes.arrays.replay import span_of
from il_ros.episodes.bag.reader import Bag, BagMessage
from il_ros.episodes.layout import EpisodeInfo

Picture = np.ndarray[Any, Any]

_DEPTH_RANGE_M = 4.0
_TYPICAL_HEIGHT = 240
_GAP_PX = 6
VIDEO_SUFFIXES, SHEET_SUFFIXES = (".mp4",), (".png",)


class VideoError(ValueError):
    """A video or a sheet can't be written; the message says why, or lists the cameras in the bag."""


@dataclass(frozen=True)
class Still:
    """The newest image of every camera at one time, side by side; `picture`: (H, W, 3) uint8."""

    time_s: float
    picture: Picture


def cameras(bag: Bag) -> tuple[str, ...]:
    """Return the names of the image topics, sorted."""
    return tuple(
        sorted(name for name, topic in bag.topics.items() if topic.type in (IMAGE, COMPRESSED_IMAGE))
    )


def write_video(
    bag: Bag, info: EpisodeInfo | None, path: Path, *, fps: float = 20.0, topics: Sequence[str] = ()
) -> int:
    """Write the demonstration's cameras (`topics`, or all) as an mp4; return the number of video frames.

    Every 1/fps seconds each camera shows its newest image; it is black before its first image. Browsers and
    phones can play the file (H.264, 4:2:0, index in front). It appears under its name when it is complete.
    Raises VideoError when there is no camera, the name does not end in .mp4, or the encoder fails, BagError
    when the bag is damaged, OSError when the file can't be written, or when one is there that il_ros did not write.
    """
    import imageio_ffmpeg

    require_suffix(path, VIDEO_SUFFIXES)
    atomic.require_own(path)
    span = span_of(bag, info)
    times = range(span.start_ns, span.stop_ns + 1, round(1e9 / fps))
    count = 0
    encoder = None
    part = path.with_name(f".{path.stem}.part.mp4")
    try:
        for still in _stills(bag, times, topics):
            if encoder is None:
                _touch(part, path)  # the encoder's own error does not name the file
                height, width = still.picture.shape[:2]
                encoder = imageio_ffmpeg.write_frames(
                    str(part),
                    (width, height),
                    fps=fps,
                    macro_block_size=2,
                    ffmpeg_log_level="error",
                    output_params=["-movflags", "+faststart", "-metadata", f"comment={atomic.MARK}"],
                )
                encoder.send(None)
            encoder.send(np.ascontiguousarray(still.picture))
            count += 1
        if encoder is not None:
            encoder.close()
            _require_video(part)
            part.replace(path)
    finally:
        if encoder is not None:
            encoder.close()
        part.unlink(missing_ok=True)
    return count


def _touch(part: Path, path: Path) -> None:
    """Create the file `part`; raises OSError that names `path` when it can't be written."""
    try:
        part.touch()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None


def require_suffix(path: Path, suffixes: Sequence[str]) -> None:
    """Raise VideoError unless the name of an output file ends in one of `suffixes`."""
    if path.suffix.lower() not in suffixes:
        raise VideoError(f"{path}: the name must end in {' or '.join(suffixes)}")


def _require_video(path: Path) -> None:
    """Raise VideoError unless the file is a complete video; the encoder itself reports no failure."""
    import imageio_ffmpeg

    try:
        next(imageio_ffmpeg.read_frames(str(path)))
    except (OSError, RuntimeError) as error:
        raise VideoError(f"the video encoder failed: {str(error).strip().splitlines()[-1]}") from error


def write_sheet(
    bag: Bag, info: EpisodeInfo | None, path: Path, *, pictures: int = 12, topics: Sequence[str] = ()
) -> int:
    """Write a PNG contact sheet of `pictures` evenly spaced times; return the number of pictures.

    Raises VideoError, BagError, OSError as `write_video` does; the name must end in .png.
    """
    import cv2

    require_suffix(path, SHEET_SUFFIXES)
    atomic.require_own(path)
    shown = stills(bag, info, pictures, topics)
    columns = max(1, min(len(shown), round(np.sqrt(len(shown) * 1.2))))
    blank = np.zeros_like(shown[0].picture)
    cells = [still.picture for still in shown] + [blank] * (-len(shown) % columns)
    rows = [_joined(cells[start : start + columns], 1) for start in range(0, len(cells), columns)]
    done, data = cv2.imencode(".png", _joined(rows, 0)[..., ::-1])
    assert done
    atomic.write_bytes(path, _marked(data.tobytes()), durable=False)
    return len(shown)


def _marked(png: bytes) -> bytes:
    """Return a PNG file with atomic.MARK as its software: a tEXt chunk behind the header, which ends at byte 33."""
    chunk = b"tEXtSoftware\0" + atomic.MARK.encode()
    length, check = (len(chunk) - 4).to_bytes(4, "big"), zlib.crc32(chunk).to_bytes(4, "big")
    return png[:33] + length + chunk + check + png[33:]


def stills(bag: Bag, info: EpisodeInfo | None, pictures: int, topics: Sequence[str] = ()) -> list[Still]:
    """Return the cameras at `pictures` evenly spaced times of the demonstration; raises VideoError, BagError."""
    span = span_of(bag, info)
    times = np.linspace(span.start_ns, span.stop_ns, max(1, pictures)).astype(np.int64).tolist()
    return list(_stills(bag, times, topics))


def _joined(pictures: Sequence[Picture], axis: int) -> Picture:
    """Return pictures (H, W, 3) side by side (axis 1) or one above the other (0), with white gaps between them."""
    shape = list(pictures[0].shape)
    shape[axis] = _GAP_PX
    gap = np.full(shape, 255, dtype=np.uint8)
    spaced = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(spaced, axis=axis)


def _stills(bag: Bag, times_ns: Sequence[int], topics: Sequence[str]) -> Iterator[Still]:
    shown = tuple(topics) or cameras(bag)
    unknown = [topic for topic in shown if topic not in cameras(bag)]
    if unknown or not shown:
        wanted = f"no pictures on {', '.join(unknown)}" if unknown else "no pictures in it"
        raise VideoError(f"{bag.path}: {wanted}; cameras in the bag: {', '.join(cameras(bag)) or 'none'}")
    newest: dict[str, BagMessage] = {}
    sizes = _first_sizes(bag, shown)
    waiting = deque(times_ns)
    for message in bag.messages(shown):
        while waiting and message.log_ns > waiting[0]:
            yield _still(waiting.popleft(), times_ns[0], newest, sizes)
        newest[message.topic] = message
    while waiting:
        yield _still(waiting.popleft(), times_ns[0], newest, sizes)


def _first_sizes(bag: Bag, topics: Collection[str]) -> dict[str, tuple[int, int]]:
    """Return each camera's (width, height) from its first image; silent cameras are left out."""
    sizes: dict[str, tuple[int, int]] = {}
    for message in bag.messages(topics):
        if message.topic not in sizes:
            height, width = picture_of(message.type, message.raw).shape[:2]
            sizes[message.topic] = (width, height)
            if len(sizes) == len(topics):
                break
    if not sizes:
        raise VideoError(f"{bag.path}: no images on {', '.join(topics)}")
    return sizes


def _still(
    time_ns: int, start_ns: int, newest: Mapping[str, BagMessage], sizes: Mapping[str, tuple[int, int]]
) -> Still:
    import cv2

    height = max(_TYPICAL_HEIGHT, max(size[1] for size in sizes.values()))
    parts = []
    for topic, (width, own_height) in sizes.items():
        cell = (max(2, round(width * height / own_height / 2) * 2), height // 2 * 2)
        if cell[0] * cell[1] > MOST_PIXELS:
            raise VideoError(f"{topic}: images of {width}x{own_height} are too wide to be drawn")
        if topic in newest:
            parts.append(
                cv2.resize(
                    picture_of(newest[topic].type, newest[topic].raw), cell, interpolation=cv2.INTER_AREA
                )
            )
        else:
            parts.append(np.zeros((cell[1], cell[0], 3), dtype=np.uint8))
    time_s = (time_ns - start_ns) / 1e9
    if len(parts) > 1:
        for topic, part in zip(sizes, parts, strict=True):
            name = topic.strip("/").removesuffix("/image_raw").removesuffix("/compressed")
            _write(
                part,
                "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in name),
                34,
            )
    picture = np.hstack(parts)
    _write(picture, f"{time_s:.2f} s", 16)
    return Still(time_s, picture)


def _write(picture: Picture, text: str, y: int) -> None:
    """Write a line of text on a picture, white with a dark edge, readable on any background."""
    import cv2

    for colour, thickness in ((0, 2), (255, 1)):
        cv2.putText(
            picture, text, (6, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (colour,) * 3, thickness, cv2.LINE_AA
        )


def picture_of(kind: str, raw: bytes) -> Picture:
    """Return a serialised image message of type `kind` as (H, W, 3) uint8 in its own size.

    Depth is shown in grey, white at 4 m and beyond. Raises ValueError when it cannot be decoded.
    """
    image = messages.decode(kind, raw)
    if kind == COMPRESSED_IMAGE:
        pixels = _compressed(image)
    else:
        spec = ImageSpec(int(image.width), int(image.height), best_encoding(image.encoding))
        pixels = decode_image(spec, image)
    if pixels.dtype != np.uint8:
        pixels = (np.clip(pixels / _DEPTH_RANGE_M, 0, 1) * 255).astype(np.uint8)
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def _compressed(message: messages.Message) -> Picture:
    try:
        return decode_picture(message)
    except ValueError as error:
        raise VideoError(str(error)) from error
