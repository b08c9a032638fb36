"""Numbers that no policy can compute with, and that would hide what else is wrong with a take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.arrays.magnitude import LARGEST, impossible_numbers
from il_ros.episodes.doctor.findings import Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet


def boundless(takes: TakeSet) -> list[Finding]:
    """Find numbers larger than LARGEST."""
    found: dict[str, list[tuple[EpisodeArrays, Vector]]] = {}
    for episode in takes.episodes:
        for name, values in impossible_numbers(takes.contract, episode):
            found.setdefault(name, []).append((episode, values))
    return [_finding(takes, name, concerned) for name, concerned in found.items()]


def without(takes: TakeSet, findings: Sequence[Finding]) -> TakeSet:
    """Return the takes that no finding of `boundless` concerns: one such number hides the others from every check."""
    names = {name for finding in findings for name in finding.episodes}
    if not names:
        return takes
    return replace(takes, episodes=tuple(each for each in takes.episodes if each.name not in names))


def _finding(takes: TakeSet, name: str, concerned: list[tuple[EpisodeArrays, Vector]]) -> Finding:
    episode, values = max(concerned, key=lambda each: float(np.nanmax(np.abs(each[1]))))
    times_s, beyond = takes.times_s(episode), np.flatnonzero(np.abs(values) > LARGEST)
    worst = int(np.nanargmax(np.abs(values)))
    names = tuple(each.name for each, _ in concerned)
    of_take = f" of {episode.name}" if len(names) > 1 else ""
    frames = counted(len(beyond), "frame")
    decades = np.sign(values) * np.log10(1 + np.abs(values))  # the others are seen beside it
    first, last = times_s[beyond[0]] - takes.period_s / 2, times_s[beyond[-1]] + takes.period_s / 2
    return Finding(
        Check.MAGNITUDE,
        Severity.FAULT,
        f"{name} is {values[worst]:.3g} in {takes.listed(names)} (at {times_s[worst]:.2f} s{of_take}; {frames} there).",
        f"Numbers beyond {LARGEST:.1g} cannot be learnt from, and no other check can look at such a take.",
        names,
        100.0,
        (
            takes.command("amend", [episode.name], "--leave-out", f"{max(0.0, first):.3f}:{last:.3f}"),
            takes.discard(names, f"{name} is {values[worst]:.3g}"),
        ),
        Plot(
            name,
            "s since the start",
            "log10(1 + size), with its sign",
            (Line(episode.name, times_s, decades),),
        ),
    )
