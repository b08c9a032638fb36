"""What members of a model say of the episodes that they have not learnt, and what follows for all other episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit, logit  # type: ignore[import-untyped]

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.records.outcomes import FAILURE, SUCCESS
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.progress import Stall
from il_ros.rewards.settings import FrameSettings, ProgressSettings, SuccessSettings
from il_ros.rewards.watch import hold_ticks
from il_ros.training.rewards.rating import fired_s, shares

_CERTAIN = 1e-6
"""Probabilities nearer to 0 or 1 say no more."""
THRESHOLDS = np.arange(1, 20) / 20
ON_TIME_S = 0.3 + 1e-6  # times are multiples of a period


def calibrated(
    settings: FrameSettings,
    members: Sequence[LoadedReward],
    episodes: Sequence[EpisodeArrays],
    left: Sequence[tuple[int, ...]],
) -> FrameSettings:
    """Return the settings with what the members found on the episodes that they have not learnt.

    `left[i]`: the places in `episodes` of those that `members[i]` has not learnt. One member has learnt all, and the
    settings stay.
    """
    if len(members) == 1:
        return settings
    if isinstance(settings, SuccessSettings):
        marked = [
            pair for pair in _unlearnt(members, episodes, left) if pair[0].outcome in (SUCCESS, FAILURE)
        ]
        verdicts = [episode.outcome == SUCCESS for episode, _ in marked]
        seen = [clearest(share, hold_ticks(settings, episode.period_ns / 1e9)) for episode, share in marked]
        scale, offset = platt(np.array(seen), np.array(verdicts))
        found = replace(settings, scale=scale, offset=offset)
        said = [(episode, expit(scale * _logits(share) + offset)) for episode, share in marked]
        return found if settings.threshold else replace(found, threshold=best_threshold(found, said))
    if isinstance(settings, ProgressSettings):
        longest_s = 0.0
        for episode, share in _unlearnt(members, episodes, left):
            if episode.outcome == SUCCESS:
                period_s, stall = episode.period_ns / 1e9, Stall()
                longest_s = max(longest_s, period_s, *(stall.after(value, period_s) for value in share))
        return replace(settings, stall_s=longest_s)
    return settings


def best_threshold(settings: SuccessSettings, said: Sequence[tuple[EpisodeArrays, Vector]]) -> float:
    """Return the threshold by which most verdicts are met, and most successes seen at the right time.

    `said`: marked episodes with the probability (N,) of each tick. The right time is within `ON_TIME_S` of the first
    tick that the label says shows the success (`shown_s` before the last one). Of equally good thresholds it is the
    middle one of the longest row.
    """
    scores = []
    for threshold in THRESHOLDS:
        tried, score = replace(settings, threshold=float(threshold)), 0
        for episode, probability in said:
            time_s = (episode.ticks_ns - episode.ticks_ns[0]) / 1e9
            found = fired_s(probability, time_s, episode.period_ns / 1e9, tried)
            score += (found is not None) == (episode.outcome == SUCCESS)
            if found is not None and episode.outcome == SUCCESS:
                score += abs(found - (float(time_s[-1]) - settings.shown_s)) <= ON_TIME_S
        scores.append(score)
    best = np.flatnonzero(np.array(scores) == max(scores))
    row = max(np.split(best, np.flatnonzero(np.diff(best) > 1) + 1), key=len)
    return float(THRESHOLDS[row[len(row) // 2]])


def clearest(share: Vector, ticks: int) -> float:
    """Return the largest logit that the shares (N,) of an episode keep for so many ticks in a row."""
    logits = _logits(share)
    some = min(ticks, len(logits))
    return float(np.lib.stride_tricks.sliding_window_view(logits, some).min(axis=1).max())


def platt(seen: Vector, verdicts: NDArray[np.bool_]) -> tuple[float, float]:
    """Return scale and offset for which sigmoid(scale * seen + offset) is the probability of the verdict True.

    Maximum likelihood with the smoothed targets of Platt 1999, "Probabilistic Outputs for Support Vector Machines",
    section 2.2: few verdicts that are all met make nothing certain. The scale is above 0.
    """
    yes, no = int(verdicts.sum()), int((~verdicts).sum())
    target = np.where(verdicts, (yes + 1) / (yes + 2), 1 / (no + 2))

    def loss(parameters: Vector) -> float:
        value = np.exp(parameters[0]) * seen + parameters[1]
        return float((np.logaddexp(0, value) - target * value).sum())

    def gradient(parameters: Vector) -> Vector:
        scale = np.exp(parameters[0])
        error = expit(scale * seen + parameters[1]) - target
        return np.array([scale * (error * seen).sum(), error.sum()])

    bounds = [(np.log(0.02), np.log(20.0)), (-50.0, 50.0)]
    found = minimize(loss, np.zeros(2), jac=gradient, method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(found[0])), float(found[1])


def _unlearnt(
    members: Sequence[LoadedReward],
    episodes: Sequence[EpisodeArrays],
    left: Sequence[tuple[int, ...]],
) -> Iterator[tuple[EpisodeArrays, Vector]]:
    for member, places in zip(members, left, strict=True):
        for place in places:
            yield episodes[place], shares(member, episodes[place])


def _logits(share: Vector) -> Vector:
    """Return the logits (N,) of shares, kept finite."""
    found: Vector = logit(np.clip(share, _CERTAIN, 1 - _CERTAIN))
    return found
