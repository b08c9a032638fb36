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
from il_ros.rewards.success import SuccessSettings
from il_ros.training.samples import Samples, samples

EARLIER_EVERY = 4
"""Of the ticks longer than NEAR_S before the end, one in this many is used: they look alike."""
NEAR_S = 3.0
LEAST = 3
"""Episodes of each verdict."""


class VerdictError(ValueError):
    """The episodes have too few verdicts to learn from; the message says what is missing."""


def require_verdicts(episodes: Sequence[EpisodeArrays]) -> None:
    """Raise VerdictError unless there are enough successes; failures are needed only if all look alike otherwise."""
    counts = {kind: sum(each.outcome == kind for each in episodes) for kind in (SUCCESS, FAILURE)}
    for kind, count in counts.items():
        if count < LEAST:
            named = "success" if kind == SUCCESS else "failure"
            raise VerdictError(
                f"there {'is' if count == 1 else 'are'} {counted(count, 'episode')} with the verdict {named}; a "
                f"success model needs {LEAST} or more of each: mark them while recording (keys g and f)"
            )


def labelled(episodes: Sequence[EpisodeArrays], inputs: Inputs, settings: SuccessSettings) -> Samples:
    """Return the ticks that have a label, as samples whose action (N, 1, 1) is 1 (success) or 0.

    The weights give both labels the same total: successes are seen for a few ticks only. Unmarked episodes have no
    labels. Raises ValueError as `samples`.
    """
    marked = [episode for episode in episodes if episode.outcome in (SUCCESS, FAILURE)]
    found = samples(marked, inputs, 1)
    parts = [_of_episode(episode, settings) for episode in marked]
    label = np.concatenate([part[0] for part in parts])
    used = np.concatenate([part[1] for part in parts])
    share = float(np.clip(label[used].mean(), 1e-6, 1 - 1e-6))
    weights = np.where(label > 0, 0.5 / share, 0.5 / (1 - share)).astype(np.float32)[:, None, None]
    changed = replace(found, actions=label[:, None, None].astype(np.float64), weights=weights)
    return changed.only(used)


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
