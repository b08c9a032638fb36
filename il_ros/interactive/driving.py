"""Who drives at each tick of a teaching episode in one process, and which ticks teach: a strategy per mode.

The same modes as on the robot, with a scripted expert in the human's place; `human.py` is one who watches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from il_ros.interactive.beta import Mixer
from il_ros.interactive.gates import AttentionBudget, DoubtGate
from il_ros.specs import Vector


@dataclass(frozen=True)
class Tick:
    """What is known when it is to be decided: both actions (A,), and how unsure the policy is of its own."""

    policy: Vector
    expert: Vector
    doubt: float | None


@dataclass(frozen=True)
class Choice:
    """`sent` (A,) is commanded; `expert` tells who drove; `label` (A,) is learnt, None: nothing."""

    sent: Vector
    expert: bool
    label: Vector | None


class Driver(Protocol):
    """Decides tick after tick; `begin` says that a new episode begins."""

    def begin(self) -> None:
        """Forget the episode before."""
        ...

    def choose(self, tick: Tick) -> Choice:
        """Return who drives and what is learnt."""
        ...


class Demonstrating:
    """The expert drives, everything is learnt."""

    def begin(self) -> None:
        """Nothing to forget."""

    def choose(self, tick: Tick) -> Choice:
        """Return the expert's action, twice."""
        return Choice(tick.expert, True, tick.expert)


class Mixing:
    """DAgger: the expert drives with probability `beta`, and says at each tick what it would do.

    `asked`: the share of ticks, drawn by `rng`, at which it is asked; successive ticks tell much the same.
    """

    def __init__(self, mixer: Mixer, beta: float, asked: float, rng: np.random.Generator) -> None:
        if not 0 < asked <= 1:
            raise ValueError(f"asked is {asked}; a share above 0, up to 1, is possible")
        self._mixer, self._beta, self._asked, self._rng = mixer, beta, asked, rng

    def begin(self) -> None:
        """Draw anew."""
        self._mixer.restart()

    def choose(self, tick: Tick) -> Choice:
        """Return the driver drawn; a label unless the expert isn't asked."""
        expert = self._mixer.expert_drives(self._beta)
        asked = expert or self._asked == 1 or self._rng.random() < self._asked
        return Choice(tick.expert if expert else tick.policy, expert, tick.expert if asked else None)


class Asking:
    """Gated: the policy asks when it is doubtful, and the expert drives until it is sure again.

    It asks above the budget's threshold, is satisfied below `release` times that one, and is driven for
    `least_ticks` in any case. Without a request left it drives on, and so it does for its first
    `warm_up_ticks`: what doubt is usual must be known before any is unusual.
    """

    def __init__(
        self,
        budget: AttentionBudget,
        release: float,
        least_ticks: int,
        period_ns: int,
        warm_up_ticks: int = 200,
    ) -> None:
        self._budget, self._release = budget, release
        self._warm_up_ticks = warm_up_ticks
        self._least_ticks, self._period_ns = least_ticks, period_ns
        self._now_ns = 0
        self._since = 0  # ticks since the expert began to drive; 0: the policy drives
        self._gate = DoubtGate(0.0, 0.0)

    def begin(self) -> None:
        """Let the policy drive."""
        self._since = 0

    def choose(self, tick: Tick) -> Choice:
        """Return the expert while it is asked for; its ticks are learnt."""
        self._now_ns += self._period_ns
        if self._since == 0:
            threshold = self._budget.threshold()
            if tick.doubt is not None:
                self._budget.saw(tick.doubt)
            self._warm_up_ticks -= 1
            warm = self._warm_up_ticks < 0
            if threshold is not None and warm and self._budget.left(self._now_ns) > 0:
                self._gate = DoubtGate(threshold, self._release * threshold)
                if self._gate.doubtful(tick.doubt, False):
                    self._budget.spend(self._now_ns)
                    self._since = 1
        elif self._since >= self._least_ticks and not self._gate.doubtful(tick.doubt, True):
            self._since = 0
        else:
            self._since += 1
        expert = self._since > 0
        return Choice(tick.expert if expert else tick.policy, expert, tick.expert if expert else None)
