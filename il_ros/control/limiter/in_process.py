"""The limiter of an episode that runs in one process: each command takes exactly one control period.

The supervisor limits the same commands to the same bits when a simulator runs in lockstep. The layers of the
contract's section `safety` (workspace, contact) are the supervisor's and do not act here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.safety import problem, quaternion_slices
from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.records.decision import Numbers


@dataclass(frozen=True)
class LimitedCommand:
    """A command (A,) and the limits that acted on it: 'arm/joint2 speed'.

    `sent` is None when no ramp could start and nothing was sent before; `missing` then says why. With a command
    from before, `sent` is the contract's safe behaviour.
    """

    sent: Numbers | None
    limited: tuple[str, ...] = ()
    missing: str = ""


class InProcessLimiter:
    """The ramps of one robot. Call `begin` at each reset, then `limit` once per tick."""

    def __init__(self, contract: Contract) -> None:
        self._contract, self._actuation = contract, Actuation(contract)
        self._quaternions = quaternion_slices(contract.actions)
        self._period_s = contract.period_ns / 1e9
        self.begin()

    def begin(self) -> None:
        """Start an episode: the robot was placed and stands still, so the last command says nothing about it."""
        self._actuation.rest(placed=True)
        self._due = set(self._contract.action_slices)
        self._placed = True

    def hand_over(self, keys: Collection[str] | None = None) -> None:
        """Start a ramp from the measured state at the next target, as when another source gets authority.

        `keys`: of these actions only, such as those of one group; None: of all.
        """
        self._due |= set(self._contract.action_slices if keys is None else keys)

    def limit(self, target: Vector, observation: Mapping[str, NDArray[Any]]) -> LimitedCommand:
        """Return the command towards a target (A,) at a tick with this observation.

        Raises ValueError that names the number when the target is no command: a wrong count, not finite.
        """
        wanted = tuple(np.asarray(target, dtype=np.float64).tolist())
        wrong = problem(wanted, self._contract.action_names, self._quaternions)
        if wrong:
            raise ValueError(f"not a command: {wrong}")
        missing = self._start(observation) if self._due else ""
        if missing:
            self._actuation.apply_safe(self._period_s)
            return LimitedCommand(self._actuation.sent, missing=missing)
        limited = tuple(self._actuation.follow(wanted, self._period_s))
        return LimitedCommand(self._actuation.sent, limited)

    def _start(self, observation: Mapping[str, NDArray[Any]]) -> str:
        """Start all ramps at the measured state; return why they cannot start, "" otherwise."""
        state = actions.measured(self._contract, observation)
        measured = {
            key: tuple(state[part].tolist())
            for key, part in self._contract.action_slices.items()
            if np.isfinite(state[part]).all()
        }
        failed = self._actuation.anchor(measured, from_rest=self._placed, keys=self._due)
        if failed:
            reasons = [f"{key}/{reason or 'is not measured'}" for key, reason in failed.items()]
            return "no ramp can start: " + "; ".join(reasons)
        self._due.clear()
        self._placed = False
        return ""
