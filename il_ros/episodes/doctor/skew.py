"""A policy against what it is given: inputs outside what it was trained on, and labels that it does not reproduce."""

from __future__ import annotations

import numpy as np

from il_ros.core.tables import percent
from il_ros.episodes.doctor.findings import Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet
from il_ros.policies.runner import LoadedPolicy

OUTSIDE = 0.02
"""Share of the frames of the takes in which a number may be outside the range that was shown in training."""
FAR = 0.25
"""A number is outside if it is farther than this from the range, in the scale of its normalisation."""
MOST_NAMED = 3


def skew(takes: TakeSet, policy: LoadedPolicy) -> list[Finding]:
    """Find the numbers that are outside what the policy was trained on."""
    if policy.normaliser.shown is None or not policy.inputs.state:
        return []
    outside: dict[str, list[np.ndarray]] = {}  # type: ignore[type-arg]
    names = policy.inputs.features_of
    for episode in takes.episodes:
        features = policy.inputs.state_features(
            {key: np.asarray(v) for key, v in episode.observations.items()}
        )
        excess = policy.normaliser.excess(features)
        for column, name in enumerate(names):
            outside.setdefault(f"{column} {name}", []).append(excess[:, column])
    found = []
    for label, parts in outside.items():
        shares = np.array([float(np.mean(part > FAR)) for part in parts])
        weights = [len(part) for part in parts]
        share = float(np.average(shares, weights=weights))
        concerned = tuple(
            episode.name for episode, each in zip(takes.episodes, shares, strict=True) if each > OUTSIDE
        )
        if not concerned or shares.max() <= OUTSIDE:
            continue
        worst = int(np.argmax(shares))
        name = label.partition(" ")[2]
        found.append(
            Finding(
                Check.SKEW,
                Severity.FAULT if share > 0.1 else Severity.CAUTION,
                f"{name} is outside what the policy was trained on in {percent(share)} of the frames, in "
                f"{takes.listed(concerned)}.",
                "The policy clips it to the nearest value that it knows: it acts as if the scene were another one.",
                concerned,
                share / OUTSIDE,
                (
                    "Compare camera mounts, units, calibration and start positions with those of the training takes; "
                    "then demonstrate here and train again: il-ros train.",
                ),
                Plot(
                    f"{name}: distance from the range that was shown, in scales",
                    "s since the start",
                    "",
                    (Line(takes.episodes[worst].name, takes.times_s(takes.episodes[worst]), parts[worst]),),
                ),
            )
        )
    found.sort(key=lambda each: -each.size)
    return found[:MOST_NAMED]
