"""The files of a LeRobotDataset v3.0, and its `meta/info.json`: what each key means and which values are read.

meta/info.json                                  rate, features, totals
meta/stats.json                                 statistics of each feature, for normalisation
meta/tasks.parquet                              the task sentences
meta/episodes/chunk-000/file-000.parquet        one row an episode
data/chunk-000/file-000.parquet                 one row a frame, one row group an episode
videos/KEY/chunk-000/file-000.mp4               episodes one after another
meta/il_ros.json                                only in exports of this package: contract, origin of each episode
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from il_ros.core import files
from il_ros.core.specs import MOST_NUMBERS, MOST_PIXELS
from il_ros.core.tables import counted
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.records import strict_json as check
from il_ros.records.strict_json import JsonError

VERSION = "v3.0"
INFO, STATS, TASKS = Path("meta/info.json"), Path("meta/stats.json"), Path("meta/tasks.parquet")
EPISODES, OWN = Path("meta/episodes"), Path("meta/il_ros.json")
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
MOST_JSON = 64_000_000
"""A larger JSON file of a data set is not read."""
MOST_FPS, MOST_FEATURES, MOST_FRAMES = 1000, 1000, 1_000_000_000

STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
INTERVENTION, SUCCESS, DONE, REWARD = "intervention", "next.success", "next.done", "next.reward"
GROUP_INTERVENTION = "intervention."
"""Begins the key of a group's column: whether a person commanded this group."""
COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""The features that every data set has and that carry no recorded value."""

NUMBER_TYPES = (
    *("float16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
PICTURE_TYPES = ("video", "image")


@dataclass(frozen=True)
class Feature:
    """One feature. `names`: of its numbers, empty without; `info`: of a video. `shape` of a picture: (H, W, C)."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_picture(self) -> bool:
        """Whether its values are pictures, in a video or one by one."""
        return self.dtype in PICTURE_TYPES

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers or truth values."""
        return self.dtype in NUMBER_TYPES

    @property
    def is_depth(self) -> bool:
        """Whether its pictures are depth maps."""
        return bool(self.info.get("is_depth_map") or self.info.get("video.is_depth_map"))

    @property
    def size(self) -> int:
        """Count of numbers of one frame."""
        return math.prod(self.shape)

    @property
    def elements(self) -> tuple[str, ...]:
        """A name for each number: the declared ones, else '0', '1', ..."""
        return self.names if len(self.names) == self.size else tuple(str(i) for i in range(self.size))


@dataclass(frozen=True)
class DatasetInfo:
    """The contents of `meta/info.json`. `notes`: sentences about what is not read."""

    root: Path
    fps: int
    features: Mapping[str, Feature]
    episodes: int
    frames: int
    tasks: int
    robot_type: str = ""
    chunks_size: int = 1000
    data_mb: int = 100
    video_mb: int = 200
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[Feature, ...]:
        """The features of numbers, without the counters."""
        return tuple(each for each in self.features.values() if each.is_number and each.key not in COUNTERS)

    @property
    def texts(self) -> tuple[Feature, ...]:
        """The features of text."""
        return tuple(each for each in self.features.values() if each.dtype == "string")

    @property
    def pictures(self) -> tuple[Feature, ...]:
        """The features of pictures."""
        return tuple(each for each in self.features.values() if each.is_picture)

    def data_file(self, place: tuple[int, int]) -> Path:
        """Return the path of a data file by its chunk and number."""
        return self.root / DATA_PATH.format(chunk_index=place[0], file_index=place[1])

    def video_file(self, key: str, place: tuple[int, int]) -> Path:
        """Return the path of a video file by its feature, chunk and number."""
        return self.root / VIDEO_PATH.format(video_key=key, chunk_index=place[0], file_index=place[1])


def read_info(root: Path) -> DatasetInfo:
    """Read `meta/info.json` of the data set in folder `root`.

    Raises ExchangeError when it is missing or malformed, or of another version.
    """
    if root.is_file():
        raise ExchangeError(f"{root}: is a file; give the folder of the data set, which holds {INFO}")
    path = root / INFO
    values = read_json(path)
    version = values.get("codebase_version")
    if version != VERSION:
        raise ExchangeError(
            f"{path}: codebase_version is {check.shown(version)}; '{VERSION}' is read. LeRobot converts older data "
            "sets: python -m lerobot.datasets.v30.convert_dataset_v21_to_v30 --repo-id NAME"
        )
    try:
        read = _CHECK(values, "")
        features = {key: _feature(key, value) for key, value in read["features"].items()}
        _require_counters(features)
    except JsonError as error:
        raise ExchangeError(f"{path}: {error}") from None
    for key, wanted in (("data_path", DATA_PATH), ("video_path", VIDEO_PATH)):
        if read.get(key) not in (None, wanted):
            raise ExchangeError(f"{path}: {key} is {check.shown(read[key])}; only '{wanted}' is read")
    unknown = [key for key in values if key not in _KEYS]
    notes = [f"{path}: its keys {', '.join(unknown)} are not known; they are not read"] if unknown else []
    notes += [
        f"feature '{each.key}' has dtype '{each.dtype}', which is not read"
        for each in features.values()
        if not (each.is_number or each.is_picture or each.dtype == "string")
    ]
    return DatasetInfo(
        root,
        read["fps"],
        features,
        read["total_episodes"],
        read["total_frames"],
        read["total_tasks"],
        read.get("robot_type") or "",
        read.get("chunks_size", 1000),
        read.get("data_files_size_in_mb", 100),
        read.get("video_files_size_in_mb", 200),
        tuple(notes),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of a data set; raises ExchangeError."""
    try:
        values = check.loads(files.read_text(path, MOST_JSON), nan_is_null=True)
    except FileNotFoundError:
        raise ExchangeError(f"{path}: there is no such file; a LeRobot data set has it") from None
    except (OSError, ValueError) as error:
        raise ExchangeError(f"{path}: can't be read: {error}") from error
    if not isinstance(values, dict):
        raise ExchangeError(f"{path}: holds {check.shown(values)}; it must be an object")
    return values


