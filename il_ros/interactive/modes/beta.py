"""Beta: the expert's share of control in DAgger, decreasing over rounds (Ross, Gordon and Bagnell 2011).

pi_i = beta_i pi* + (1 - beta_i) pi^_i: in round i the expert drives with probability beta_i, otherwise the policy.
In every decreasing schedule the expert drives all of round 0, as in algorithm 3.1 of the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

UNITS = ("step", "segment", "episode")


@dataclass(frozen=True)
class BetaSchedule:
    """beta as a function of the round: `constant:0.3`, `linear:10`, `exponential:0.85`, `step:2`.

    constant:b is b; linear:n decreases from 1 to 0 in n rounds; exponential:p is p^i; step:n is 1 for the
    first n rounds and 0 afterwards (step:1 is the parameter-free choice of the paper).
    Raises ValueError when the text is not one of these.
    """

    text: str
    _beta: Callable[[int], float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name, _, argument = self.text.partition(":")
        try:
            number = float(argument)
            beta = {"constant": _constant, "linear": _linear, "exponential": _exponential, "step": _step}[
                name
            ]
        except (ValueError, KeyError):
            raise ValueError(
                f"beta schedule '{self.text}' is not known; "
                "examples: constant:0.3, linear:10, exponential:0.85, step:1"
            ) from None
        if not math.isfinite(number):
            raise ValueError(f"beta schedule '{self.text}': needs a finite number")
        object.__setattr__(self, "_beta", beta(self.text, number))

    def __call__(self, round_index: int) -> float:
        """Return beta of a round, counted from 0. Raises ValueError when it is negative."""
        if round_index < 0:
            raise ValueError(f"rounds count from 0, not {round_index}")
        return self._beta(round_index)


def _constant(text: str, value: float) -> Callable[[int], float]:
    if not 0 <= value <= 1:
        raise ValueError(f"beta schedule '{text}': beta must be from 0 to 1")
    return lambda _: value


def _linear(text: str, rounds: float) -> Callable[[int], float]:
    if rounds < 1:
        raise ValueError(f"beta schedule '{text}': needs 1 round or more")
    return lambda index: max(0.0, 1.0 - index / rounds)


def _exponential(text: str, base: float) -> Callable[[int], float]:
    if not 0 <= base <= 1:
        raise ValueError(f"beta schedule '{text}': the base must be from 0 to 1")
    return lambda index: float(base**index)


def _step(text: str, rounds: float) -> Callable[[int], float]:
    if rounds < 0 or rounds != int(rounds):
        raise ValueError(f"beta schedule '{text}': needs a whole number of rounds")
    return lambda index: 1.0 if index < rounds else 0.0


_KINDS = {"constant": _constant, "linear": _linear, "exponential": _exponential, "step": _step}


@dataclass(frozen=True)
class QuerySampler:
    """Draws the ticks at which the expert is queried for a label, each with probability `share`.

    A share below 1 saves labels, because successive ticks carry similar information.
    """

    share: float
    rng: np.random.Generator

    def draw(self) -> bool:
        """Return whether the expert is queried at the next tick."""
        return self.share >= 1 or bool(self.rng.random() < self.share)


class Mixer:
    """Draws the driver, expert or policy, once per step, per segment of `segment` steps, or per episode.

    Raises ValueError when `unit` is unknown or `segment` is below 1.
    """

    def __init__(self, unit: str, segment: int, rng: np.random.Generator):
        if unit not in UNITS:
            raise ValueError(f"unit '{unit}' is not known; one of: {', '.join(UNITS)}")
        if segment < 1:
            raise ValueError(f"segment must be 1 step or more, not {segment}")
        self._length = {"step": 1, "segment": segment, "episode": None}[unit]
        self._rng = rng
        self._steps = 0
        self._expert = False

    def expert_drives(self, beta: float) -> bool:
        """Return whether the expert drives the next step; draws with probability `beta` where a unit starts."""
        due = self._steps == 0 or (self._length is not None and self._steps % self._length == 0)
        if due:
            self._expert = bool(self._rng.random() < beta)
        self._steps += 1
        return self._expert

    def restart(self) -> None:
        """Start a new episode: the next step makes a new draw."""
        self._steps = 0
