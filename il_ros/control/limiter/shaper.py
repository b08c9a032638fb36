"""From a wish to the command: where its ramp starts, how far it goes, what is done without a wish."""

from __future__ import annotations

from collections.abc import Sequence

from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.measured import Measured
from il_ros.control.supervisor.watchdog import StepBudget
from il_ros.core.contract import Contract
from il_ros.records.decision import Numbers


class CommandShaper:
    """What was sent, and whether the next command goes on from it or starts where the robot is.

    The options are `supervision.Options`'.
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
        self._due = self._from_rest = self._rest_due = True
        self._moved = False

    @property
    def sent(self) -> Numbers | None:
        """The last command (A,), None before there was one."""
        return self._actuation.sent

    def begin(self) -> None:
        """Let the next wish start a ramp from the measured state."""
        self._due = True

    def restart(self) -> None:
        """The same, with the robot at rest."""
        self._due = self._from_rest = self._rest_due = True
        self._actuation.rest()

    def start(self, target: Numbers, time_ns: int) -> str:
        """Start the ramp towards a wish if one is due; return why it can't start yet."""
        missing = self._anchor(time_ns, target) if self._due else ""
        if not missing:
            self._due = self._from_rest = self._rest_due = False
        return missing

    def go(
        self, target: Numbers | None, stamp_ns: int, time_ns: int, steady_ns: int, *, emergency: bool
    ) -> Sequence[str]:
        """Send the next command: towards a wish, or the safe behaviour; return what limited it."""
        dt_s = self._step_budget.spend(stamp_ns, time_ns, steady_ns)
        limited: Sequence[str] = ()
        if target is not None:
            limited = self._actuation.follow(target, dt_s)
            self._moved = True
        else:
            if self._rest_due and (self._moved or self._hold_at_start):
                self._rest_due = bool(self._anchor(time_ns, None))
            self._actuation.behave(dt_s, emergency=emergency)
        if self.sent is None:
            self._step_budget.clear()
        return limited

    def _anchor(self, time_ns: int, target: Numbers | None) -> str:
        """Let all ramps start where the robot is; return why that isn't known."""
        measured, missing = self.measured.at(time_ns)
        trusted = target if self._trusting else None
        unknown = self._actuation.anchor(measured, from_rest=self._from_rest, trusted=trusted)
        return f"no ramp can start: {missing}" if unknown else ""
