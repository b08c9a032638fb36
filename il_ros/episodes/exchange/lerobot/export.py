"""Export episodes as a LeRobotDataset v3.0, or append them to one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from il_ros.core import atomic
from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError
from il_ros.core.contract_differences import differences
from il_ros.core.tables import counted, grouped
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.lerobot.columns import Columns
from il_ros.episodes.exchange.lerobot.depth import DepthCodes
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.episodes.exchange.lerobot.writing.assemble import Base, assemble, base_of
from il_ros.episodes.exchange.lerobot.writing.segments import (
    VERSION,
    Converted,
    Segment,
    convert,
)
from il_ros.episodes.exchange.shards import Shard, write_record
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
from il_ros.episodes.jobs import cores
from il_ros.records.outcomes import UNMARKED

KIND = "export lerobot"
"""The kind of conversion of this module's shards."""


@dataclass(frozen=True)
class ExportReport:
    """What was exported. `left_out`: (episode, reason). `notes`: sentences about what was changed on the way."""

    path: Path
    episodes: int
    frames: int
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    edges: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the report as printable lines."""
        out = [f"{self.path}: {counted(self.episodes, 'episode')}, {counted(self.frames, 'frame')}"]
        out += [f"  left out {line}" for line in grouped(self.left_out)]
        out += [f"  {note}" for note in self.notes]
        return out + [
            f"  {counted(ticks, 'tick')} at the ends of episodes without a frame: {reason}"
            for reason, ticks in self.edges.items()
        ]


def export_lerobot(
    entries: Sequence[Entry],
    out: Path,
    options: ExportOptions | None = None,
    *,
    contract: Contract | None = None,
    append: bool = False,
    shard: Shard | None = None,
    progress: Progress = lambda step, items: items,
) -> ExportReport:
    """Write the usable ones of `entries` as the data set `out`, or with `append` behind its episodes.

    `contract`: None for the one that all episodes were recorded under. The data set appears under its name when it
    is complete; until then the work lies in a hidden folder beside it, and the same call continues there.
    `shard`: convert only this part of the episodes, into `shard.folder(out)`, which `merge_lerobot` puts together.
    Raises ExchangeError when the episodes have several contracts, one has a hole or no verdict and `options` does
    not say what to do, one can't be read, or `out` exists; OSError when the disk is full.
    """
    options = ExportOptions() if options is None else options
    package("pyarrow")
    if shard is not None:
        if append:
            raise ExchangeError("a shard can't be appended; merge all shards to a new data set")
        out = shard.folder(out)
    if out.exists() != append:
        raise ExchangeError(
            f"{out}: {'does not exist' if append else 'exists already'}; "
            f"{'without append a new data set is written' if append else 'give another name, or append to it'}"
        )
    wanted, left_out = _chosen(entries, options)
    contract = _one_contract(wanted) if contract is None else contract
    columns = _columns(wanted, contract, options)
    base, info = base_of(out, columns) if append else (Base(), None)
    with staging_of(out) as staging:
        part = wanted if shard is None else shard.part(wanted)
        made = _convert_all(part, columns, options, staging / SEGMENTS, progress)
        kept, more = without_holes(made, options)
        segments = [segment for each in kept for segment in each.segments]
        if not segments and shard is None:
            raise ExchangeError(f"{out}: no episode to export\n" + "\n".join(grouped(left_out + more)))
        folder = staging / DATASET
        shutil.rmtree(folder, ignore_errors=True)
        if shard is not None:
            whole = _whole(wanted, left_out, columns, options)
            _publish_shard(staging, out, shard, whole, [segments_of(each) for each in part])
            return report_of(out, kept, segments, more, columns, [], [])
        if info is not None:
            atomic.link_files(out, folder)
        limits = (info.data_mb, info.video_mb) if info is not None else (options.data_mb, options.video_mb)
        robot = info.robot_type if info is not None else options.robot_type
        steps = partial(steps_of, progress)
        assemble(segments, columns, folder, base, limits, robot, steps)
        publish(folder, out)
    poor = [each for each in wanted if each.poor]
    again = _again(base, segments)
    return report_of(out, kept, segments, left_out + more, columns, poor, again)


def _whole(
    entries: Sequence[Entry], left_out: Sequence[tuple[str, str]], columns: Columns, options: ExportOptions
) -> dict[str, Any]:
    """Return what all shards of an export have in common, as JSON values."""
    return {
        "episodes": [[each.name, digest_of(each)] for each in entries],
        "left_out": [list(pair) for pair in left_out],
        "contract": columns.contract.text,
        "options": {**vars(options), "jobs": 0},
        "intervention": columns.intervention,
        "success": columns.success,
        "version": VERSION,
    }


def _publish_shard(
    staging: Path, out: Path, shard: Shard, whole: dict[str, Any], made: Sequence[str]
) -> None:
    """Give the shard its name: its record and the segments of its episodes, whose folders are listed."""
    folder = staging / DATASET
    folder.mkdir()
    write_record(folder, KIND, shard, whole, {"folders": list(made)})
    (staging / SEGMENTS).mkdir(exist_ok=True)
    (staging / SEGMENTS).rename(folder / SEGMENTS)
    publish(folder, out)


def _again(base: Base, segments: Sequence[Segment]) -> list[str]:
    """Return the names of the episodes that the data set seems to hold already: same name and first tick."""
    known = {
        (str(each.get("source")), str(each.get("first_tick_ns")))
        for each in base.own
        if isinstance(each, dict)
    }
    found = [each.name for each in segments if (each.name, str(each.first_tick_ns)) in known]
    return list(dict.fromkeys(found))


def steps_of(progress: Progress, segments: Sequence[Segment]) -> Iterable[Segment]:
    """Return the segments, showing the progress as they are put together."""
    return progress("putting together", segments)  # type: ignore[return-value]


def _chosen(entries: Sequence[Entry], options: ExportOptions) -> tuple[list[Entry], list[tuple[str, str]]]:
    """Return the usable entries, each once; raises ExchangeError when some have a verdict and others don't."""
    left_out = [(each.name, f"{each.state}: {each.reason}") for each in entries if not each.usable]
    wanted = list({each.folder.resolve(): each for each in entries if each.usable}.values())
    unmarked = [each for each in wanted if each.outcome == UNMARKED]
    if unmarked and len(unmarked) < len(wanted):
        if options.unmarked == "refuse":
            names = ", ".join(each.name for each in unmarked[:5]) + (", ..." if len(unmarked) > 5 else "")
            raise ExchangeError(
                f"{names}: without a verdict, while others have one, so next.success would be unknown; set unmarked "
                "to 'leave-out', 'success' or 'failure'"
            )
        if options.unmarked == "leave-out":
            left_out += [(each.name, "without a verdict") for each in unmarked]
            wanted = [each for each in wanted if each.outcome != UNMARKED]
    if not wanted:
        lines = "\n".join(f"  {line}" for line in grouped(left_out))
        raise ExchangeError(f"no episode to export\n{lines}")
    return wanted, left_out


