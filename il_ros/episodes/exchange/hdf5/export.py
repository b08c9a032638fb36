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
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract
from il_ros.core.tables import counted
from il_ros.episodes.arrays.dataset import validation_names
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.hdf5.demos import VERSION, EpisodeDemos, convert, demos_in, observed_keys
from il_ros.episodes.exchange.shards import FILE, Shard, complete, write_record
from il_ros.episodes.exchange.staging import (
    DATASET,
    SEGMENTS,
    Progress,
    digest_of,
    each_converted,
    publish,
    segments_of,
    staging_of,
)
from il_ros.episodes.jobs import jobs_for

GYM = 2
"""robomimic's number of Gymnasium environments (EnvType.GYM_TYPE)."""


KIND = "export robomimic"
"""The kind of conversion of this module's shards."""


@dataclass(frozen=True)
class RobomimicExport:
    """What was written: demos and frames in `path`, and sentences about what was left out."""

    path: Path
    demos: int
    frames: int
    left_out: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the report as printable lines."""
        out = [f"left out {sentence}" for sentence in self.left_out]
        return [*out, f"{counted(self.demos, 'demo')}, {counted(self.frames, 'frame')} in {self.path}"]


def export_robomimic(
    entries: Sequence[Entry],
    contract: Contract,
    file: Path,
    *,
    validation: float = 0.1,
    seed: int = 0,
    shard: Shard | None = None,
    jobs: int = 1,
    progress: Progress = lambda step, items: items,
) -> RobomimicExport:
    """Write the labelled frames of some episodes to a new HDF5 file, which appears when it is complete.

    `validation`: the share of frames in the mask `valid`, in whole episodes, chosen as `il-ros train` does with this
    seed. `shard`: convert only this part of the episodes, into the folder `shard.folder(file)`, which
    `merge_robomimic` puts together. `jobs`: processes at a time, 0: one per core where that is worth it; a script that
    uses several needs `if __name__ == "__main__":`. Until the file is complete, the work lies in a hidden folder
    beside it, and the same call goes on there.
    Raises ExchangeError when the file exists, h5py is missing, or no episode has a frame; BagError and
    MismatchError on a damaged or unfit episode; OSError when the disk is full.
    """
    package("h5py")
    require_share(validation)
    if not observed_keys(contract):
        raise ExchangeError(f"contract {contract.name} observes nothing but text")
    out = file if shard is None else shard.folder(file)
    _require_new(out)
    if not entries:
        raise ExchangeError(_nothing(contract, []))
    part = entries if shard is None else shard.part(entries)
    with staging_of(out) as staging:
        work = [(entry, contract, staging / SEGMENTS / f"{segments_of(entry)}.hdf5") for entry in part]
        jobs = jobs or jobs_for([entry.folder for entry in part])
        made = list(each_converted(convert, work, jobs, progress))
        if shard is not None:
            whole = {
                "episodes": [[entry.name, digest_of(entry)] for entry in entries],
                "contract": contract.text,
                "validation": validation,
                "seed": seed,
                "version": VERSION,
            }
            _publish_shard(staging, out, shard, whole, made)
            return _report(out, contract, made)
        assembled(made, contract, staging / DATASET, out, validation=validation, seed=seed)
    return _report(out, contract, made)


def merge_robomimic(shards: Sequence[Path], out: Path) -> RobomimicExport:
    """Put all shards of an export together: the file holds what the export without shards writes.

    The shards stay as they are. Raises ExchangeError when one is missing, given twice or of another export, or `out`
    exists; OSError when the disk is full.
    """
    _require_new(out)
    records = complete(shards, KIND)
    whole = records[0].whole
    try:
        contract = contracts.parse(whole["contract"], f"{records[0].folder / FILE}: contract")
        validation, seed = float(whole["validation"]), int(whole["seed"])
        files = [
            record.folder / SEGMENTS / Path(name).name for record in records for name in record.own["files"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ExchangeError(f"{records[0].folder / FILE}: can't be read: {error}") from error
    made = [demos_in(each) for each in files]
    with staging_of(out) as staging:
        assembled(made, contract, staging / DATASET, out, validation=validation, seed=seed)
    return _report(out, contract, made)


def require_share(validation: float) -> None:
    """Raise ExchangeError unless this share of the frames can be held out."""
    if not 0 <= validation < 1:
        raise ExchangeError(f"validation is {validation:g}; it must be a share from 0 to below 1")


def _require_new(out: Path) -> None:
    if os.path.lexists(out):
        raise ExchangeError(f"{out} exists; choose another name, or delete it")


def _publish_shard(
    staging: Path, out: Path, shard: Shard, whole: dict[str, Any], made: Sequence[EpisodeDemos]
) -> None:
    folder = staging / DATASET
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_record(folder, KIND, shard, whole, {"files": [each.file.name for each in made]})
    (staging / SEGMENTS).mkdir(exist_ok=True)
    (staging / SEGMENTS).rename(folder / SEGMENTS)
    publish(folder, out)


def assembled(
    made: Sequence[EpisodeDemos],
    contract: Contract,
    unfinished: Path,
    file: Path,
    *,
    validation: float,
    seed: int,
) -> None:
    """Write the demos of all episodes to one file, by way of `unfinished`; raises ExchangeError without any."""
    if not sum(each.count for each in made):
        raise ExchangeError(_nothing(contract, made))
    h5py = package("h5py")
    demos: dict[str, list[str]] = {}
    frames: dict[str, int] = {}
    with h5py.File(unfinished, "w") as written:
        data = written.create_group("data")
        for each in made:
            names = [f"demo_{len(data) + number}" for number in range(each.count)]
            with h5py.File(each.file, "r") as read:
                for number, name in enumerate(names):
                    read.copy(f"demo_{number}", data, name=name)
            if names:
                demos.setdefault(each.name, []).extend(names)
                frames[each.name] = frames.get(each.name, 0) + each.frames
        held_out = validation_names(frames, validation, seed)
        masks = {"train": [name for name in demos if name not in held_out], "valid": sorted(held_out)}
        for mask, chosen in masks.items():
            names = [demo for episode in chosen for demo in demos[episode]]
            written.create_dataset(f"mask/{mask}", data=np.array(names, dtype="S"))
        tasks = sorted({each.task for each in made if each.count})
        _describe(data, contract, tasks, sum(frames.values()))
    with unfinished.open("rb") as whole:
        os.fsync(whole.fileno())
    try:
        os.link(unfinished, file)  # unlike a renaming, it replaces nothing
    except FileExistsError as error:
        raise ExchangeError(f"{file} exists; choose another name, or delete it") from error


def _nothing(contract: Contract, made: Sequence[EpisodeDemos]) -> str:
    return "no frame to export: " + "; ".join(_left_out(contract, made) or ["there are no episodes"])


def _left_out(contract: Contract, made: Sequence[EpisodeDemos]) -> list[str]:
    texts = [spec.key for spec in contract.observations if spec.kind == "text"]
    return [
        *(f"observation {key}: text" for key in texts),
        *(f"{each.name}: no tick with an observation and a label" for each in made if not each.count),
    ]


def _report(out: Path, contract: Contract, made: Sequence[EpisodeDemos]) -> RobomimicExport:
    counts = sum(each.count for each in made), sum(each.frames for each in made)
    return RobomimicExport(out, *counts, tuple(_left_out(contract, made)))


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
