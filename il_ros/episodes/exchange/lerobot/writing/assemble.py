"""Put segments together to a data set, or behind the episodes of one that exists. Nothing is encoded again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from il_ros.core import atomic
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.lerobot.columns import Columns, arrow_schema
from il_ros.episodes.exchange.lerobot.layout import (
    DATA_PATH,
    EPISODES,
    INFO,
    OWN,
    STATS,
    TASKS,
    VERSION,
    VIDEO_PATH,
    DatasetInfo,
    Feature,
    feature_json,
    read_info,
    read_json,
)
from il_ros.episodes.exchange.lerobot.parquet import ParquetReader
from il_ros.episodes.exchange.lerobot.tables import (
    EpisodeRow,
    Place,
    VideoSpan,
    read_episodes,
    read_tasks,
    write_episodes,
    write_tasks,
)
from il_ros.episodes.exchange.lerobot.video import join, require_even_times
from il_ros.episodes.exchange.lerobot.writing import measure, stats
from il_ros.episodes.exchange.lerobot.writing.segments import ROWS, Segment, video_file

Array = np.ndarray[Any, Any]

OWN_SCHEMA = 1
_ROWS_PER_META_FILE = 2000


@dataclass
class Base:
    """The data set that segments are put behind: empty, or one that exists."""

    sentences: list[str] = field(default_factory=list)
    episodes: int = 0
    frames: int = 0
    next_data: Place = (0, 0)
    next_meta: Place = (0, 0)
    next_video: dict[str, Place] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    own: list[Any] = field(default_factory=list)
    meta_columns: tuple[str, ...] = ()
    schema: Any = None
    chunks_size: int = 1000


def assemble(
    segments: Sequence[Segment],
    columns: Columns,
    out: Path,
    base: Base,
    limits_mb: tuple[float, float],
    robot_type: str,
    progress: Callable[[Sequence[Segment]], Iterable[Segment]],
) -> DatasetInfo:
    """Write the data set into folder `out`, which holds the files of `base` already; `info.json` comes last.

    `limits_mb`: sizes after which a new data or video file begins. Raises ExchangeError when the result does
    not read back as a whole data set, OSError when the disk is full.
    """
    features = columns.features
    sentences = list(dict.fromkeys([*base.sentences, *(segment.sentence for segment in segments)]))
    rows = _rows(segments, base)
    videos = {key: each for key, each in features.items() if each.dtype == "video"}
    for key in videos:
        spans = _write_videos(segments, key, columns, out, base, limits_mb[1])
        rows = [replace(row, videos={**row.videos, key: span}) for row, span in zip(rows, spans, strict=True)]
    rows, each_stats, counts = _write_data(
        segments, rows, columns, out, base, limits_mb[0], sentences, progress
    )
    meta = base.next_meta
    for start in range(0, len(rows), _ROWS_PER_META_FILE):
        part = slice(start, start + _ROWS_PER_META_FILE)
        path = out / EPISODES / f"chunk-{meta[0]:03d}" / f"file-{meta[1]:03d}.parquet"
        write_episodes(path, rows[part], each_stats[part], meta)
        _fit_columns(path, base.meta_columns)
        meta = _after(meta, base.chunks_size)
    write_tasks(out / TASKS, sentences)
    overall = measure.of_all(counts, features, out, rows, columns)
    if base.episodes:
        overall = {key: stats.merged([base.stats[key], overall[key]]) for key in overall if key in base.stats}
    _write_json(out / STATS, overall)
    _write_json(
        out / OWN,
        {
            "schema": OWN_SCHEMA,
            "contract": columns.contract.text,
            "episodes": [*base.own, *_own(rows, segments)],
        },
    )
    episodes, frames = base.episodes + len(rows), rows[-1].stop
    _write_json(out / INFO, _info(columns, episodes, frames, len(sentences), robot_type, base, limits_mb))
    info = read_info(out)
    read_episodes(info)
    read_tasks(info)
    return info


def base_of(root: Path, columns: Columns) -> tuple[Base, DatasetInfo]:
    """Return the data set in `root` as a base.

    Raises ExchangeError unless it has the same rate and features.
    """
    info = read_info(root)
    if info.fps != columns.fps:
        raise ExchangeError(f"{root / INFO}: fps is {info.fps}; the episodes are exported at {columns.fps}")
    wanted = {key: _meaning(each) for key, each in columns.features.items()}
    found = {key: _meaning(each) for key, each in info.features.items()}
    for key in dict.fromkeys((*wanted, *found)):
        if wanted.get(key) != found.get(key):
            raise ExchangeError(
                f"{root / INFO}: features.{key} is {found.get(key, 'absent')}; the episodes have "
                f"{wanted.get(key, 'no such feature')}. Only episodes of the same features can be appended"
            )
    rows = read_episodes(info)
    last = sorted((root / EPISODES).glob("chunk-*/file-*.parquet"))[-1]
    with ParquetReader(last) as file:
        meta_columns = file.columns
    with ParquetReader(info.data_file(rows[-1].data)) as data:
        schema = data.schema
    own: list[Any] = []
    if (root / OWN).exists():
        own = list(read_json(root / OWN).get("episodes", []))
    base = Base(
        list(read_tasks(info)),
        info.episodes,
        info.frames,
        _after(max(row.data for row in rows), info.chunks_size),
        _after(_place_of(last), info.chunks_size),
        {
            key: _after(max(row.videos[key].place for row in rows), info.chunks_size)
            for key in rows[-1].videos
        },
        read_json(root / STATS),
        own,
        meta_columns,
        schema,
        info.chunks_size,
    )
    return base, info


def _meaning(feature: Feature) -> tuple[Any, ...]:
    """Return what must be equal in features that are put together; the names of pixels may differ."""
    names = () if feature.is_picture else feature.names
    return feature.dtype, feature.shape, names, feature.is_depth, feature.info.get("video.codec")


def _rows(segments: Sequence[Segment], base: Base) -> list[EpisodeRow]:
    rows = []
    start = base.frames
    for number, segment in enumerate(segments, start=base.episodes):
        rows.append(EpisodeRow(number, start, start + segment.frames, (segment.sentence,), base.next_data))
        start += segment.frames
    return rows


def _write_videos(
    segments: Sequence[Segment], key: str, columns: Columns, out: Path, base: Base, most_mb: float
) -> list[VideoSpan]:
    """Join the videos of one camera to files of at most about `most_mb`; return each segment's span."""
    spans: list[VideoSpan] = []
    place = base.next_video.get(key, (0, 0))
    group: list[Segment] = []
    size = 0

    def finish() -> None:
        nonlocal place, group, size
        path = out / VIDEO_PATH.format(video_key=key, chunk_index=place[0], file_index=place[1])
        staged = out.parent / "join"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        parts = [staged / f"{number:06d}.mp4" for number in range(len(group))]
        for part, segment in zip(parts, group, strict=True):
            part.symlink_to(video_file(segment.folder, key).resolve())
        join(parts, path)
        shutil.rmtree(staged)
        frames = 0
        for segment in group:
            start, stop = Fraction(frames, columns.fps), Fraction(frames + segment.frames, columns.fps)
            spans.append(VideoSpan(place, float(start), float(stop)))
            frames += segment.frames
        require_even_times(path, columns.fps, frames)
        place, group, size = _after(place, base.chunks_size), [], 0

    for segment in segments:
        bytes_more = video_file(segment.folder, key).stat().st_size
        if group and size + bytes_more > most_mb * 1e6:
            finish()
        group.append(segment)
        size += bytes_more
    finish()
    return spans