def feature_json(feature: Feature) -> dict[str, Any]:
    """Return a feature as `meta/info.json` has it."""
    names = list(feature.names) or None
    out: dict[str, Any] = {"dtype": feature.dtype, "shape": list(feature.shape), "names": names}
    return out | ({"info": dict(feature.info)} if feature.info else {})


def _feature(key: str, value: Any) -> Feature:
    where = f"features.{key}"
    if not key or "/" in key or key in (".", "..") or not key.isprintable():
        raise JsonError(
            f"features has the key {check.shown(key)}; a key may not contain '/' or control characters"
        )
    read = _FEATURE(value, where)
    shape = tuple(read["shape"])
    dtype, info = read["dtype"], read.get("info") or read.get("video_info") or {}
    if dtype in PICTURE_TYPES:
        shape = _picture_shape(shape, _names(read.get("names")), where)
    size = math.prod(shape)
    most = MOST_PIXELS * 3 if dtype in PICTURE_TYPES else MOST_NUMBERS
    if size > most:
        raise JsonError(f"{where}.shape is {list(shape)}: {counted(size, 'value')}; at most {most} are read")
    names = _names(read.get("names"))
    return Feature(key, dtype, shape, names if len(names) == size or dtype in PICTURE_TYPES else (), info)


def _picture_shape(shape: tuple[int, ...], names: tuple[str, ...], where: str) -> tuple[int, int, int]:
    """Return (H, W, C); some data sets declare the channels first."""
    if len(shape) != 3:
        raise JsonError(f"{where}.shape is {list(shape)}; a picture has [height, width, channels]")
    first = names[:1] in (("channels",), ("channel",)) or (
        not names and shape[0] in (1, 3) and shape[2] not in (1, 3)
    )
    height, width, channels = (shape[1], shape[2], shape[0]) if first else shape
    if channels not in (1, 3) or height * width > MOST_PIXELS:
        raise JsonError(
            f"{where}.shape is {list(shape)}; a picture has 1 or 3 channels and at most {MOST_PIXELS} pixels"
        )
    return height, width, channels


def _names(value: Any) -> tuple[str, ...]:
    """Return the names of a feature's numbers, which stand in a list, or in lists by group ({"motors": [...]})."""
    if isinstance(value, dict):
        return tuple(name for part in value.values() for name in _names(part))
    if isinstance(value, list) and all(isinstance(name, (str, int)) for name in value):
        return tuple(str(name) for name in value)
    return ()


def _require_counters(features: Mapping[str, Feature]) -> None:
    missing = [key for key in COUNTERS if key not in features]
    if missing:
        raise JsonError(f"features lacks '{missing[0]}'; every data set of version {VERSION} has it")
    wrong = [key for key in COUNTERS if features[key].size != 1 or not features[key].is_number]
    if wrong:
        raise JsonError(f"features.{wrong[0]} must be one number, not {features[wrong[0]].shape}")


def _anything(value: Any, name: str) -> Any:
    return value


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise JsonError(f"{name} is {check.shown(value)}; it must be an object")
    return value


_FEATURE = check.record(
    "a feature",
    {
        "dtype": check.text,
        "shape": check.several(check.whole(1, 1 << 31)),
        "names": _anything,
        "info": check.or_null(_object),
        "video_info": check.or_null(_object),
    },
    optional=("names", "info", "video_info"),
    others=True,
)
_CHECK = check.record(
    "a data set's info",
    {
        "fps": check.whole(1, MOST_FPS),
        "features": check.mapping(_anything),
        "total_episodes": check.whole(0, MOST_FRAMES),
        "total_frames": check.whole(0, MOST_FRAMES),
        "total_tasks": check.whole(0, MOST_FRAMES),
        "robot_type": check.or_null(check.text),
        "chunks_size": check.whole(1, MOST_FRAMES),
        "data_files_size_in_mb": check.number(0.0),
        "video_files_size_in_mb": check.number(0.0),
        "data_path": check.or_null(check.text),
        "video_path": check.or_null(check.text),
    },
    optional=(
        *("robot_type", "chunks_size", "data_files_size_in_mb", "video_files_size_in_mb"),
        *("data_path", "video_path"),
    ),
    others=True,
)
_KEYS = {
    *("codebase_version", "fps", "features", "total_episodes", "total_frames", "total_tasks", "robot_type"),
    *("chunks_size", "data_files_size_in_mb", "video_files_size_in_mb", "data_path", "video_path", "splits"),
    "tools",
}
