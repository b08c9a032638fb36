"""Episodes as a robomimic data set: one HDF5 file (robomimic 0.3 to 0.5, docs/datasets/overview.md, utils/dataset.py).

    data            total, env_args (JSON); action_names, action_lower, action_upper, rate_hz
    data/demo_<i>   num_samples; episode, outcome, instruction, offset (its first frame within the episode)
      actions (N, A)   rewards (N,)   dones (N,)   obs/<key> (N, ...)   next_obs/<key> (N, ...)
    mask/train, mask/valid      the demos' names

Where ticks have no label or no observation, an episode becomes several demos: a demo has no gap. Numbers are those of
the frames, float64; actions are absolute commands in the contract's order and units. Where nothing was observed after
the last command, the last `next_obs` repeats the observation, as robomimic does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.core.tables import counted
from il_ros.episodes.arrays.dataset import validation_names
from il_ros.episodes.arrays.replay import FrameStep, open_replay
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.records.outcomes import SUCCESS

REWARD = "/task/reward"
"""Topic of the rewards (std_msgs/Float64) that an episode of a Gymnasium environment has."""
GYM = 2
"""robomimic's number of Gymnasium environments (EnvType.GYM_TYPE)."""


@dataclass(frozen=True)
class RobomimicExport:
    """What was written: demos and frames, and sentences about what was left out."""

    demos: int
    frames: int
    left_out: tuple[str, ...]


def export_robomimic(
    entries: Sequence[Entry],
    contract: Contract,
    file: Path,
    *,
    validation: float = 0.1,
    seed: int = 0,
    progress: Callable[[Sequence[Entry]], Any] = iter,
) -> RobomimicExport:
    """Write the labelled frames of some episodes to a new HDF5 file, which appears when it is complete.

    `validation`: the share of frames in the mask `valid`, in whole episodes, chosen as `il-ros train` does with this
    seed. Raises ExchangeError when the file exists, h5py is missing, or no episode has a frame; BagError and
    MismatchError on a damaged or unfit episode.
    """
    h5py = package("h5py")
    if file.exists():
        raise ExchangeError(f"{file} exists; choose another file, or delete it")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with h5py.File(unfinished, "w") as written:
            done = _write(written, entries, contract, validation, seed, progress)
        with unfinished.open("rb") as whole:
            os.fsync(whole.fileno())
        try:
            os.link(unfinished, file)  # unlike a renaming, it replaces nothing
        except FileExistsError as error:
            raise ExchangeError(f"{file} exists; choose another file, or delete it") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return done


def _write(
    written: Any,
    entries: Sequence[Entry],
    contract: Contract,
    validation: float,
    seed: int,
    progress: Callable[[Sequence[Entry]], Any],
) -> RobomimicExport:
    data = written.create_group("data")
    keys = [spec.key for spec in contract.observations if spec.kind != "text"]
    left_out = [f"observation {spec.key}: text" for spec in contract.observations if spec.kind == "text"]
    if not keys:
        raise ExchangeError(f"contract {contract.name} observes nothing but text")
    demos: dict[str, list[str]] = {}
    frames: dict[str, int] = {}
    total = 0
    for entry in progress(entries):
        rewards = _rewards(entry)
        first = 0
        for run in _runs(entry, contract):
            name = f"demo_{total}"
            earned = _earned(entry, run, rewards, contract.period_ns)
            _write_demo(data.create_group(name), run, keys, entry, earned, first)
            demos.setdefault(entry.name, []).append(name)
            frames[entry.name] = frames.get(entry.name, 0) + len(run)
            first += len(run)
            total += 1
        if entry.name not in frames:
            left_out.append(f"{entry.name}: no tick with an observation and a label")
    if not total:
        raise ExchangeError("no frame to export: " + "; ".join(left_out or ["there are no episodes"]))
    held_out = validation_names(frames, validation, seed)
    masks = {"train": [name for name in demos if name not in held_out], "valid": sorted(held_out)}
    for mask, chosen in masks.items():
        names = [demo for episode in chosen for demo in demos[episode]]
        written.create_dataset(f"mask/{mask}", data=np.array(names, dtype="S"))
    tasks = sorted({entry.task for entry in entries if entry.name in frames})
    _describe(data, contract, tasks, sum(frames.values()))
    return RobomimicExport(total, sum(frames.values()), tuple(left_out))


def _describe(data: Any, contract: Contract, tasks: Sequence[str], frames: int) -> None:
    name = tasks[0] if len(tasks) == 1 else "; ".join(tasks)
    environment = {"env_name": name, "type": GYM, "env_type": GYM, "env_version": None, "env_kwargs": {}}
    limits = [spec.limits for spec in contract.actions]
    data.attrs["total"] = frames
    data.attrs["env_args"] = json.dumps(environment)
    data.attrs["action_names"] = json.dumps(contract.action_names)
    data.attrs["action_lower"] = np.concatenate([each.lower for each in limits])
    data.attrs["action_upper"] = np.concatenate([each.upper for each in limits])
    data.attrs["rate_hz"] = contract.rate_hz
    data.attrs["contract"] = contract.text


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


def summary(done: RobomimicExport, file: Path) -> str:
    """Return what was written in one line."""
    return f"{counted(done.demos, 'demo')}, {counted(done.frames, 'frame')} in {file}"
