"""A robomimic HDF5 file: demonstrations, masks and the environment's arguments, read strictly and within bounds.

    data             attributes: env_args (JSON); in exports of this package also contract
    data/demo_<i>    attributes: num_samples; optional: model_file, ep_meta (JSON), outcome, instruction
        actions (N, A)   optional: rewards (N,), dones (N,), states (N, D)
        obs/<key> (N, ...)   optional: next_obs/<key> (N, ...)
    mask/<name>      names of demonstrations, as bytes

HDF5 can name other files and load filters as code. Links to other files, virtual and external data sets, and filters
other than HDF5's own are refused.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from il_ros.core.specs import MOST_NUMBERS, MOST_PIXELS
from il_ros.core.tables import counted
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.records import strict_json as check
from il_ros.records.strict_json import JsonError

Array = np.ndarray[Any, Any]

MOST_DEMOS, MOST_TEXT = 1_000_000, 10_000_000
GROWTH, LEAST = 1100, 1 << 20
"""N stored bytes hold at most GROWTH * N + LEAST bytes: gzip shrinks 1032-fold at most."""
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 6: "scaleoffset", 32000: "lzf"}
DEMO_TEXTS = ("model_file", "ep_meta", "outcome", "instruction", "episode")
_NAME = re.compile(r"demo_([0-9]{1,9})")


@dataclass(frozen=True)
class Demo:
    """One demonstration: its name, number of frames N, and attributes as texts."""

    name: str
    number: int
    length: int
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ObservedPart:
    """One observation of the file: its key, the shape of a frame, and its type. `picture`: it is one."""

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def picture(self) -> bool:
        """Whether its frames are pictures: (H, W, 3) or (H, W, 1) of whole numbers, or of depths (H, W, 1)."""
        return len(self.shape) == 3 and self.shape[2] in (1, 3) and self.dtype.kind in "uf"

    @property
    def depth(self) -> bool:
        """Whether its frames are depths in metres."""
        return self.picture and self.dtype.kind == "f"

    @property
    def size(self) -> int:
        """Count of numbers of one frame."""
        return int(np.prod(self.shape, dtype=np.int64))


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Turn what h5py raises on damaged files, which is nearly anything, into ExchangeError."""
    try:
        yield
    except ExchangeError:
        raise
    except Exception as error:
        raise ExchangeError(f"{path}: is damaged, or no robomimic file: {error}") from error


def _rate(given: object) -> float | None:
    """Return a rate in frames per second that a file says; None if it says none."""
    if not isinstance(given, (int, float)) or isinstance(given, bool):
        return None
    return float(given) if math.isfinite(given) and given > 0 else None


