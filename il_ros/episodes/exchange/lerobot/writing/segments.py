"""Convert one episode to segments, each the part of it between two holes: rows, videos, counts of pixel values.

A segment is kept in the export's hidden folder until all are done, with a key of everything that it depends on, so that
an interrupted export goes on where it stopped. `segment.json` is written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import atomic, files
from il_ros.core.contract import Contract
from il_ros.core.specs import ObservationSpec
from il_ros.core.tables import counted
from il_ros.episodes.arrays.replay import Frame, Skipped, open_replay
from il_ros.episodes.bag.reader import bag_files, open_bag, require_whole
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.grid import GridCounts, GridFrame, on_grid
from il_ros.episodes.exchange.lerobot.columns import Columns, arrow_type
from il_ros.episodes.exchange.lerobot.depth import MOST_CODE
from il_ros.episodes.exchange.lerobot.layout import (
    ACTION,
    DONE,
    GROUP_INTERVENTION,
    IMAGES,
    INTERVENTION,
    MOST_JSON,
    STATE,
    SUCCESS,
)
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.episodes.exchange.lerobot.video import VideoWriter, require_even_times
from il_ros.episodes.exchange.lerobot.writing.stats import count_values
from il_ros.records import strict_json as check
from il_ros.records.labelling import POLICY
from il_ros.records.outcomes import SUCCESS as SUCCEEDED
from il_ros.records.outcomes import UNMARKED

VERSION = 1
ROWS, SEGMENT = "rows.parquet", "segment.json"


@dataclass(frozen=True)
class Segment:
    """One part of an episode in `folder`; `saturated`: depth pixels beyond the largest depth."""

    folder: Path
    name: str
    frames: int
    first_tick_ns: int
    outcome: str
    sentence: str
    saturated: int = 0


@dataclass(frozen=True)
class Converted:
    """The segments of an episode and what was noticed. `holes`: a sentence for each."""

    name: str
    segments: tuple[Segment, ...]
    holes: tuple[str, ...] = ()
    edges: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0
    unused: int = 0
    notes: tuple[str, ...] = ()


def convert(entry: Entry, columns: Columns, options: ExportOptions, folder: Path) -> Converted:
    """Convert an episode, or return what was converted before. `folder`: of this episode's segments.

    Raises BagError, MismatchError or ExchangeError when it can't be converted.
    """
    key = _key(entry, columns, options)
    done = _done(folder, key)
    if done is not None:
        return done
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    require_whole(entry.folder)
    replay = open_replay(open_bag(entry.folder), columns.contract, entry.info, options.rule)
    counts = GridCounts()
    frames = on_grid(_commanded(replay, columns.contract), columns.contract.period_ns, columns.fps, counts)
    segments: list[Segment] = []
    try:
        parts = _Parts(frames)
        for part in parts:
            path = folder / f"part-{len(segments):03d}"
            segments.append(_write(part, entry, columns, options, path, replay.from_commands, parts))
    except ExchangeError as error:
        raise ExchangeError(f"{entry.folder}: {error}") from error
    if not segments:
        reasons = "; ".join(f"{reason} ({counted(count, 'tick')})" for reason, count in counts.edges.items())
        raise ExchangeError(f"{entry.folder}: has no frame: {reasons or 'it has no ticks'}")
    made = Converted(
        entry.name,
        tuple(segments),
        tuple(str(hole) for hole in counts.holes),
        counts.edges,
        counts.repeated,
        counts.unused,
        replay.notes,
    )
    atomic.write_text(folder / SEGMENT, json.dumps({"key": key, "made": _json(made)}), durable=False)
    return made


def _commanded(replay: Iterable[Frame | Skipped], contract: Contract) -> Iterator[Frame | Skipped]:
    """Yield a replay without the frames in which an action group has no command: a data set has no place for them."""
    for item in replay:
        if isinstance(item, Frame) and np.isnan(item.command).any():
            missing = next(
                group.name for group in contract.groups if np.isnan(item.command[group.index]).any()
            )
            yield Skipped(item.tick_ns, (f"no command of group '{missing}'",))
        else:
            yield item


class _Parts:
    """The frames of each part; iterate over one before asking for the next. `ended`: no frame follows."""

    def __init__(self, frames: Iterable[GridFrame]):
        self._source = iter(frames)
        self._ahead = next(self._source, None)

    @property
    def ended(self) -> bool:
        return self._ahead is None

    def __iter__(self) -> Iterator[Iterable[GridFrame]]:
        while self._ahead is not None:
            yield self._part(self._ahead.part)

    def _part(self, number: int) -> Iterable[GridFrame]:
        while self._ahead is not None and self._ahead.part == number:
            yield self._ahead
            self._ahead = next(self._source, None)


def _write(
    frames: Iterable[GridFrame],
    entry: Entry,
    columns: Columns,
    options: ExportOptions,
    folder: Path,
    from_commands: bool,
    parts: _Parts,
) -> Segment:
    folder.mkdir()
    outcome = entry.outcome if entry.outcome != UNMARKED else _unmarked(options)
    table = _Table(columns)
    counts = {
        key: np.zeros((1, MOST_CODE + 1) if _is_depth(spec) else (3, 256), np.int64)
        for key, spec in columns.cameras.items()
    }
    saturated, first_ns = 0, 0
    texts: set[str] = set()
    with ExitStack() as stack:
        writers = {
            key: stack.enter_context(_writer(folder, key, spec, columns, options))
            for key, spec in columns.cameras.items()
            if columns.is_video(spec)
        }
        for item in frames:
            first_ns = first_ns or item.frame.tick_ns
            for key, spec in columns.cameras.items():
                value = np.asarray(item.frame.observation.values[spec.key])
                picture = columns.picture(spec, value)
                saturated += int((value > columns.depth.most).sum()) if _is_depth(spec) else 0
                count_values([picture], counts[key])
                if key in writers:
                    writers[key].write(picture)
                else:
                    table.add(key, _png(picture))
            texts |= {str(item.frame.observation.values[spec.key]) for spec in columns.texts.values()}
            table.add_frame(item, from_commands)
    if not parts.ended and outcome == SUCCEEDED:
        outcome = UNMARKED  # only the last part of a divided episode leads to its verdict
    table.end(outcome == SUCCEEDED)
    package("pyarrow.parquet").write_table(table.made(), folder / ROWS)
    for key, found in counts.items():
        np.save(counts_file(folder, key), found, allow_pickle=False)
    for key in writers:
        require_even_times(video_file(folder, key), columns.fps, table.frames)
    return Segment(
        folder, entry.name, table.frames, first_ns, outcome, _sentence(entry, columns, texts), saturated
    )


class _Table:
    """The rows of a segment, by column."""

    def __init__(self, columns: Columns):
        self._columns = columns
        self._features = columns.features
        self._values: dict[str, list[Any]] = {}
        self._ticks_ns: list[int] = []

    @property
    def frames(self) -> int:
        return len(self._ticks_ns)

    def add(self, key: str, value: Any) -> None:
        self._values.setdefault(key, []).append(value)

    def add_frame(self, item: GridFrame, from_commands: bool) -> None:
        frame = item.frame
        if STATE in self._features:
            self.add(STATE, self._columns.state(frame))
        self.add(ACTION, self._columns.action(frame))
        for key, spec in self._columns.texts.items():
            self.add(key, str(frame.observation.values[spec.key]))
        if INTERVENTION in self._features:
            self.add(INTERVENTION, from_commands or frame.authority != POLICY)
        for group in self._columns.groups:
            authority = frame.authorities.get(group, frame.authority)
            self.add(GROUP_INTERVENTION + group, from_commands or authority != POLICY)
        self._ticks_ns.append(frame.tick_ns)

    def end(self, succeeded: bool) -> None:
        """Add what is true of the last frame only: `next.done`, and `next.success` of a success."""
        last = self.frames - 1
        self._values[DONE] = [number == last for number in range(self.frames)]
        if SUCCESS in self._features:
            self._values[SUCCESS] = [succeeded and done for done in self._values[DONE]]

    def made(self) -> Any:
        arrow = package("pyarrow")
        arrays = {}
        for key, values in self._values.items():
            kind = arrow_type(self._features[key])
            if arrow.types.is_fixed_size_list(kind):
                flat = arrow.array(np.stack(values).reshape(-1))
                arrays[key] = arrow.FixedSizeListArray.from_arrays(flat, kind.list_size)
            else:
                arrays[key] = arrow.array([_scalar(value) for value in values], kind)
        return arrow.table(arrays)


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.ndarray) else value


def video_file(folder: Path, key: str) -> Path:
    """Return the path of a segment's video of a camera."""
    return folder / f"{key.removeprefix(IMAGES)}.mp4"