def _write_data(
    segments: Sequence[Segment],
    rows: Sequence[EpisodeRow],
    columns: Columns,
    out: Path,
    base: Base,
    most_mb: float,
    sentences: Sequence[str],
    progress: Callable[[Sequence[Segment]], Iterable[Segment]],
) -> tuple[list[EpisodeRow], list[dict[str, Any]], dict[str, Array]]:
    """Write the data files; return the rows with their files, each episode's statistics, and all pixel counts."""
    parquet = package("pyarrow.parquet")
    schema = arrow_schema(columns.features) if base.schema is None else base.schema
    place = base.next_data
    writer: Any = None
    file: BinaryIO | None = None
    placed: list[EpisodeRow] = []
    each: list[dict[str, Any]] = []
    total: dict[str, Array] = {}
    try:
        for segment, row in zip(progress(segments), rows, strict=True):
            table = _complete(segment, row, columns, sentences)
            if file is not None and file.tell() > most_mb * 1e6:
                writer.close()
                file.close()
                writer, place = None, _after(place, base.chunks_size)
            if writer is None:
                path = out / DATA_PATH.format(chunk_index=place[0], file_index=place[1])
                path.parent.mkdir(parents=True, exist_ok=True)
                file = path.open("wb")
                writer = parquet.ParquetWriter(file, schema, compression="snappy")
            writer.write_table(table.select(schema.names).cast(schema), row_group_size=row.length)
            placed.append(replace(row, data=place))
            found, counts = measure.of_segment(segment, table, columns)
            each.append(found)
            for key, values in counts.items():
                total[key] = total.get(key, 0) + values
    finally:
        if writer is not None:
            writer.close()
        if file is not None:
            file.close()
    return placed, each, total