class RobomimicFile:
    """An open file. `demos`: by number; `masks`: the names in each; `environment`: what `env_args` says.

    `contract_text`: the contract that an export of this package has with it, '' without.

    Raises ExchangeError when it is no such file.
    """

    def __init__(self, path: Path):
        self.path = path
        h5py = package("h5py")
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise ExchangeError(f"{path}: is not a regular file")
            self._file = h5py.File(path, "r")
        except ExchangeError:
            raise
        except FileNotFoundError as error:
            raise ExchangeError(f"{path}: there is no such file") from error
        except OSError as error:
            raise ExchangeError(f"{path}: is not a readable HDF5 file: {error}") from error
        try:
            with _whole(path):
                self.demos = self._demos()
                self.environment, self.environment_text = self._environment()
                self.masks = self._masks()
                self.observed, self.action_size = self._parts(self.demos[0])
                attributes = self._group("data").attrs
                self.contract_text = _text(attributes.get("contract"))
                self._own_rate = _rate(np.asarray(attributes.get("rate_hz")).item())
        except BaseException:
            self._file.close()
            raise

    @property
    def rate_hz(self) -> float | None:
        """The environment's control rate, or that of an export of this package; None when the file says neither."""
        kwargs = self.environment.get("env_kwargs")
        given = kwargs.get("control_freq") if isinstance(kwargs, dict) else None
        return _rate(given) or self._own_rate

    def keys(self, demo: Demo) -> tuple[str, ...]:
        """Return the names of what a demonstration has besides observations: 'actions', 'rewards', ..."""
        with _whole(self.path):
            return tuple(key for key in self._group(f"data/{demo.name}") if key not in ("obs", "next_obs"))

    def observed_keys(self, demo: Demo, group: str = "obs") -> tuple[str, ...]:
        """Return the keys of a demonstration's observations ('obs' or 'next_obs'), empty without any."""
        with _whole(self.path):
            has = group in self._group(f"data/{demo.name}")
            return tuple(self._group(f"data/{demo.name}/{group}")) if has else ()

    def array(self, demo: Demo, key: str, rows: slice = slice(None)) -> Array:
        """Return rows of an array of a demonstration: 'actions', 'obs/KEY', ...

        Raises ExchangeError unless it has N rows of numbers, all of them written.
        """
        name = f"data/{demo.name}/{key}"
        with _whole(self.path):
            found = self._dataset(name)
            if not found.shape or found.shape[0] != demo.length:
                raise ExchangeError(
                    f"{self.path}: {name} has shape {found.shape}; num_samples says {counted(demo.length, 'row')}"
                )
            return np.asarray(found[rows])

    def part(self, demo: Demo, key: str) -> ObservedPart:
        """Return the shape and type of an observation; raises ExchangeError when the demonstration lacks it."""
        with _whole(self.path):
            found = self._dataset(f"data/{demo.name}/obs/{key}")
            return ObservedPart(key, tuple(found.shape[1:]), found.dtype)

    def _demos(self) -> tuple[Demo, ...]:
        found = []
        for name in self._group("data"):
            match = _NAME.fullmatch(name)
            if match is None:
                raise ExchangeError(
                    f"{self.path}: data has '{name}'; a demonstration's name is demo_0, demo_1, ..."
                )
            group = self._group(f"data/{name}")
            length = group.attrs.get("num_samples")
            if not isinstance(length, (int, np.integer)) or length < 1:
                raise ExchangeError(
                    f"{self.path}: num_samples of data/{name} is {check.shown(_plain(length))}; it must be a whole "
                    "number above 0"
                )
            texts = {key: _text(group.attrs.get(key)) for key in DEMO_TEXTS if key in group.attrs}
            found.append(Demo(name, int(match[1]), int(length), texts))
        if not found or len(found) > MOST_DEMOS:
            raise ExchangeError(
                f"{self.path}: has {counted(len(found), 'demonstration')}; 1 to {MOST_DEMOS} are read"
            )
        return tuple(sorted(found, key=lambda demo: demo.number))

    def _environment(self) -> tuple[dict[str, Any], str]:
        text = _text(self._group("data").attrs.get("env_args", "{}"))
        try:
            values = check.loads(text, nan_is_null=True)
        except JsonError as error:
            raise ExchangeError(f"{self.path}: env_args of data can't be read: {error}") from None
        if not isinstance(values, dict):
            raise ExchangeError(
                f"{self.path}: env_args of data is {check.shown(values)}; it must be a JSON object"
            )
        return values, text

    def _masks(self) -> dict[str, tuple[str, ...]]:
        if "mask" not in self._file:
            return {}
        masks, known = {}, {demo.name for demo in self.demos}
        for name in self._group("mask"):
            found = self._dataset(f"mask/{name}")
            if found.dtype.kind not in "SO" or found.ndim != 1:
                raise ExchangeError(
                    f"{self.path}: mask/{name} is {found.dtype}; it must be a list of names as bytes"
                )
            names = tuple(_text(value) for value in found[:])
            strange = [each for each in names if each not in known]
            if strange:
                raise ExchangeError(f"{self.path}: mask/{name} has '{strange[0]}', which is not in data")
            masks[name] = names
        return masks

    def _parts(self, demo: Demo) -> tuple[tuple[ObservedPart, ...], int]:
        parts = tuple(self.part(demo, key) for key in self.observed_keys(demo))
        for part in parts:
            most = 3 * MOST_PIXELS if part.picture else MOST_NUMBERS
            if part.size > most or part.dtype.kind not in "fiub":
                raise ExchangeError(
                    f"{self.path}: obs/{part.key} of {demo.name} has frames of shape {part.shape} and type "
                    f"{part.dtype}; they must be numbers, at most {most}"
                )
        actions = self._dataset(f"data/{demo.name}/actions")
        if len(actions.shape) != 2 or not 0 < actions.shape[1] <= MOST_NUMBERS:
            raise ExchangeError(
                f"{self.path}: actions of {demo.name} has shape {actions.shape}; it must be (N, A)"
            )
        return parts, int(actions.shape[1])

    def _group(self, name: str) -> Any:
        return self._get(name, "Group")

    def _dataset(self, name: str) -> Any:
        """Return a data set that holds its numbers itself, written completely, by filters that are no code."""
        found = self._get(name, "Dataset")
        where = f"{self.path}: {name}"
        if found.is_virtual or found.external:
            raise ExchangeError(f"{where} has its numbers in another file; only what is in the file is read")
        plist = found.id.get_create_plist()
        filters = [plist.get_filter(number)[0] for number in range(plist.get_nfilters())]
        strange = [number for number in filters if number not in FILTERS]
        if strange:
            raise ExchangeError(
                f"{where} is compressed by filter {strange[0]}; of: {', '.join(FILTERS.values())}"
            )
        stored, size = found.id.get_storage_size(), found.size * found.dtype.itemsize
        chunks = 1 if found.chunks is None else found.id.get_num_chunks()
        wanted = 1
        if found.chunks is not None:
            wanted = int(
                np.prod(
                    [-(-length // chunk) for length, chunk in zip(found.shape, found.chunks, strict=True)]
                )
            )
        if size and (not stored or chunks < wanted):
            raise ExchangeError(f"{where} was not written completely; its writer was interrupted")
        if size > GROWTH * stored + LEAST:
            raise ExchangeError(f"{where}: {counted(stored, 'byte')} claim to hold {size}; it is damaged")
        return found

    def _get(self, name: str, kind: str) -> Any:
        h5py = package("h5py")
        held = self._file
        for part in name.split("/"):
            link = held.get(part, getlink=True)
            if isinstance(link, (h5py.ExternalLink, h5py.SoftLink)):
                raise ExchangeError(f"{self.path}: {name} is a link; only what is in its place is read")
            try:
                held = held[part]
            except KeyError:
                has = ", ".join(list(held)[:20]) or "nothing"
                raise ExchangeError(f"{self.path}: has no {name}; beside it: {has}") from None
            if part != name.rpartition("/")[2] and not isinstance(held, h5py.Group):
                raise ExchangeError(f"{self.path}: {name} lies in something that is no group")
        if not isinstance(held, getattr(h5py, kind)):
            raise ExchangeError(f"{self.path}: {name} is a {type(held).__name__}; it must be a {kind}")
        return held

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> RobomimicFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any) -> str:
    """Return an attribute or a mask's name as text, shortened; '' for anything else."""
    raw = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return raw[:MOST_TEXT].decode("utf-8", "replace") if isinstance(raw, bytes) else ""
