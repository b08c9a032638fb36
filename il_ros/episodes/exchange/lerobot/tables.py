"""The tables in `meta/`: task sentences and episodes; read strictly, written as LeRobot writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from il_ros.core.tables import counted
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.lerobot.layout import EPISODES, TASKS, DatasetInfo
from il_ros.episodes.exchange.lerobot.parquet import ParquetReader, column_numbers, values_of

Place = tuple[int, int]
"""Chunk and number of a file."""


@dataclass(frozen=True)
class VideoSpan:
    """Where an episode's frames lie in a video file, in seconds of that file."""

    place: Place
    from_s: float
    to_s: float


@dataclass(frozen=True)
class EpisodeRow:
    """One episode: frames `start` to `stop` of the data set (half-open), its files, its task sentences."""

    index: int
    start: int
    stop: int
    tasks: tuple[str, ...]
    data: Place
    videos: Mapping[str, VideoSpan] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.stop - self.start


def read_tasks(info: DatasetInfo) -> tuple[str, ...]:
    """Return the task sentences by `task_index`; raises ExchangeError when they are not 0, 1, ... once each."""
    path = info.root / TASKS
    with ParquetReader(path) as file:
        file.require(["task_index"])
        texts = [name for name in file.columns if name != "task_index"]
        if not texts:
            raise ExchangeError(f"{path}: has no column 'task' with the sentences")
        name = (
            "task" if "task" in texts else texts[0]
        )  # pandas calls an index without a name __index_level_0__
        table = file.table(["task_index", name])
    numbers = column_numbers(table, "task_index", path)
    sentences = values_of(table, name, path)
    if sorted(numbers) != list(range(len(numbers))) or len(numbers) != info.tasks:
        raise ExchangeError(
            f"{path}: task_index is {numbers[:20]}; it must be 0 to {info.tasks - 1} once each, as info.json says "
            f"total_tasks {info.tasks}"
        )
    for number, sentence in zip(numbers, sentences, strict=True):
        if not isinstance(sentence, str):
            raise ExchangeError(f"{path}: {name} of task {number} is {sentence!r}; it must be a text")
    return tuple(sentence for _, sentence in sorted(zip(numbers, sentences, strict=True)))


def read_episodes(info: DatasetInfo) -> list[EpisodeRow]:
    """Return the rows of `meta/episodes`, by episode index.

    Raises ExchangeError when rows are missing, out of order or contradict each other or `info.json`: a gap
    would shift the frames of every later episode.
    """
    rows: list[EpisodeRow] = []
    for path in _episode_files(info.root):
        with ParquetReader(path) as file:
            rows += _rows(file, info)
    path = info.root / EPISODES
    start = 0
    for place, row in enumerate(rows):
        if row.index != place:
            raise ExchangeError(
                f"{path}: row {place} is of episode {row.index}; it must be of episode {place}"
            )
        if row.start != start or row.stop <= row.start:
            raise ExchangeError(
                f"{path}: episode {place} has frames {row.start} to {row.stop}; it must begin at {start}, where the "
                "one before ends, and have at least one frame"
            )
        start = row.stop
    if len(rows) != info.episodes or start != info.frames:
        raise ExchangeError(
            f"{path}: has {counted(len(rows), 'episode')} with {counted(start, 'frame')}; info.json says "
            f"total_episodes {info.episodes} and total_frames {info.frames}"
        )
    return rows


def _episode_files(root: Path) -> list[Path]:
    found = sorted((root / EPISODES).glob("chunk-*/file-*.parquet"))
    if not found:
        raise ExchangeError(
            f"{root / EPISODES}: has no chunk-000/file-000.parquet; a LeRobot data set has it"
        )
    return found