def _one_contract(entries: Sequence[Entry]) -> Contract:
    """Return the contract of all entries; raises ExchangeError when there are several, or one is missing."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        text = "" if entry.info is None else entry.info.contract_text
        if not text:
            raise ExchangeError(f"{entry.folder}: was recorded without a contract; give one")
        found.setdefault(text, []).append(entry)
    read: list[tuple[Contract, Entry]] = []
    for text, same in found.items():
        try:
            read.append((contracts.parse(text, f"{same[0].folder} (its contract)"), same[0]))
        except ContractError as error:
            raise ExchangeError(str(error)) from error
    first, entry = read[0]
    for other, where in read[1:]:
        if other.hash != first.hash:
            differing = "; ".join(differences(first, other)[:3])
            raise ExchangeError(
                f"{entry.name} and {where.name} were recorded under different contracts, '{first.name}' and "
                f"'{other.name}' ({differing}); a data set has one: export them apart, or give a contract that fits all"
            )
    return first


def _columns(entries: Sequence[Entry], contract: Contract, options: ExportOptions) -> Columns:
    decided = [each for each in entries if each.info is not None and each.info.decision_topic]
    marked = any(each.outcome != UNMARKED for each in entries) or options.unmarked in ("success", "failure")
    return columns_of(contract, options, bool(decided) and options.actions == "sent", marked)


def columns_of(contract: Contract, options: ExportOptions, intervention: bool, success: bool) -> Columns:
    """Return the columns of a data set; `intervention`, `success`: whether it has those; raises ExchangeError."""
    columns = Columns(
        contract,
        options.rate(contract.rate_hz),
        options.pictures,
        options.codec,
        DepthCodes(most=options.depth_most_m),
        intervention,
        success,
    )
    assert columns.features  # sizes that the codec can't have are refused before any work
    return columns


def _convert_all(
    entries: Sequence[Entry], columns: Columns, options: ExportOptions, folder: Path, progress: Progress
) -> list[Converted]:
    """Convert every episode; raises ExchangeError that lists all episodes that can't be."""
    work = [(entry, columns, options, folder / segments_of(entry)) for entry in entries]
    made: list[Converted] = []
    faults: list[tuple[str, str]] = []
    for done in each_converted(_convert, work, options.jobs or cores(), progress):
        if isinstance(done, Converted):
            made.append(done)
        else:
            faults.append(done)
    if faults:
        lines = "\n".join(f"  {line}" for line in grouped(faults))
        raise ExchangeError(f"these episodes can't be exported; leave them out or discard them:\n{lines}")
    return made


