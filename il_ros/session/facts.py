"""Statistics of a session, computed from its decisions, by policy version.

A tick counts for the policy version that drove last in its episode, also while the expert drives. Ticks of
demonstrations, without any policy, have the version "".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from il_ros.records.decision import Decision, drives
from il_ros.records.labelling import EXPERT, POLICY, label
from il_ros.records.takeovers import group_takeovers
from il_ros.records.trials import rate_interval, success_interval


@dataclass(frozen=True)
class GroupFacts:
    """What a person did with one action group: the seconds they drove it, its labels and its takeovers."""

    expert_s: float
    labels: int
    takeovers: int

    def __add__(self, other: GroupFacts) -> GroupFacts:
        return GroupFacts(
            self.expert_s + other.expert_s, self.labels + other.labels, self.takeovers + other.takeovers
        )


@dataclass(frozen=True)
class EpisodeFacts:
    """One episode of T ticks.

    `times_s` (T,): since its start; `drivers` and `versions`: T names; `uncertainties` and `disagreements`
    (T,): NaN where unknown; `takeovers`: ticks at which the expert took over; `period_s`: the control period.
    `groups`: the statistics of each action group where there are several; the expert then drives at a tick if it drives
    one of them.
    """

    name: str
    outcome: str
    discarded: bool
    times_s: NDArray[np.float64]
    drivers: tuple[str, ...]
    versions: tuple[str, ...]
    uncertainties: NDArray[np.float64]
    disagreements: NDArray[np.float64]
    labels: int
    takeovers: tuple[int, ...]
    period_s: float
    groups: Mapping[str, GroupFacts] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """The duration in s."""
        return float(self.lasts_s.sum())

    @property
    def lasts_s(self) -> NDArray[np.float64]:
        """The duration of each decision (T,) in s, until the next one."""
        return np.diff(self.times_s, append=self.times_s[-1] + self.period_s)

    @property
    def expert_s(self) -> float:
        """The time under expert control in s."""
        return float(self.lasts_s[[drives(driver, EXPERT) for driver in self.drivers]].sum())

    @property
    def version(self) -> str:
        """The version at the end of the episode."""
        return self.versions[-1] if self.versions else ""


@dataclass(frozen=True)
class VersionFacts:
    """The statistics of one policy version. `alone`: successes in which the expert never drove."""

    version: str
    episodes: int
    successes: int
    alone: int
    minutes: float
    expert_minutes: float
    interventions: int
    labels: int

    @property
    def per_minute(self) -> float | None:
        """Interventions per minute, None without a policy or without driving time."""
        return self.interventions / self.minutes if self.version and self.minutes > 0 else None

    @property
    def per_minute_interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the interventions per minute."""
        return None if self.per_minute is None else rate_interval(self.interventions, self.minutes)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the success rate."""
        return success_interval(self.successes, self.episodes) if self.episodes else None


@dataclass(frozen=True)
class Facts:
    """A session: its episodes and versions in order of appearance.

    `left_out`: skipped episodes and messages with reasons.
    """

    root: Path
    episodes: tuple[EpisodeFacts, ...]
    versions: tuple[VersionFacts, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def kept(self) -> tuple[EpisodeFacts, ...]:
        """The episodes that were not discarded."""
        return tuple(episode for episode in self.episodes if not episode.discarded)

    @property
    def groups(self) -> dict[str, GroupFacts]:
        """The statistics of each action group over the episodes that were not discarded; empty where there is one."""
        found: dict[str, GroupFacts] = {}
        for episode in self.kept:
            for name, group in episode.groups.items():
                found[name] = found[name] + group if name in found else group
        return found


def facts_of(
    name: str, outcome: str, discarded: bool, decisions: Sequence[Decision], period_s: float
) -> EpisodeFacts:
    """Return the statistics of an episode from its decisions (at least one, in order)."""
    versions = _versions(decisions)
    start_ns = decisions[0].stamp_ns
    times_s = np.array([(decision.stamp_ns - start_ns) / 1e9 for decision in decisions])
    taken = group_takeovers((decision.authorities, decision.mode) for decision in decisions)
    return EpisodeFacts(
        name,
        outcome,
        discarded,
        times_s,
        tuple(decision.authority for decision in decisions),
        versions,
        _numbers(decision.uncertainty for decision in decisions),
        _numbers(decision.disagreement for decision in decisions),
        sum(label(decision.mode or "priority", decision) is not None for decision in decisions),
        tuple(taken),
        period_s,
        _groups(decisions, np.diff(times_s, append=times_s[-1] + period_s), taken),
    )


def _groups(
    decisions: Sequence[Decision], lasts_s: NDArray[np.float64], taken: Mapping[int, Sequence[str]]
) -> dict[str, GroupFacts]:
    """Return the statistics of each action group; none where there is one."""
    found: dict[str, GroupFacts] = {}
    for name in dict.fromkeys(name for decision in decisions for name in decision.groups):
        parts = [decision.groups.get(name) for decision in decisions]
        expert = [part is not None and part.authority == EXPERT for part in parts]
        labels = [label(decision.mode or "priority", decision) for decision in decisions]
        found[name] = GroupFacts(
            float(lasts_s[expert].sum()),
            sum(
                part is not None and values is not None and math.isfinite(values[part.actions[0]])
                for part, values in zip(parts, labels, strict=True)
            ),
            sum(name in names for names in taken.values()),
        )
    return found


def by_version(episodes: Sequence[EpisodeFacts]) -> list[VersionFacts]:
    """Return the statistics of each version, in order of appearance."""
    order = dict.fromkeys(version for episode in episodes for version in episode.versions)
    return [_version(version, episodes) for version in order]


def _versions(decisions: Sequence[Decision]) -> tuple[str, ...]:
    """Return for each tick the version that drove last; before the first one, the first."""
    driven = [decision.version_of(POLICY) for decision in decisions]
    version = next(filter(None, driven), "")
    out = []
    for each in driven:
        version = each or version
        out.append(version)
    return tuple(out)


def _numbers(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _version(version: str, episodes: Sequence[EpisodeFacts]) -> VersionFacts:
    ended = [episode for episode in episodes if episode.version == version]
    succeeded = [episode for episode in ended if episode.outcome == "success"]
    seconds = expert_s = interventions = 0.0
    for episode in episodes:
        of_version = np.array([each == version for each in episode.versions])
        driven = np.array([drives(driver, EXPERT) for driver in episode.drivers])
        seconds += float(episode.lasts_s[of_version].sum())
        expert_s += float(episode.lasts_s[of_version & driven].sum())
        interventions += sum(episode.versions[index] == version for index in episode.takeovers)
    return VersionFacts(
        version,
        len(ended),
        len(succeeded),
        sum(episode.expert_s == 0 for episode in succeeded),
        seconds / 60,
        expert_s / 60,
        int(interventions),
        sum(episode.labels for episode in ended),
    )
