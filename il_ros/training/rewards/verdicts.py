"""Verdicts on whole episodes as labels of their ticks: which show the success, and which do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.features import Inputs
from il_ros.records.outcomes import FAILURE, SUCCESS
from il_ros.rewards.settings import FrameSettings, ProgressSettings, SuccessSettings
from il_ros.training.batches import ReplayPlan
from il_ros.training.samples import Samples, samples

EARLIER_EVERY = 4
"""Of the ticks longer than NEAR_S before the end, one in this many is used: they look alike."""
NEAR_S = 3.0
NEGATIVES = 2
"""Ticks without success for each that shows it, in an epoch; each epoch draws others."""
LEAST = 3
"""Episodes of each verdict."""


class VerdictError(ValueError):
    """The episodes have too few verdicts to learn from; the message says what is missing."""


def require_verdicts(episodes: Sequence[EpisodeArrays], settings: FrameSettings | None = None) -> None:
    """Raise VerdictError unless there are enough successes, and of a success model failures."""
    progress = isinstance(settings, ProgressSettings)
    counts = {kind: sum(each.outcome == kind for each in episodes) for kind in (SUCCESS, FAILURE)}
    if progress:
        del counts[FAILURE]
    model, needed = ("progress", "") if progress else ("success", " of each")
    for kind, count in counts.items():
        if count < LEAST:
            named = "success" if kind == SUCCESS else "failure"
            raise VerdictError(
                f"there {'is' if count == 1 else 'are'} {counted(count, 'episode')} with the verdict {named}; a "
                f"{model} model needs {LEAST} or more{needed}: mark them while recording (keys g and f)"
            )


def seen(episodes: Sequence[EpisodeArrays], inputs: Inputs, settings: FrameSettings, history: int) -> Samples:
    """Return all ticks as the model sees them: windows of the first and the last of `history` ticks.

    The action (N, 1, 1) of each is 0. Raises ValueError as `samples`.
    """
    some = samples(episodes, inputs, 1, history=history)
    ends = [0, -1] if history > 1 else [0]
    return replace(
        some,
        actions=np.zeros((len(some), 1, 1)),
        weights=np.ones((len(some), 1, 1), np.float32),
        window=some.window[:, ends],
        existing=some.existing[:, ends],
    )


def labelled(
    episodes: Sequence[EpisodeArrays], inputs: Inputs, settings: FrameSettings, history: int
) -> Samples:
    """Return the ticks that have a label, as samples whose action (N, 1, 1) is the share that the model is to learn.

    Raises ValueError as `samples`, TypeError on settings of a model that does not learn from verdicts.
    """
    if isinstance(settings, SuccessSettings):
        return _by_verdict(episodes, inputs, settings, history)
    if isinstance(settings, ProgressSettings):
        return _by_time(episodes, inputs, settings, history)
    raise TypeError(f"{type(settings).__name__} are not the settings of a model that learns from verdicts")


def epoch_of(labels: Samples, settings: FrameSettings) -> ReplayPlan | None:
    """Return which of the labelled ticks an epoch has; None: all.

    Few ticks show a success, so an epoch of a success model has all of these and `NEGATIVES` times as many others.
    """
    shows = labels.actions[:, 0, 0] > 0
    if isinstance(settings, ProgressSettings) or shows.all():
        return None
    return ReplayPlan(shows, min(int((~shows).sum()), NEGATIVES * int(shows.sum())))


def folds(episodes: Sequence[EpisodeArrays], settings: FrameSettings, seed: int) -> list[tuple[int, ...]]:
    """Return the places of the episodes without which each member learns: every marked one once, each kind evenly.

    A model of one member learns all of them.
    """
    if settings.members == 1:
        return [()]
    rng = np.random.default_rng(seed)
    kinds = (SUCCESS,) if isinstance(settings, ProgressSettings) else (SUCCESS, FAILURE)
    marked = [[place for place, each in enumerate(episodes) if each.outcome == kind] for kind in kinds]
    order = [int(place) for places in marked for place in rng.permutation(places)]
    return [tuple(order[member :: settings.members]) for member in range(settings.members)]


def _by_time(
    episodes: Sequence[EpisodeArrays], inputs: Inputs, settings: ProgressSettings, history: int
) -> Samples:
    """Return all ticks of successes with the share of the time that has passed until the success is shown."""
    marked = [episode for episode in episodes if episode.outcome == SUCCESS]
    found = seen(marked, inputs, settings, history)
    label = np.concatenate([_passed(episode, settings.shown_s) for episode in marked])
    return replace(found, actions=label[:, None, None])


def _passed(episode: EpisodeArrays, shown_s: float) -> NDArray[np.float64]:
    """Return the share (T,) of the time from the first tick to `shown_s` before the last one, 1 from there on."""
    since_s = (episode.ticks_ns - episode.ticks_ns[0]) / 1e9
    needed_s = max(float(since_s[-1]) - shown_s, episode.period_ns / 1e9)
    share: NDArray[np.float64] = np.clip(since_s / needed_s, 0.0, 1.0)
    return share


def _by_verdict(
    episodes: Sequence[EpisodeArrays], inputs: Inputs, settings: SuccessSettings, history: int
) -> Samples:
    """Return the ticks that have a label: 1 (success) or 0. Unmarked episodes have none."""
    marked = [episode for episode in episodes if episode.outcome in (SUCCESS, FAILURE)]
    found = seen(marked, inputs, settings, history)
    parts = [_of_episode(episode, settings) for episode in marked]
    label = np.concatenate([part[0] for part in parts])
    used = np.concatenate([part[1] for part in parts])
    return replace(found, actions=label[:, None, None]).only(used)


def _of_episode(
    episode: EpisodeArrays, settings: SuccessSettings
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the label of each tick (T,), and which ticks are used (T,)."""
    before_s = (episode.ticks_ns[-1] - episode.ticks_ns) / 1e9
    label = np.zeros(len(episode))
    used = (before_s <= NEAR_S) | (np.arange(len(episode)) % EARLIER_EVERY == 0)
    if episode.outcome == SUCCESS:
        label[before_s <= settings.shown_s + 1e-9] = 1.0
        used &= (label > 0) | (before_s > settings.shown_s + settings.unsure_s)
    return label, used
