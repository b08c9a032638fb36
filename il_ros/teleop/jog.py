"""Jogging: integrates the rates of a joystick or a keyboard to targets of the contract's actions."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import POSE, Vector, shortest


class Jog:
    """Converts rates (A,) to absolute targets (A,), tick by tick.

    The target of a velocity, and of a bounded number, is the rate itself. The target of a position starts at the
    measured position, moves by rate x time between the ticks (ticks come irregularly: two may be 8 ms apart),
    stays within the limits, and leads the measured position by at most `lead_s` seconds of motion: the target of a
    blocked joint does not run away.
    """

    def __init__(self, contract: Contract, lead_s: float = 0.5) -> None:
        if lead_s <= 0:
            raise ValueError(f"lead_s must be positive, not {lead_s}")
        for spec in contract.actions:
            if spec.type == POSE:
                raise ValueError(f"{spec.key}: a pose can't be jogged component by component; use a leader")
        self._lead_s = lead_s
        self._period_ns = contract.period_ns
        self._ticked_ns: int | None = None
        self._names, self._groups = contract.action_names, contract.groups
        self._is_position = np.concatenate(
            [np.full(spec.size, spec.is_position) for spec in contract.actions]
        )
        limits = [spec.limits.arrays() for spec in contract.actions]
        self._lower = np.concatenate([lower for lower, _, _, _ in limits])
        self._upper = np.concatenate([upper for _, upper, _, _ in limits])
        self._turns = contract.turns
        self._lower[self._turns > 0], self._upper[self._turns > 0] = -np.inf, np.inf
        self._target: Vector | None = None

    def release(self) -> None:
        """Discard the target: the next step starts at the measured position and is one period long."""
        self._target = self._ticked_ns = None

    def step(self, rates: Vector, measured: Vector, tick_ns: int, groups: Collection[str] = ()) -> Vector:
        """Return the targets at a tick; `rates` (A,) per second, `measured` (A,), NaN where not measured.

        The time since the last tick has passed; none if the tick is not after it. `groups`: the action groups that are
        driven; empty: all. The target of the others is the measured position, from which a later drive starts.
        Raises ValueError when the position of a position-commanded joint that is driven is not measured.
        """
        position = self._is_position
        driven = np.ones(len(self._names), dtype=bool)
        for group in self._groups if groups else ():
            driven[group.index] = group.name in groups
        unmeasured = position & driven & ~np.isfinite(measured)
        if unmeasured.any():
            name = self._names[int(np.argmax(unmeasured))]
            raise ValueError(f"{name} can't be jogged: it is not measured")
        if self._target is None:
            self._target = measured.copy()
        apart = measured - self._target
        measured = measured - (apart - shortest(apart, self._turns))  # in the turn of the target
        since_ns = tick_ns - self._period_ns if self._ticked_ns is None else self._ticked_ns
        self._ticked_ns = max(since_ns, tick_ns)
        old, step = self._target, self._target + rates * max(0.0, (tick_ns - since_ns) / 1e9)
        lead = rates * self._lead_s
        # the lead limit never moves a target back: a joint that sags under load keeps its target
        rising = np.minimum(step, np.maximum(old, measured + lead))
        falling = np.maximum(step, np.minimum(old, measured + lead))
        moved = np.clip(np.where(rates > 0, rising, falling), self._lower, self._upper)
        target: Vector = np.where(position, np.where(rates == 0, old, moved), rates)
        target[~driven] = np.where(position, measured, 0.0)[~driven]
        self._target = target
        held: Vector = target.copy()
        return held
