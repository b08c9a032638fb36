"""The frames of a data set's episodes: numbers, texts and single pictures, with their counters checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from il_ros.core.codecs.picture_header import read_header
from il_ros.core.tables import counted
from il_ros.episodes.arrays.pictures import compressed
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot.depth import DepthCodes
from il_ros.episodes.exchange.lerobot.layout import DatasetInfo, Feature
from il_ros.episodes.exchange.lerobot.parquet import ParquetReader, numbers_of, values_of
from il_ros.episodes.exchange.lerobot.tables import EpisodeRow
from il_ros.episodes.exchange.lerobot.video import read_frames

Array = np.ndarray[Any, Any]

_TIME_TOLERANCE_S = 1e-3


class DataRows:
    """Reads the frames of episodes; each data file is kept open until the next one is needed."""

    def __init__(self, info: DatasetInfo, episodes: Sequence[EpisodeRow]):
        self.info, self.episodes = info, episodes
        self._starts: dict[tuple[int, int], int] = {}
        self._ends: dict[tuple[int, int], int] = {}
        for row in episodes:
            self._starts.setdefault(row.data, row.start)
            self._ends[row.data] = row.stop
        self._place: tuple[int, int] | None = None
        self._file: ParquetReader | None = None

    def numbers(self, row: EpisodeRow, feature: Feature) -> Array:
        """Return a feature's numbers in an episode, (T, *shape); raises ExchangeError when they are not there."""
        file = self._open(row)
        column = self._table(row, feature.key).column(0)
        return numbers_of(column, feature, file.path)

    def texts(self, row: EpisodeRow, feature: Feature) -> list[str]:
        """Return a feature's texts in an episode; raises ExchangeError on anything else."""
        values = values_of(self._table(row, feature.key), feature.key, self._open(row).path)
        for number, value in enumerate(values):
            if not isinstance(value, str):
                raise ExchangeError(
                    f"{self._open(row).path}, column '{feature.key}': frame {row.start + number} has {value!r}; it "
                    "must be a text"
                )
        return values

    def pictures(self, row: EpisodeRow, feature: Feature) -> Iterator[Array]:
        """Yield a feature's pictures in an episode: (H, W, C) uint8, or for depth float32 metres.

        Raises ExchangeError when one is missing, damaged, of another size, or not where its time says.
        """
        if feature.dtype == "image":
            for _, picture in self._single(row, feature):
                yield picture
            return
        span = row.videos[feature.key]
        path = self.info.video_file(feature.key, span.place)
        where = f"{self.info.root}/meta/info.json: features.{feature.key}"
        codes = DepthCodes.of(feature.info, where) if feature.is_depth else None
        for picture in read_frames(path, feature, self.info.fps, span.from_s, row.length):
            yield picture if codes is None else codes.decode(picture)

    def compressed(self, row: EpisodeRow, feature: Feature) -> Iterator[bytes]:
        """Yield a feature's pictures in an episode as jpegs or pngs: those of the file, or of a video made here.

        A frame of a video becomes the jpeg that the array cache would make of it. Raises as `pictures`.
        """
        if feature.dtype == "image":
            for raw, _ in self._single(row, feature):
                yield raw
            return
        for picture in self.pictures(row, feature):
            yield compressed(picture).tobytes()

    def require_counters(self, row: EpisodeRow) -> Array:
        """Return `task_index` of an episode's frames (T,).

        Raises ExchangeError unless the other counters are those of an even grid without holes.
        """
        frames = np.arange(row.length)
        wanted = {
            "index": row.start + frames,
            "episode_index": np.full(row.length, row.index),
            "frame_index": frames,
            "timestamp": frames / self.info.fps,
        }
        for key, right in wanted.items():
            values = self.numbers(row, self.info.features[key]).reshape(-1)
            tolerance = _TIME_TOLERANCE_S if key == "timestamp" else 0
            wrong = np.flatnonzero(~(np.abs(values - right) <= tolerance))
            if len(wrong):
                first = int(wrong[0])
                raise ExchangeError(
                    f"{self._open(row).path}: {key} of frame {first} of episode {row.index} is {values[first]:g}; it "
                    f"must be {right[first]:g}"
                )
        tasks = self.numbers(row, self.info.features["task_index"]).reshape(-1)
        if tasks.min() < 0 or tasks.max() >= self.info.tasks:
            raise ExchangeError(
                f"{self._open(row).path}: task_index in episode {row.index} is {tasks.min()} to {tasks.max()}; "
                f"info.json says total_tasks {self.info.tasks}"
            )
        return tasks

    def _single(self, row: EpisodeRow, feature: Feature) -> Iterator[tuple[bytes, Array]]:
        """Yield the bytes of each picture, and what they show."""
        import cv2

        height, width, channels = feature.shape
        for number in range(row.length):  # one at a time: an episode of pictures need not fit in memory
            at = f"frame {number} of episode {row.index} in column '{feature.key}' of {self._open(row).path}"
            (value,) = values_of(
                self._table(row, feature.key).slice(number, 1), feature.key, self._open(row).path
            )
            raw = value.get("bytes") if isinstance(value, dict) else None
            if not isinstance(raw, bytes):
                raise ExchangeError(f"{at}: holds no picture; pictures outside of the file are not read")
            header = read_header(raw)
            if header is None or (header.width, header.height) != (width, height):
                size = "not a jpeg or png" if header is None else f"{header.width}x{header.height}"
                raise ExchangeError(f"{at}: is {size}; info.json says {width}x{height}")
            flags = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
            flags = cv2.IMREAD_UNCHANGED if feature.is_depth else flags
            pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
            if pixels is None:
                raise ExchangeError(f"{at}: is damaged")
            if feature.is_depth:
                if pixels.dtype != np.uint16 or pixels.ndim != 2:
                    raise ExchangeError(
                        f"{at}: depth is read from png of 16 bits, in mm; this is {pixels.dtype}"
                    )
                yield raw, (pixels / np.float32(1000.0))[..., None]
                continue
            yield raw, np.ascontiguousarray(pixels[..., ::-1]) if channels == 3 else pixels[..., None]

    def _table(self, row: EpisodeRow, key: str) -> Any:
        start = self._starts[row.data]
        return self._open(row).table([key], row.start - start, row.stop - start)

    def _open(self, row: EpisodeRow) -> ParquetReader:
        if self._file is None or self._place != row.data:
            self.close()
            path = self.info.data_file(row.data)
            file = ParquetReader(path)
            rows = self._ends[row.data] - self._starts[row.data]
            if file.rows != rows:
                file.close()
                raise ExchangeError(
                    f"{path}: has {counted(file.rows, 'row')}; its episodes in meta/episodes have "
                    f"{counted(rows, 'frame')}"
                )
            self._place, self._file = row.data, file
        return self._file

    def close(self) -> None:
        """Close the open file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def __enter__(self) -> DataRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
