"""From a target to the command: the start of the ramp, the size of the step, and the safe behaviour."""

from __future__ import annotations

from collections.abc import Sequence

from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.measured import Measured
from il_ros.control.supervisor.watchdog import StepBudget
from il_ros.core.contract import Contract
from il_ros.records.decision import Numbers


class CommandShaper:
    """The last command, and the ramp of the next one: from the last command, or from the measured state.

    The options are those of `supervision.SupervisorOptions`.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        without_measurement: str,
        keep_command: Sequence[str],
        hold_at_start: bool,
    ) -> None:
        self.measured = Measured(contract)
        self._actuation = Actuation(contract, keep_command)
        self._step_budget = StepBudget(contract.period_ns)
        self._trusting, self._hold_at_start = without_measurement == "trust", hold_at_start
        self._ramp_due = self._from_rest = self._rest_due = True
        self._moved = False

    @property
    def sent(self) -> Numbers | None:
        """The last command (A,), None before the first one."""
        return self._actuation.sent

    def begin(self) -> None:
        """Start a ramp from the measured state at the next target."""
        self._ramp_due = True

    def restart(self) -> None:
        """Start a ramp from the measured state at the next target, with the robot at rest."""
        self._ramp_due = self._from_rest = self._rest_due = True
        self._actuation.rest()

    def start(self, target: Numbers, time_ns: int) -> str:
        """Start the ramp towards `target` (A,) if one is due; return why it cannot start, "" otherwise."""
        missing = self._anchor(time_ns, target) if self._ramp_due else ""
        if not missing:
            self._ramp_due = self._from_rest = self._rest_due = False
        return missing

    def advance(
        self, target: Numbers | None, stamp_ns: int, time_ns: int, steady_ns: int, *, emergency: bool
    ) -> Sequence[str]:
        """Compute the next command, towards `target` or by the safe behaviour; return the limits that acted."""
        dt_s = self._step_budget.spend(stamp_ns, time_ns, steady_ns)
        limited: Sequence[str] = ()
        if target is not None:
            limited = self._actuation.follow(target, dt_s)
            self._moved = True
        else:
            if self._rest_due and (self._moved or self._hold_at_start):
                self._rest_due = bool(self._anchor(time_ns, None))
            self._actuation.apply_safe(dt_s, emergency=emergency)
        if self.sent is None:
            self._step_budget.clear()
        return limited

    def _anchor(self, time_ns: int, target: Numbers | None) -> str:
        """Start all ramps at the measured state; return why it is not known, "" otherwise."""
        measured, missing = self.measured.at(time_ns)
        trusted = target if self._trusting else None
        unknown = self._actuation.anchor(measured, from_rest=self._from_rest, trusted=trusted)
        return f"no ramp can start: {missing}" if unknown else ""
