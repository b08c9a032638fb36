"""Convert one episode to demos in an HDF5 file of its own, from which the data set is put together.

Where ticks have no label or no observation, an episode becomes several demos: a demo has no gap. The file is kept in
the export's hidden folder with a key of everything that it depends on, so that an interrupted export goes on where it
stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.episodes.arrays.replay import FrameStep, open_replay
from il_ros.episodes.bag.reader import bag_files, open_bag
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.records.outcomes import SUCCESS

VERSION = 1
KEY, NAME, TASK = "il_ros_key", "episode", "task"
"""Attributes of the file: what it was made of, and the name and task of its episode."""
REWARD = "/task/reward"
"""Topic of the rewards (std_msgs/Float64) that an episode of a Gymnasium environment has."""


@dataclass(frozen=True)
class EpisodeDemos:
    """An episode's demos, demo_0 to demo_<count - 1>, in `file`; `frames` of all of them."""

    file: Path
    name: str
    task: str
    count: int
    frames: int


def observed_keys(contract: Contract) -> list[str]:
    """Return the observations that a demo has: all but texts."""
    return [spec.key for spec in contract.observations if spec.kind != "text"]


def convert(work: tuple[Entry, Contract, Path]) -> EpisodeDemos:
    """Write an episode's demos under a contract into a file, or return what was converted before.

    Raises BagError, MismatchError or ExchangeError when it can't be converted, OSError.
    """
    entry, contract, file = work
    key = _key(entry, contract)
    try:
        found = demos_in(file, key)
    except ExchangeError:  # there is none, or it is another's
        unfinished = file.with_name(f".{file.name}.{os.getpid()}")
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with package("h5py").File(unfinished, "w") as written:
                _write(written, entry, contract)
                written.attrs.update({KEY: key, NAME: entry.name, TASK: entry.task})
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
        found = demos_in(file, key)
    return found


def demos_in(file: Path, key: str | None = None) -> EpisodeDemos:
    """Return what an episode's file holds; raises ExchangeError unless it is whole and, if given, has this `key`."""
    try:
        with package("h5py").File(file, "r") as read:
            if key is not None and read.attrs[KEY] != key:
                raise ValueError("it was made of something else")
            frames = [int(demo.attrs["num_samples"]) for demo in read.values()]
            return EpisodeDemos(file, str(read.attrs[NAME]), str(read.attrs[TASK]), len(frames), sum(frames))
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise ExchangeError(f"{file}: can't be read: {error}; repeat the export") from error


def _write(written: Any, entry: Entry, contract: Contract) -> None:
    rewards, first = _rewards(entry), 0
    for number, run in enumerate(_runs(entry, contract)):
        earned = _earned(entry, run, rewards, contract.period_ns)
        group = written.create_group(f"demo_{number}")
        _write_demo(group, run, observed_keys(contract), entry, earned, first)
        first += len(run)


def _key(entry: Entry, contract: Contract) -> str:
    """Return a hash of everything that an episode's demos depend on."""
    stats = [(file.name, file.stat()) for file in bag_files(entry.folder)]
    parts = [
        VERSION,
        [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
        "" if entry.info is None else entry.info.to_json(),
        entry.outcome,
        contract.text,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _write_demo(
    group: Any,
    run: Sequence[FrameStep],
    keys: Sequence[str],
    entry: Entry,
    rewards: Sequence[float],
    first: int,
) -> None:
    count, last = len(run), run[-1].last
    group.attrs["num_samples"] = count
    group.attrs["episode"] = entry.name
    group.attrs["outcome"] = entry.outcome
    group.attrs["instruction"] = "" if entry.info is None else entry.info.instruction
    group.attrs["offset"] = first
    group.create_dataset("actions", data=np.array([each.frame.command for each in run]))
    group.create_dataset("rewards", data=np.array(rewards, dtype=np.float64))
    group.create_dataset("dones", data=np.array([0] * (count - 1) + [int(last)], dtype=np.int64))
    for key in keys:
        seen = [each.frame.observation.values[key] for each in run]
        after = [
            seen[place] if each.following is None else each.following.values[key]
            for place, each in enumerate(run)
        ]
        for kind, values_of in (("obs", seen), ("next_obs", after)):
            array = np.array(values_of)
            chunks = (1, *array.shape[1:]) if array.ndim == 4 else None  # pictures are read one by one
            group.create_dataset(f"{kind}/{key}", data=array, chunks=chunks)


def _earned(
    entry: Entry, run: Sequence[FrameStep], rewards: Mapping[int, float], period_ns: int
) -> list[float]:
    """Return the reward of each step: the recorded one, else 1 for the last step of an episode with success.

    Raises ExchangeError when rewards are recorded, but not that of a step.
    """
    if not rewards:
        succeeded = run[-1].last and entry.outcome == SUCCESS
        return [0.0] * (len(run) - 1) + [float(succeeded)]
    times_ns = [each.frame.tick_ns + period_ns for each in run]
    missing = [time_ns for time_ns in times_ns if time_ns not in rewards]
    if missing:
        raise ExchangeError(
            f"{entry.name}: {REWARD} has no message at {missing[0] / 1e9:.3f} s, after a step"
        )
    return [rewards[time_ns] for time_ns in times_ns]


def _runs(entry: Entry, contract: Contract) -> Iterator[list[FrameStep]]:
    """Yield the frames without a gap: each follows the one before within 1.5 control periods."""
    run: list[FrameStep] = []
    for transition in open_replay(open_bag(entry.folder), contract, entry.info).transitions():
        apart_ns = transition.frame.tick_ns - run[-1].frame.tick_ns if run else 0
        if run and 2 * apart_ns > 3 * contract.period_ns:
            yield run
            run = []
        run.append(transition)
    if run:
        yield run


def _rewards(entry: Entry) -> dict[int, float]:
    """Return the recorded rewards by their time, that of the observation after the step."""
    bag = open_bag(entry.folder)
    if REWARD not in bag.topics:
        return {}
    found = bag.messages([REWARD])
    return {each.log_ns: float(messages.decode(each.type, each.raw).data) for each in found}
