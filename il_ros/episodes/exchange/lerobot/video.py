"""Videos of a data set, by the ffmpeg that imageio-ffmpeg brings: exact frame times, checked when written and read.

Frame k of a file lies at k / fps seconds. Files are MP4 with H.264 or AV1 (colours), or lossless HEVC of 12-bit grey
(depth codes). ffmpeg opens the one named file, as MP4 only.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from il_ros.core.tables import counted
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.lerobot.layout import Feature

Array = np.ndarray[Any, Any]

CODECS = ("h264", "av1")
QUALITY = {"h264": 18, "av1": 30}
"""The default constant rate factor of each codec; lower is better and larger."""
GROUP = 2
"""Frames between two that can be decoded alone: training reads single frames."""
TOLERANCE_S = 1e-4
"""A frame lies at its time within this, as LeRobot demands."""

_ENCODERS = {
    "h264": ("-c:v", "libx264", "-preset", "fast", "-bf", "0", "-threads", "2"),
    "av1": ("-c:v", "libsvtav1", "-preset", "10", "-svtav1-params", "lp=2:pred-struct=1"),
    "hevc": (
        "-c:v",
        "libx265",
        "-preset",
        "fast",
        "-x265-params",
        "lossless=1:bframes=0:log-level=error:pools=2",
    ),
}


def pixel_format(codec: str, width: int, height: int) -> str:
    """Return the pixel format of a video; odd sizes need full colour resolution.

    Raises ExchangeError when the codec can't have this size.
    """
    if codec == "hevc":
        return "gray12le"
    if width % 2 == 0 and height % 2 == 0:
        return "yuv420p"
    if codec == "h264":
        return "yuv444p"
    raise ExchangeError(
        f"a video of {width}x{height}: av1 needs even numbers; use codec h264, or pictures as images"
    )


class VideoWriter:
    """Encode frames one by one: (H, W, 3) uint8, or (H, W, 1) uint16 for codec 'hevc'."""

    def __init__(self, path: Path, width: int, height: int, fps: int, codec: str, quality: int | None = None):
        self._path, self._codec = path, codec
        self._shape = (height, width, 1 if codec == "hevc" else 3)
        self._dtype = np.dtype("<u2" if codec == "hevc" else np.uint8)
        size = ("-s", f"{width}x{height}", "-r", str(fps))
        source = ("-f", "rawvideo", "-pix_fmt", "gray12le" if codec == "hevc" else "rgb24", *size, "-i", "-")
        crf = () if codec == "hevc" else ("-crf", str(QUALITY[codec] if quality is None else quality))
        output = ("-g", str(GROUP), "-pix_fmt", pixel_format(codec, width, height), "-an", "-f", "mp4")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [_ffmpeg(), "-y", "-v", "error", *source, *_ENCODERS[codec], *crf, *output, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )

    def write(self, picture: Array) -> None:
        """Add a frame; raises ExchangeError when the encoder ended."""
        if picture.shape != self._shape:
            raise ExchangeError(f"{self._path}: a frame is {picture.shape}; it must be {self._shape}")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(picture, dtype=self._dtype).tobytes())
        except BrokenPipeError:
            self._finish()
            raise ExchangeError(f"{self._path}: the {self._codec} encoder ended early") from None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        try:
            self._finish(report=error is None)
        finally:
            self._errors.close()

    def _finish(self, report: bool = True) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        code = self._process.wait()
        if report and code:
            self._errors.seek(0)
            words = self._errors.read(2000).decode(errors="replace").strip()
            raise ExchangeError(
                f"{self._path}: the {self._codec} encoder failed: {words or f'status {code}'}"
            )


def join(parts: Sequence[Path], out: Path) -> None:
    """Write the videos of `parts`, which lie in one folder, one after another, without encoding them again.

    Raises ExchangeError when they can't be joined.
    """
    listing = parts[0].parent / f".{out.stem}.{parts[0].stem}.ffconcat"
    listing.write_text(
        "ffconcat version 1.0\n" + "".join(f"file '{part.name}'\n" for part in parts), encoding="utf-8"
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        _run(
            [
                "-f",
                "concat",
                "-i",
                str(listing),
                "-c",
                "copy",
                "-movflags",
                "+faststart",
                "-f",
                "mp4",
                str(out),
            ],
            out,
        )
    finally:
        listing.unlink(missing_ok=True)


def require_even_times(path: Path, fps: int, frames: int) -> None:
    """Raise ExchangeError unless a video has `frames` frames, each at its number / fps; nothing is decoded."""
    text = _run([*_source(path), "-c", "copy", "-f", "framecrc", "-"], path)
    tick = re.search(r"^#tb 0: (\d+)/(\d+)", text, re.MULTILINE)
    if tick is None:
        raise ExchangeError(f"{path}: has no video stream")
    unit = Fraction(int(tick[1]), int(tick[2]))
    found = sorted(int(line.split(",")[2]) * unit for line in text.splitlines() if line and line[0] != "#")
    if len(found) != frames:
        raise ExchangeError(f"{path}: has {counted(len(found), 'frame')}; it must have {frames}")
    for number, time in enumerate(found):
        if abs(time - Fraction(number, fps)) > TOLERANCE_S:
            raise ExchangeError(
                f"{path}: frame {number} lies at {float(time):.6f} s, not at {number / fps:.6f} s"
            )


def read_frames(path: Path, feature: Feature, fps: int, from_s: float, count: int) -> Iterator[Array]:
    """Yield `count` frames from `from_s` on: (H, W, 3) uint8, or for depth (H, W, 1) uint16 codes.

    Raises ExchangeError when the file has other pictures than the feature declares, lacks frames, or has one
    more than TOLERANCE_S from its time.
    """
    height, width, channels = feature.shape
    _require_size(path, width, height)
    pixels = "gray12le" if feature.is_depth else "rgb24" if channels == 3 else "gray"
    start = max(0.0, from_s - 0.5 / fps)
    arguments = [
        *("-copyts", "-ss", f"{start:.6f}"),
        *_source(path),
        *("-map", "0:v:0", "-an", "-vf", "showinfo", "-fps_mode", "passthrough", "-frames:v", str(count)),
        *("-f", "rawvideo", "-pix_fmt", pixels, "-"),
    ]
    size = height * width * (2 if feature.is_depth else channels)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [_ffmpeg(), "-nostdin", "-hide_banner", "-v", "info", *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert process.stdout is not None
        try:
            for number in range(count):
                raw = process.stdout.read(size)
                if len(raw) < size:
                    raise ExchangeError(
                        f"{path}: has only {number} of {counted(count, 'frame')} from {from_s:.3f} s on"
                        f"{_last_words(process, log)}"
                    )
                flat = np.frombuffer(raw, dtype="<u2" if feature.is_depth else np.uint8)
                yield flat.reshape(height, width, 1 if feature.is_depth else channels)
            process.stdout.close()
            process.wait()
            _require_times(path, log, fps, from_s, count)
        finally:
            process.kill()
            process.wait()


def _require_times(path: Path, log: IO[bytes], fps: int, from_s: float, count: int) -> None:
    log.seek(0)
    times = [float(text) for text in re.findall(rb"\] n: *\d+ pts: *-?\d+ +pts_time:(-?[\d.]+)", log.read())]
    for number, time_s in enumerate(times[:count]):
        wanted = from_s + number / fps
        if abs(time_s - wanted) > TOLERANCE_S:
            raise ExchangeError(
                f"{path}: a frame lies at {time_s:.6f} s where the data set has one at {wanted:.6f} s, frame {number} "
                f"from {from_s:.3f} s on; at most {TOLERANCE_S:g} s apart is accepted"
            )
    if len(times) < count:
        raise ExchangeError(f"{path}: the times of {counted(count - len(times), 'frame')} are unknown")


def _require_size(path: Path, width: int, height: int) -> None:
    if not path.is_file():
        raise ExchangeError(f"{path}: there is no such file, but meta/episodes needs it")
    words = subprocess.run(
        [_ffmpeg(), "-nostdin", "-hide_banner", *_source(path)], capture_output=True, check=False
    ).stderr.decode(errors="replace")
    found = re.search(r"Stream #0:\d+.*?: Video: (\w+).*?, (\d+)x(\d+)", words)
    if found is None:
        raise ExchangeError(
            f"{path}: is not an MP4 file with a video: {words.strip().splitlines()[-1:] or ''}"
        )
    if (int(found[2]), int(found[3])) != (width, height):
        raise ExchangeError(f"{path}: is {found[2]}x{found[3]}; info.json says {width}x{height}")


def _last_words(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    process.kill()
    process.wait()
    log.seek(0)
    lines = [
        line
        for line in log.read().decode(errors="replace").splitlines()
        if "rror" in line or "nvalid" in line
    ]
    return f": {lines[-1].strip()}" if lines else ""


def _source(path: Path) -> list[str]:
    """Return the options that open this one file, as MP4: no playlist, no other file, no network."""
    return ["-protocol_whitelist", "file", "-f", "mov", "-i", f"file:{path}"]


def _run(arguments: Sequence[str], path: Path) -> str:
    done = subprocess.run(
        [_ffmpeg(), "-y", "-nostdin", "-v", "error", *arguments], capture_output=True, check=False
    )
    if done.returncode:
        raise ExchangeError(f"{path}: ffmpeg failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout.decode(errors="replace")


def _ffmpeg() -> str:
    return str(package("imageio_ffmpeg").get_ffmpeg_exe())
