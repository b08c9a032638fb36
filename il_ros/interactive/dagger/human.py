"""A simulated person at the robot: watches, takes over when it goes wrong, hands back when it is right again.

HG-DAgger's expert (Kelly et al. 2019) for experiments: it judges by how far the policy's action is from its
own and by whether anything gets done, needs time to react, misjudges, and has no steady hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays


@dataclass(frozen=True)
class HumanModel:
    """When a person acts. Distances are in typical motions of one tick (see `typical_motion`).

    Takes over after the distance was above `alarm` for `reaction_ticks`; hands back after at least
    `least_ticks`, once it was below `content` for `reaction_ticks`. `misjudged`: deviation of the log of the
    distance it believes to see. `tremor`: deviation of its commands, in typical motions.
    Nothing gets done when the policy's wishes of `patience_ticks` lie within `progress`: it hovers, a little
    off. Then a distance above `content` suffices to take over; where both would stand still, all is done.
    """

    alarm: float = 0.8
    content: float = 0.4
    reaction_ticks: int = 6
    least_ticks: int = 10
    misjudged: float = 0.25
    tremor: float = 0.05
    patience_ticks: int = 60
    progress: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.content <= self.alarm:
            raise ValueError(f"0 < content <= alarm is needed, not {self.content} and {self.alarm}")
        if min(self.reaction_ticks, self.least_ticks, self.patience_ticks) < 1:
            raise ValueError(f"ticks must be 1 or more: {self}")
        if min(self.misjudged, self.tremor, self.progress) < 0:
            raise ValueError(f"misjudged, tremor and progress must be at least 0: {self}")


class SimulatedHuman:
    """Watches the policy and drives for a while.

    `motion` (A,): the typical motion of each action. `velocity` (A,): which are velocities; None: none.
    """

    def __init__(
        self,
        human_model: HumanModel,
        motion: Vector,
        rng: np.random.Generator,
        velocity: NDArray[np.bool_] | None = None,
    ) -> None:
        self._human_model, self._motion, self._rng = human_model, motion, rng
        self._velocity = np.zeros(len(motion), dtype=bool) if velocity is None else velocity
        self._wishes: deque[Vector] = deque(
            maxlen=human_model.patience_ticks
        )  # the policy's, while it drives
        self._moving = motion > 0
        if not self._moving.any():
            raise ValueError("motion is 0 in every action: nothing was demonstrated that moves")
        self.begin()

    def begin(self) -> None:
        """Let go of the device."""
        self._convinced = 0  # ticks in a row that speak for a change
        self._driven = 0  # ticks since it took over; 0: the policy drives
        self._wishes.clear()

    def propose(self, policy: Vector, own: Vector) -> Vector | None:
        """Return its own action (A,), trembling, or None: it lets the policy drive."""
        if not self.wants_to_drive(policy, own):
            return None
        trembling: Vector = own + self._human_model.tremor * self._motion * self._rng.standard_normal(
            len(own)
        )
        return trembling

    def wants_to_drive(self, policy: Vector, own: Vector) -> bool:
        """Judge one more tick by both actions (A,)."""
        human_model = self._human_model
        seen = self._distance(policy - own) * np.exp(human_model.misjudged * self._rng.standard_normal())
        if self._driven:
            wants_change = seen < human_model.content
        else:
            self._wishes.append(policy)
            wants_change = seen > (human_model.content if self._nothing_gets_done() else human_model.alarm)
        self._convinced = self._convinced + 1 if wants_change else 0
        if self._convinced >= human_model.reaction_ticks and (
            not self._driven or self._driven >= human_model.least_ticks
        ):
            self._convinced = 0
            self._wishes.clear()
            self._driven = 0 if self._driven else 1
        elif self._driven:
            self._driven += 1
        return self._driven > 0

    def _nothing_gets_done(self) -> bool:
        """Tell whether the policy has been wishing for the same place for as long as patience lasts."""
        if len(self._wishes) < self._human_model.patience_ticks:
            return False
        targets = np.array(self._wishes)  # (patience_ticks, A)
        places = np.where(self._velocity, targets.cumsum(axis=0), targets)
        return self._distance(np.ptp(places, axis=0)) < self._human_model.progress

    def _distance(self, apart: Vector) -> float:
        """Return the root mean square of a difference of actions, in typical motions."""
        return float(np.sqrt(np.mean((apart[self._moving] / self._motion[self._moving]) ** 2)))


def velocities(contract: Contract) -> NDArray[np.bool_]:
    """Return which actions (A,) are velocities; the others are positions."""
    return np.concatenate([np.full(spec.size, spec.is_velocity) for spec in contract.actions])


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
