"""From a target to the command: the start of the ramp, the size of the step, and the safe behaviour."""

from __future__ import annotations

from collections.abc import Sequence

from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.measured import Measured
from il_ros.control.limiter.starts import StartTolerance
from il_ros.control.limiter.workspace import Workspace
from il_ros.control.supervisor.watchdog import StepBudget
from il_ros.core.contract import Contract
from il_ros.records.decision import Numbers


class CommandShaper:
    """The last command, and the ramp of the next one: from the last command, or from the measured state.

    The options are those of `supervision.SupervisorOptions`. `workspace`: the box of the tool.
    """

    def __init__(
        self,
        contract: Contract,
        *,
        without_measurement: str,
        keep_command: Sequence[str],
        hold_at_start: bool,
        tolerance: StartTolerance,
        simulated: bool,
        workspace: Workspace | None = None,
    ) -> None:
        self.measured = Measured(contract)
        self._actuation = Actuation(contract, keep_command, tolerance, workspace)
        self._step_budget = StepBudget(contract.period_ns, simulated=simulated)
        self._simulated = simulated
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

    def restart(self, *, placed: bool) -> None:
        """Start a ramp from the measured state at the next target.

        `placed`: the robot was placed and stands still, so it may be anywhere within the limits. Otherwise it
        is where the last command left it, at the speed of that command.
        """
        self._ramp_due = self._rest_due = True
        self._from_rest |= placed
        self._actuation.rest(placed=placed)

    def forget(self) -> None:
        """Forget the last command: nothing is sent until the next ramp starts."""
        self._actuation.forget()
        self._ramp_due = self._from_rest = self._rest_due = True
        self._moved = False

    def start(self, target: Numbers, time_ns: int) -> str:
        """Start the ramp towards `target` (A,) if one is due; return why it cannot start, "" otherwise."""
        missing = self._anchor(time_ns, target) if self._ramp_due else ""
        if not missing:
            self._ramp_due = self._from_rest = self._rest_due = False
        return missing

    def advance(
        self,
        target: Numbers | None,
        stamp_ns: int,
        time_ns: int,
        clocks_ns: tuple[int, int],
        *,
        emergency: bool,
    ) -> Sequence[str]:
        """Compute the next command, towards `target` or by the safe behaviour; return the limits that acted.

        `time_ns` is the time of the measured state; `clocks_ns`: the node's clock and the steady clock.
        """
        dt_s = self._step_budget.spend(stamp_ns, *clocks_ns)
        limited: Sequence[str] = ()
        if target is not None:
            limited = self._actuation.follow(target, dt_s)
            self._moved = True
        else:
            if self._rest_due and (self._moved or self._hold_at_start):
                self._rest_due = bool(self._anchor(time_ns, None))
                if not self._rest_due and not self._simulated:
                    self._from_rest = False  # from now on the robot holds this command
            self._actuation.apply_safe(dt_s, emergency=emergency)
        if self.sent is None:
            self._step_budget.clear()
        return limited

    def _anchor(self, time_ns: int, target: Numbers | None) -> str:
        """Start all ramps at the measured state; return why it is not known, "" otherwise."""
        measured, missing = self.measured.at(time_ns)
        trusted = target if self._trusting else None
        failed = self._actuation.anchor(measured, from_rest=self._from_rest, trusted=trusted)
        if not failed:
            return ""
        reasons = [f"{key}/{reason}" for key, reason in failed.items() if reason]
        return "no ramp can start: " + "; ".join([*filter(None, [missing]), *reasons])
