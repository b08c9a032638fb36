"""A simulated person at the robot: watches, takes over when it goes wrong, hands back when it is right again.

HG-DAgger's expert (Kelly et al. 2019) for experiments: it judges by how far the policy's action is from its
own, needs time to react, misjudges, and has no steady hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from il_ros import actions
from il_ros.contract import Contract
from il_ros.episodes.arrays import EpisodeArrays
from il_ros.specs import Vector


@dataclass(frozen=True)
class Habits:
    """When a person acts. Distances are in typical motions of one tick (see `typical_motion`).

    Takes over after the distance was above `alarm` for `reaction_ticks`; hands back after at least
    `least_ticks`, once it was below `content` for `reaction_ticks`. `misjudged`: deviation of the log of the
    distance it believes to see. `tremor`: deviation of its commands, in typical motions. A policy that
    stands still where the person would move is about 1 away: an `alarm` above that would never notice it.
    """

    alarm: float = 0.8
    content: float = 0.4
    reaction_ticks: int = 6
    least_ticks: int = 10
    misjudged: float = 0.25
    tremor: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.content <= self.alarm:
            raise ValueError(f"0 < content <= alarm is needed, not {self.content} and {self.alarm}")
        if min(self.reaction_ticks, self.least_ticks) < 1 or min(self.misjudged, self.tremor) < 0:
            raise ValueError(f"ticks must be 1 or more, misjudged and tremor at least 0: {self}")


class SimulatedHuman:
    """Watches the policy and drives for a while. `motion` (A,): the typical motion of each action."""

    def __init__(self, habits: Habits, motion: Vector, rng: np.random.Generator) -> None:
        self._habits, self._motion, self._rng = habits, motion, rng
        self._moving = motion > 0
        if not self._moving.any():
            raise ValueError("motion is 0 in every action: nothing was demonstrated that moves")
        self.begin()

    def begin(self) -> None:
        """Let go of the device."""
        self._convinced = 0  # ticks in a row that speak for a change
        self._driven = 0  # ticks since it took over; 0: the policy drives

    def propose(self, policy: Vector, own: Vector) -> Vector | None:
        """Return its own action (A,), trembling, or None: it lets the policy drive."""
        if not self.wants_to_drive(policy, own):
            return None
        trembling: Vector = own + self._habits.tremor * self._motion * self._rng.standard_normal(len(own))
        return trembling

    def wants_to_drive(self, policy: Vector, own: Vector) -> bool:
        """Judge one more tick by both actions (A,)."""
        habits = self._habits
        seen = self._distance(policy - own) * np.exp(habits.misjudged * self._rng.standard_normal())
        wants_change = seen < habits.content if self._driven else seen > habits.alarm
        self._convinced = self._convinced + 1 if wants_change else 0
        if self._convinced >= habits.reaction_ticks and (
            not self._driven or self._driven >= habits.least_ticks
        ):
            self._convinced = 0
            self._driven = 0 if self._driven else 1
        elif self._driven:
            self._driven += 1
        return self._driven > 0

    def _distance(self, apart: Vector) -> float:
        """Return the root mean square of a difference of actions, in typical motions."""
        return float(np.sqrt(np.mean((apart[self._moving] / self._motion[self._moving]) ** 2)))


def typical_motion(episodes: Sequence[EpisodeArrays], contract: Contract) -> Vector:
    """Return, for each action (A,), the root mean square of what demonstrations command in one tick.

    For positions that is the way from the measured to the commanded one; for velocities the command itself.
    Actions that hardly moved (a thousandth of the liveliest of their key) are 0: they tell nothing.
    """
    ways = np.concatenate([_ways(episode, contract) for episode in episodes])
    motion: Vector = np.sqrt(np.mean(ways**2, axis=0))
    for part in contract.action_slices.values():
        motion[part] = np.where(motion[part] < 1e-3 * motion[part].max(), 0.0, motion[part])
    return motion


def _ways(episode: EpisodeArrays, contract: Contract) -> Vector:
    rows = []
    for step, command in enumerate(np.asarray(episode.commands)):
        seen = {key: values[step] for key, values in episode.observations.items()}
        rows.append(command - np.nan_to_num(actions.measured(contract, seen)))
    return np.array(rows)