def counts_file(folder: Path, key: str) -> Path:
    """Return the path of the file that says how often each value occurs in a camera's pictures."""
    return folder / f"{key.removeprefix(IMAGES)}.npy"


def _writer(
    folder: Path, key: str, spec: ObservationSpec, columns: Columns, options: ExportOptions
) -> VideoWriter:
    assert spec.image is not None
    codec = columns.codec_of(spec)
    size = spec.image.width, spec.image.height
    return VideoWriter(video_file(folder, key), *size, columns.fps, codec, options.quality)


def _png(picture: np.ndarray[Any, Any]) -> dict[str, Any]:
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not done:
        raise ExchangeError(f"a picture of {picture.shape} can't be written as png")
    return {"bytes": data.tobytes(), "path": None}


def _is_depth(spec: ObservationSpec) -> bool:
    return spec.image is not None and spec.image.encoding == "depth"


def _unmarked(options: ExportOptions) -> str:
    return options.unmarked if options.unmarked in ("success", "failure") else UNMARKED


def _sentence(entry: Entry, columns: Columns, texts: set[str]) -> str:
    """Return the episode's task sentence: its instruction, its one observed text, or the name of its task."""
    given = "" if entry.info is None else entry.info.instruction
    observed = next(iter(texts)) if len(texts) == 1 else ""
    return given or observed or entry.task or columns.contract.name