def _complete(segment: Segment, row: EpisodeRow, columns: Columns, sentences: Sequence[str]) -> Any:
    """Return a segment's rows with the counters."""
    arrow = package("pyarrow")
    with ParquetReader(segment.folder / ROWS) as file:
        table = file.table(file.columns)
    numbers = np.arange(row.length)
    counters = {
        "timestamp": (numbers / columns.fps).astype(np.float32),
        "frame_index": numbers,
        "episode_index": np.full(row.length, row.index),
        "index": row.start + numbers,
        "task_index": np.full(row.length, sentences.index(segment.sentence)),
    }
    for key, values in counters.items():
        table = table.append_column(key, arrow.array(values))
    return table


def _fit_columns(path: Path, wanted: Sequence[str]) -> None:
    """Give a file of episodes the columns of those before it: LeRobot reads all of them as one table."""
    if not wanted:
        return
    parquet = package("pyarrow.parquet")
    with ParquetReader(path) as file:
        missing = [name for name in wanted if name not in file.columns]
        if missing:
            raise ExchangeError(
                f"{path}: the episodes before have a column '{missing[0]}', which is not known here; "
                "the data set can't be extended"
            )
        table = file.table(list(wanted))
    parquet.write_table(table, path)


def _own(rows: Sequence[EpisodeRow], segments: Sequence[Segment]) -> list[dict[str, Any]]:
    return [
        {
            "episode_index": row.index,
            "source": segment.name,
            "part": segment.folder.name,
            "outcome": segment.outcome,
            "first_tick_ns": segment.first_tick_ns,
        }
        for row, segment in zip(rows, segments, strict=True)
    ]


def _info(
    columns: Columns,
    episodes: int,
    frames: int,
    tasks: int,
    robot_type: str,
    base: Base,
    limits_mb: tuple[float, float],
) -> dict[str, Any]:
    features = columns.features
    videos = any(feature.dtype == "video" for feature in features.values())
    return {
        "codebase_version": VERSION,
        "robot_type": robot_type or columns.contract.name,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": base.chunks_size,
        "data_files_size_in_mb": max(1, round(limits_mb[0])),
        "video_files_size_in_mb": max(1, round(limits_mb[1])),
        "fps": columns.fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if videos else None,
        "features": {key: feature_json(each) for key, each in features.items()},
    }


def _after(place: Place, chunks_size: int) -> Place:
    chunk, number = place
    return (chunk, number + 1) if number + 1 < chunks_size else (chunk + 1, 0)


def _place_of(path: Path) -> Place:
    return int(path.parent.name.removeprefix("chunk-")), int(path.stem.removeprefix("file-"))


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, json.dumps(values, indent=4, ensure_ascii=False, allow_nan=False) + "\n")
