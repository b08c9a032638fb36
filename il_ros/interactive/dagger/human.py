"""A simulated human expert of HG-DAgger (Kelly et al. 2019), for experiments.

It takes over when the policy's action differs from its own for long enough or the policy makes no progress,
and hands back when they agree. It has a reaction time, perception noise and command noise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import ActionGroup, Vector
from il_ros.episodes.arrays.episode import EpisodeArrays


@dataclass(frozen=True)
class HumanModel:
    """The parameters of the simulated human. Distances are in typical motions per tick (see `typical_motion`).

    It takes over after the distance exceeded `alarm` for `reaction_ticks`; it hands back after at least
    `least_ticks`, once the distance was below `content` for `reaction_ticks`. `misjudged`: standard deviation
    of the logarithm of the perceived distance. `tremor`: standard deviation of its commands, in typical motions.
    The policy makes no progress when its targets of `patience_ticks` lie within `progress`. Then a distance
    above `content` suffices to take over.
    Raises ValueError on an invalid parameter.
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
    """Decides at each tick whether the human drives.

    `motion` (A,): typical motion of each action, in its units. `velocity` (A,): True for velocities; None: all
    actions are positions. Raises ValueError when `motion` is 0 everywhere.
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
        # the policy's targets while it drives
        self._targets: deque[Vector] = deque(maxlen=human_model.patience_ticks)
        self._moving = motion > 0
        if not self._moving.any():
            raise ValueError("motion is 0 in every action: the demonstrations contain no motion")
        self.begin()

    def begin(self) -> None:
        """Start a new episode: the policy drives."""
        self._convinced = 0  # consecutive ticks in favour of a change of driver
        self._driven = 0  # ticks since the takeover; 0: the policy drives
        self._targets.clear()

    def propose(self, policy: Vector, own: Vector) -> Vector | None:
        """Return the human's action (A,) with tremor; None while the policy drives."""
        if not self.drives(policy, own):
            return None
        noise = self._rng.standard_normal(len(own))
        noisy: Vector = own + self._human_model.tremor * self._motion * noise
        return noisy

    def drives(self, policy: Vector, own: Vector) -> bool:
        """Return whether the human drives after one more tick, given both actions (A,)."""
        human_model = self._human_model
        perceived = self._distance(policy - own) * np.exp(human_model.misjudged * self._rng.standard_normal())
        if self._driven:
            wants_change = perceived < human_model.content
        else:
            self._targets.append(policy)
            wants_change = perceived > (human_model.content if self._no_progress() else human_model.alarm)
        self._convinced = self._convinced + 1 if wants_change else 0
        if self._convinced >= human_model.reaction_ticks and (
            not self._driven or self._driven >= human_model.least_ticks
        ):
            self._convinced = 0
            self._targets.clear()
            self._driven = 0 if self._driven else 1
        elif self._driven:
            self._driven += 1
        return self._driven > 0

    def _no_progress(self) -> bool:
        """Return whether the policy's targets of the last `patience_ticks` lie within `progress`."""
        if len(self._targets) < self._human_model.patience_ticks:
            return False
        targets = np.array(self._targets)  # (patience_ticks, A)
        places = np.where(self._velocity, targets.cumsum(axis=0), targets)
        return self._distance(np.ptp(places, axis=0)) < self._human_model.progress

    def _distance(self, apart: Vector) -> float:
        """Return the root mean square of a difference of actions, in typical motions."""
        return float(np.sqrt(np.mean((apart[self._moving] / self._motion[self._moving]) ** 2)))


class GroupedHuman:
    """A human who decides for each action group whether to drive it.

    `humans`: one for each of the contract's `groups`, in their order, that sees the group's actions alone.
    """

    def __init__(self, humans: Sequence[SimulatedHuman], groups: Sequence[ActionGroup]) -> None:
        self._parts = tuple(zip(humans, groups, strict=True))

    def begin(self) -> None:
        """Start a new episode: the policy drives."""
        for human, _ in self._parts:
            human.begin()

    def propose(self, policy: Vector, own: Vector) -> Vector | None:
        """Return the human's action (A,), NaN in groups that the policy drives; None while it drives all."""
        proposed = np.full(len(own), np.nan)
        for human, group in self._parts:
            values = human.propose(policy[group.index], own[group.index])
            if values is not None:
                proposed[group.index] = values
        return None if np.isnan(proposed).all() else proposed


def velocities(contract: Contract) -> NDArray[np.bool_]:
    """Return a mask (A,) of the actions that are velocities or nothing measures; the others are positions."""
    return np.concatenate([np.full(spec.size, not spec.is_position) for spec in contract.actions])


def typical_motion(episodes: Sequence[EpisodeArrays], contract: Contract) -> Vector:
    """Return the root mean square motion of each action (A,) per tick in demonstrations, in its units.

    For a position, the motion is the command minus the measured position; for a velocity, the command.
    Actions with less than 1/1000 of the largest motion of their key are 0 and do not count.
    """
    motions = np.concatenate([_motions(episode, contract) for episode in episodes])
    known = ~np.isnan(motions)  # a number of an action group without a label is NaN
    squares = motions**2 if known.all() else np.where(known, motions, 0.0) ** 2
    motion: Vector = np.sqrt(squares.mean(axis=0) / np.maximum(known.mean(axis=0), 1e-9))
    return without_still(motion, contract)


def without_still(motion: Vector, contract: Contract) -> Vector:
    """Return a motion (A,) in which actions with less than 1/1000 of the largest of their key are 0."""
    kept: Vector = motion.copy()
    for part in contract.action_slices.values():
        kept[part] = np.where(motion[part] < 1e-3 * np.max(motion[part]), 0.0, motion[part])
    return kept


def _motions(episode: EpisodeArrays, contract: Contract) -> Vector:
    rows = []
    for step, command in enumerate(np.asarray(episode.commands)):
        seen = {key: values[step] for key, values in episode.observations.items()}
        measured = np.nan_to_num(actions.measured(contract, seen))
        rows.append(actions.shortest(command - measured, contract.turns))
    return np.array(rows)
