"""Rates to targets: how a joystick or a key moves what the contract commands."""

from __future__ import annotations

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import POSE, Vector


class Jog:
    """Turns rates (A,) into absolute targets (A,), one control period at a time.

    A commanded velocity is the rate itself. A commanded position begins at the measured one when the jog
    begins, moves by rate x period, stays within the limits, and advances to at most `lead_s` seconds of
    motion ahead of the measured one: a blocked joint runs up no debt that it would spring back with.
    """

    def __init__(self, contract: Contract, lead_s: float = 0.5) -> None:
        if lead_s <= 0:
            raise ValueError(f"lead_s must be positive, not {lead_s}")
        for spec in contract.actions:
            if spec.type == POSE:
                raise ValueError(f"{spec.key}: a pose can't be jogged number by number; use a leader")
        self._lead_s = lead_s
        self._dt_s = contract.period_ns / 1e9
        self._names = contract.action_names
        self._is_velocity = np.concatenate(
            [np.full(spec.size, spec.is_velocity) for spec in contract.actions]
        )
        limits = [spec.limits.arrays() for spec in contract.actions]
        self._lower = np.concatenate([lower for lower, _, _, _ in limits])
        self._upper = np.concatenate([upper for _, upper, _, _ in limits])
        self._target: Vector | None = None

    def release(self) -> None:
        """Forget the target: the next step begins at the measured state."""
        self._target = None

    def step(self, rates: Vector, measured: Vector) -> Vector:
        """Return the targets one period on; `rates` (A,) per second, `measured` (A,), NaN where not measured.

        Raises ValueError when a position that shall be jogged is not measured.
        """
        position = ~self._is_velocity
        unmeasured = position & ~np.isfinite(measured)
        if unmeasured.any():
            name = self._names[int(np.argmax(unmeasured))]
            raise ValueError(f"{name} can't be jogged: it is not measured")
        if self._target is None:
            self._target = measured.copy()
        old, step, lead = self._target, self._target + rates * self._dt_s, rates * self._lead_s
        # held back, never pulled back: a joint that sags under its load keeps its target
        rising = np.minimum(step, np.maximum(old, measured + lead))
        falling = np.maximum(step, np.minimum(old, measured + lead))
        moved = np.clip(np.where(rates > 0, rising, falling), self._lower, self._upper)
        target: Vector = np.where(position, np.where(rates == 0, old, moved), rates)
        self._target = target
        held: Vector = target.copy()
        return held
