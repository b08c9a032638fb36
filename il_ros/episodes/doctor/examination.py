"""Examines recorded episodes: every check of the doctor on the takes of each contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from il_ros.core.contract import Contract
from il_ros.episodes import amendments
from il_ros.episodes.amendments import Amendments
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.dataset import UNUSABLE
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.doctor import (
    cameras,
    comparison,
    direction,
    magnitude,
    numbers,
    skew,
    timing,
    tracking,
    units,
)
from il_ros.episodes.doctor.findings import Finding, worst_first
from il_ros.episodes.doctor.takes import TakeSet, unwound
from il_ros.policies.runner import LoadedPolicy
from il_ros.records.labelling import BY_MODE, Rule

CHECKS: tuple[Callable[[TakeSet], list[Finding]], ...] = (
    units.other_units,
    tracking.offsets_and_lags,
    direction.reversed_labels,
    timing.shifts,
    comparison.outliers,
    comparison.detours,
    comparison.duplicates,
    numbers.idle_spans,
    numbers.dead_numbers,
    numbers.saturated_numbers,
    numbers.jumps,
    cameras.camera_faults,
    comparison.coverage,
    comparison.disagreement,
)


@dataclass(frozen=True)
class Examination:
    """What was examined and found, worst first. `left_out`: (name, reason) of episodes that could not be read."""

    takes: TakeSet
    findings: tuple[Finding, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def examine(takes: TakeSet, policy: LoadedPolicy | None = None) -> list[Finding]:
    """Return the findings of all checks, worst first; with a policy, also where the takes are unknown to it.

    A take with a number that nothing can compute with has that finding only.
    """
    found = magnitude.boundless(takes)
    takes = magnitude.without(takes, found)
    if takes.episodes:
        found += [finding for each in CHECKS for finding in each(takes)]
        found += skew.skew(takes, policy) if policy is not None else []
    return worst_first(found)


def read_takes(
    entries: Iterable[Entry], contract: Contract, folder: Path, rule: Rule = BY_MODE
) -> tuple[TakeSet, list[tuple[str, str]]]:
    """Return the takes of the entries under a contract, and a reason for each one that can't be read.

    `folder`: of the cached arrays. Raises OSError when the cache can't be written.
    """
    episodes: list[EpisodeArrays] = []
    folders: dict[str, Path] = {}
    started_s: dict[str, float] = {}
    amended: dict[str, Amendments] = {}
    left_out: list[tuple[str, str]] = []
    entries = list(entries)
    compressed = cache.compresses([each for each in entries if each.usable], contract)
    conversion = cache.Conversion(contract, folder, rule, compressed=compressed)
    for entry in entries:
        if not entry.usable:
            left_out.append((entry.name, f"{entry.state}: {entry.reason}"))
            continue
        try:
            episode = conversion.kept(entry)
        except UNUSABLE as error:
            left_out.append((entry.name, str(error)))
            continue
        episodes.append(unwound(contract, episode))
        folders[entry.name], amended[entry.name] = entry.folder, amendments.read(entry.folder)
        started_ns = entry.info.started_ns if entry.info is not None else 0
        started_s[entry.name] = (int(episode.ticks_ns[0]) - started_ns) / 1e9 if started_ns else 0.0
    return TakeSet(contract, tuple(episodes), folders, started_s, amended), left_out


def examined(
    entries: Sequence[Entry], contract: Contract, folder: Path, policy: LoadedPolicy | None = None
) -> Examination:
    """Read and examine episodes; see `read_takes` and `examine`."""
    takes, left_out = read_takes(entries, contract, folder)
    return Examination(takes, tuple(examine(takes, policy)) if takes.episodes else (), tuple(left_out))