def _convert(work: tuple[Entry, Columns, ExportOptions, Path]) -> Converted | tuple[str, str]:
    entry, columns, options, folder = work
    try:
        return convert(entry, columns, options, folder)
    except (BagError, MismatchError, ExchangeError) as error:
        return entry.name, str(error)


def without_holes(
    made: Sequence[Converted], options: ExportOptions
) -> tuple[list[Converted], list[tuple[str, str]]]:
    """Return the episodes to use and those that are left out, by `options.holes`; raises ExchangeError."""
    holed = [(each.name, "; ".join(each.holes)) for each in made if each.holes]
    if not holed or options.holes == "split":
        return list(made), []
    if options.holes == "refuse":
        lines = "\n".join(f"  {line}" for line in grouped(holed))
        raise ExchangeError(
            "these episodes have holes, which a data set with an even frame rate can't have; set holes to 'split' (an "
            f"episode for each part) or 'leave-out'\n{lines}"
        )
    return [each for each in made if not each.holes], holed


def report_of(
    out: Path,
    made: Sequence[Converted],
    segments: Sequence[Segment],
    left_out: Sequence[tuple[str, str]],
    columns: Columns,
    poor: Sequence[Entry],
    again: Sequence[str],
) -> ExportReport:
    """Return the report of an export; `poor`, `again`: episodes that it names."""
    edges: dict[str, int] = {}
    for each in made:
        for reason, count in each.edges.items():
            edges[reason] = edges.get(reason, 0) + count
    frames = sum(segment.frames for segment in segments)
    repeated, unused = sum(each.repeated for each in made), sum(each.unused for each in made)
    saturated = sum(segment.saturated for segment in segments)
    notes = [f"{each.name}: {note}" for each in made for note in each.notes]
    notes += [
        f"{each.name}: divided into {counted(len(each.segments), 'episode')} at its holes"
        for each in made
        if each.holes
    ]
    if again:
        names = ", ".join(again[:3]) + (", ..." if len(again) > 3 else "")
        notes.append(
            f"{counted(len(again), 'episode')} had been in it before, by name and first tick: {names}; now it "
            "holds them twice"
        )
    if poor:
        names = ", ".join(each.name for each in poor[:3]) + (", ..." if len(poor) > 3 else "")
        notes.append(
            f"{counted(len(poor), 'episode')} graded poor: {names}; a training here would leave them out"
        )
    if repeated:
        notes.append(
            f"{repeated} of {counted(frames, 'frame')} repeat the tick before: there was no nearer one"
        )
    if unused:
        notes.append(f"{counted(unused, 'tick')} left out: another tick is nearer to each frame")
    if saturated:
        notes.append(
            f"{counted(saturated, 'depth pixel')} beyond {columns.depth.most:g} m became {columns.depth.most:g} m"
        )
    return ExportReport(out, len(segments), frames, tuple(left_out), tuple(notes), edges)