def _key(entry: Entry, columns: Columns, options: ExportOptions) -> dict[str, Any]:
    stats = [(file.name, file.stat()) for file in bag_files(entry.folder)]
    info = "" if entry.info is None else entry.info.to_json()
    return {
        "version": VERSION,
        "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
        "episode": hashlib.sha256(info.encode()).hexdigest(),
        "contract": hashlib.sha256(columns.contract.text.encode()).hexdigest(),
        "options": [
            *(columns.fps, columns.pictures, columns.codec, columns.depth.most, columns.intervention),
            *(columns.success, options.quality, options.actions, options.unmarked),
        ],
    }


def _json(made: Converted) -> dict[str, Any]:
    segments = [{**vars(segment), "folder": segment.folder.name} for segment in made.segments]
    return {**vars(made), "segments": segments, "edges": dict(made.edges)}


def _done(folder: Path, key: dict[str, Any]) -> Converted | None:
    """Return the segments that were made before from the same files with the same options, None without."""
    try:
        found, made = _saved(folder)
    except (OSError, ValueError):
        return None
    return made if found == key else None


def converted_in(folder: Path) -> Converted:
    """Return the segments that were converted into a folder; raises ExchangeError when they can't be read."""
    try:
        return _saved(folder)[1]
    except (OSError, ValueError) as error:
        raise ExchangeError(f"{folder / SEGMENT}: can't be read: {error}") from error


def _saved(folder: Path) -> tuple[Any, Converted]:
    """Return the key and the segments of a conversion; raises OSError, ValueError."""
    saved = _SAVED(check.loads(files.read_text(folder / SEGMENT, MOST_JSON)), "")
    made = saved["made"]
    for each in made["segments"]:
        if Path(each["folder"]).name != each["folder"]:
            raise ValueError(f"folder is '{each['folder']}'; it must be a name")
    segments = tuple(
        Segment(**{**segment, "folder": folder / segment["folder"]}) for segment in made["segments"]
    )
    return saved["key"], Converted(**{**made, "segments": segments})


_SEGMENT = {
    "folder": check.text,
    "name": check.text,
    "frames": check.whole(1),
    "first_tick_ns": check.whole(),
    "outcome": check.text,
    "sentence": check.text,
    "saturated": check.whole(),
}
_MADE = {
    "name": check.text,
    "segments": check.several(check.record("a segment", _SEGMENT), least=1),
    "holes": check.several(check.text),
    "edges": check.mapping(check.whole()),
    "repeated": check.whole(),
    "unused": check.whole(),
    "notes": check.several(check.text),
}
_SAVED = check.record(
    "a conversion", {"key": lambda value, _: value, "made": check.record("a conversion's result", _MADE)}
)