def _rows(file: ParquetReader, info: DatasetInfo) -> Iterable[EpisodeRow]:
    videos = [feature.key for feature in info.pictures if feature.dtype == "video"]
    whole = [
        "episode_index",
        "length",
        "data/chunk_index",
        "data/file_index",
        "dataset_from_index",
        "dataset_to_index",
    ]
    places = [f"videos/{key}/{name}" for key in videos for name in ("chunk_index", "file_index")]
    times = [f"videos/{key}/{name}" for key in videos for name in ("from_timestamp", "to_timestamp")]
    table = file.table([*whole, "tasks", *places, *times])
    numbers = {name: column_numbers(table, name, file.path) for name in (*whole, *places)}
    seconds = {name: values_of(table, name, file.path) for name in times}
    for row, tasks in enumerate(values_of(table, "tasks", file.path)):
        at = {name: values[row] for name, values in numbers.items()}
        spans = {}
        for key in videos:
            begin, end = (seconds[f"videos/{key}/{name}"][row] for name in ("from_timestamp", "to_timestamp"))
            if not (isinstance(begin, float) and isinstance(end, float) and 0 <= begin < end < math.inf):
                raise ExchangeError(
                    f"{file.path}: videos/{key} of episode {at['episode_index']} is from {begin!r} to {end!r} s; "
                    "these must be two times, the first below the second"
                )
            place = at[f"videos/{key}/chunk_index"], at[f"videos/{key}/file_index"]
            spans[key] = VideoSpan(place, begin, end)
        if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
            raise ExchangeError(
                f"{file.path}: tasks of episode {at['episode_index']} is {tasks!r}; it must be texts"
            )
        start, stop = at["dataset_from_index"], at["dataset_to_index"]
        if at["length"] != stop - start:
            raise ExchangeError(
                f"{file.path}: length of episode {at['episode_index']} is {at['length']}, but its frames are {start} "
                f"to {stop}"
            )
        yield EpisodeRow(
            at["episode_index"],
            start,
            stop,
            tuple(tasks),
            (at["data/chunk_index"], at["data/file_index"]),
            spans,
        )


def write_tasks(path: Path, sentences: Sequence[str]) -> None:
    """Write the sentences with `task` as the pandas index: otherwise LeRobot reads row numbers as sentences."""
    arrow, parquet = package("pyarrow"), package("pyarrow.parquet")
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [
            {
                "name": None,
                "field_name": None,
                "pandas_type": "unicode",
                "numpy_type": "object",
                "metadata": {"encoding": "UTF-8"},
            }
        ],
        "columns": [
            _pandas_column("task_index", "int64", "int64"),
            _pandas_column("task", "unicode", "object"),
        ],
        "creator": {"library": "pyarrow", "version": arrow.__version__},
        "pandas_version": "2.2.0",
    }
    table = arrow.table(
        {
            "task_index": arrow.array(range(len(sentences)), arrow.int64()),
            "task": arrow.array(list(sentences), arrow.string()),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a link to the file of another data set
    parquet.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)


def _pandas_column(name: str, kind: str, numpy_kind: str) -> dict[str, Any]:
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}


def write_episodes(
    path: Path, rows: Sequence[EpisodeRow], stats: Sequence[Mapping[str, Mapping[str, Any]]], place: Place
) -> None:
    """Write rows with the statistics of each episode (`stats`: by feature, then by name, as nested lists).

    `place`: chunk and number of this file itself.
    """
    arrow, parquet = package("pyarrow"), package("pyarrow.parquet")
    whole = arrow.int64()
    columns: dict[str, Any] = {
        "episode_index": arrow.array([row.index for row in rows], whole),
        "tasks": arrow.array([list(row.tasks) for row in rows], arrow.list_(arrow.string())),
        "length": arrow.array([row.length for row in rows], whole),
        "data/chunk_index": arrow.array([row.data[0] for row in rows], whole),
        "data/file_index": arrow.array([row.data[1] for row in rows], whole),
        "dataset_from_index": arrow.array([row.start for row in rows], whole),
        "dataset_to_index": arrow.array([row.stop for row in rows], whole),
    }
    for key in rows[0].videos:
        spans = [row.videos[key] for row in rows]
        columns[f"videos/{key}/chunk_index"] = arrow.array([span.place[0] for span in spans], whole)
        columns[f"videos/{key}/file_index"] = arrow.array([span.place[1] for span in spans], whole)
        columns[f"videos/{key}/from_timestamp"] = arrow.array(
            [span.from_s for span in spans], arrow.float64()
        )
        columns[f"videos/{key}/to_timestamp"] = arrow.array([span.to_s for span in spans], arrow.float64())
    for key, values in stats[0].items():
        for name in values:
            kind = whole if name == "count" else arrow.float64()
            for _ in range(_depth(values[name])):
                kind = arrow.list_(kind)
            columns[f"stats/{key}/{name}"] = arrow.array([each[key][name] for each in stats], kind)
    columns["meta/episodes/chunk_index"] = arrow.array([place[0]] * len(rows), whole)
    columns["meta/episodes/file_index"] = arrow.array([place[1]] * len(rows), whole)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table(columns), path)


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) else 0
