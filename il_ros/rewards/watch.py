"""Reward models beside a running episode: when the success is there, and whether the progress has stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from il_ros.core.tables import percent, seconds
from il_ros.policies.protocol import Window
from il_ros.policies.window import TickWindow
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.progress import Stall
from il_ros.rewards.protocol import Transition
from il_ros.rewards.settings import FrameSettings, ProgressSettings, SuccessSettings

Observation = Mapping[str, NDArray[Any]]


class Hold:
    """Says when a probability was at the threshold for `hold_s`: the one rule of live and recorded episodes."""

    def __init__(self, settings: SuccessSettings, period_s: float) -> None:
        self._threshold, self._needed = settings.decides_at, hold_ticks(settings, period_s)
        self._row = 0

    def reached(self, probability: float) -> bool:
        """Take the probability of the next tick; return whether the success is there with it."""
        self._row = self._row + 1 if probability >= self._threshold else 0
        return self._row >= self._needed


def hold_ticks(settings: SuccessSettings, period_s: float) -> int:
    """Return the ticks in a row at which the probability must be at the threshold."""
    return max(1, round(settings.hold_s / period_s))


class RunningWindow:
    """The window of the running episode as a reward model reads it. `period_s`: of the ticks."""

    def __init__(self, reward: LoadedReward, period_s: float) -> None:
        self._reward, self._period_ns = reward, round(period_s * 1e9)
        settings = reward.settings
        self._length = settings.history(reward.contract) if isinstance(settings, FrameSettings) else 1
        self.begin()

    def begin(self) -> None:
        """Begin an episode: no tick is before its first one."""
        self._ticks = TickWindow(self._length, self._period_ns)
        self._now_ns = 0

    def push(self, observation: Observation, tick_ns: int | None = None) -> Window:
        """Add a tick and return the window; raises PolicyError when the observation lacks what the model reads.

        `tick_ns`: its time; None: one period after the one before.
        """
        self._now_ns = self._now_ns + self._period_ns if tick_ns is None else tick_ns
        seen = self._ticks.push(self._now_ns, observation)
        return window_of(self._reward, *((seen[0], seen[-1]) if self._length > 1 else seen))


class SuccessWatch:
    """Watches one episode after the other. Raises ValueError when the reward is no success model."""

    def __init__(self, reward: LoadedReward, period_s: float) -> None:
        if not isinstance(reward.settings, SuccessSettings):
            raise ValueError(
                f"reward {reward.version} is of the family {reward.family}; only a success model says when the task is "
                "done (il-ros reward train)"
            )
        self._reward, self._settings, self._period_s = reward, reward.settings, period_s
        self._window = RunningWindow(reward, period_s)
        self.begin()

    def begin(self) -> None:
        """Begin an episode."""
        self._window.begin()
        self.probability = 0.0
        """The probability of success at the last tick."""
        self.forget()

    def forget(self) -> None:
        """Forget what was seen of the success; what the model compares with stays."""
        self._hold = Hold(self._settings, self._period_s)
        self.fired = False
        """Whether the success has been seen in the running episode."""

    def see(self, observation: Observation, tick_ns: int | None = None) -> bool:
        """Take the observation of the next tick; return whether the success is seen now or was before.

        `tick_ns`: as of `RunningWindow.push`, which says what is raised.
        """
        self.probability = float(
            self._reward.network.reward(_standing(self._window.push(observation, tick_ns)))
        )
        self.fired = self._hold.reached(self.probability) or self.fired
        return self.fired


class ProgressWatch:
    """Watches whether the running episode still makes progress. Raises ValueError when the reward cannot say it."""

    def __init__(self, reward: LoadedReward, period_s: float) -> None:
        settings = reward.settings
        if not isinstance(settings, ProgressSettings):
            raise ValueError(
                f"reward {reward.version} is of the family {reward.family}; only a progress model says that nothing "
                "goes on (il-ros reward train --family progress)"
            )
        if not settings.stall_s:
            raise ValueError(
                f"reward {reward.version} does not contain how long a success may be without progress: train it again, "
                "with members=2 or more"
            )
        self._reward, self._stall_s = reward, settings.stall_s
        self._window = RunningWindow(reward, period_s)
        self._period_s = period_s
        self.begin()

    def begin(self) -> None:
        """Begin an episode."""
        self._window.begin()
        self._stall = Stall()
        self.progress = 0.0
        """The progress at the last tick."""
        self.stalled_s = 0.0
        """How long there has been no progress."""

    def see(self, observation: Observation, tick_ns: int | None = None) -> float:
        """Take the observation of the next tick; return how long there has been no progress.

        In units of the longest such time in a success: above 1 the episode does worse than any of those. `tick_ns`: as
        of `RunningWindow.push`, which says what is raised.
        """
        self.progress = float(self._reward.network.share(self._window.push(observation, tick_ns)))  # type: ignore[operator]
        self.stalled_s = self._stall.after(self.progress, self._period_s)
        return self.stalled_s / self._stall_s

    def words(self) -> str:
        """Return what is wrong, for the person who is requested."""
        now_s, longest_s = seconds(self.stalled_s), seconds(self._stall_s)
        return f"no progress for {now_s} s at {percent(self.progress)}; successes had at most {longest_s} s"


def window_of(reward: LoadedReward, *observations: Observation) -> Window:
    """Return the observations of ticks, oldest first, as the model reads them.

    Raises PolicyError when something is missing.
    """
    inputs = reward.inputs
    states = [
        reward.normaliser.inputs(inputs.state_features(seen)).astype(np.float32) for seen in observations
    ]
    frames = {
        spec.key: torch.from_numpy(np.stack([inputs.image(spec, seen) for seen in observations]))[None]
        for spec in inputs.images
    }
    return Window(torch.from_numpy(np.stack(states))[None], others=frames)


def _standing(window: Window) -> Transition:
    """Return a step that leads to where it began: a success model rates what was seen then."""
    no = torch.tensor([False])
    return Transition(window, torch.zeros(1, 1), window, no, no)
