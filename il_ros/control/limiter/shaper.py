"""From a target to the command: the start of the ramp, the size of the step, and the safe behaviour."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.measured import Measured
from il_ros.control.limiter.starts import StartTolerance
from il_ros.control.limiter.workspace import Workspace
from il_ros.control.supervisor.watchdog import StepBudget
from il_ros.core.contract import Contract
from il_ros.records.decision import Numbers


@dataclass
class _Ramp:
    """What is due at the next command of the action keys of one group."""

    keys: tuple[str, ...]
    due: bool = True
    from_rest: bool = True
    rest_due: bool = True
    moved: bool = False


class CommandShaper:
    """The last command, and the ramp of the next one: from the last command, or from the measured state.

    Each action group has its own ramps: one that starts in a group changes nothing in the others.

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
        self._ramps = {group.name: _Ramp(group.keys) for group in contract.groups}

    @property
    def sent(self) -> Numbers | None:
        """The last command (A,), None before the first one."""
        return self._actuation.sent

    def begin(self, groups: Iterable[str] | None = None) -> None:
        """Start a ramp from the measured state at the next target of these groups; None: of all."""
        for group in self._ramps if groups is None else groups:
            self._ramps[group].due = True

    def restart(self, *, placed: bool) -> None:
        """Start a ramp from the measured state at the next target.

        `placed`: the robot was placed and stands still, so it may be anywhere within the limits. Otherwise it
        is where the last command left it, at the speed of that command.
        """
        for ramp in self._ramps.values():
            ramp.due = ramp.rest_due = True
            ramp.from_rest |= placed
        self._actuation.rest(placed=placed)

    def forget(self) -> None:
        """Forget the last command: nothing is sent until the next ramp starts."""
        self._actuation.forget()
        self._ramps = {group: _Ramp(ramp.keys) for group, ramp in self._ramps.items()}

    def start(self, group: str, target: Numbers, time_ns: int) -> str:
        """Start the ramp of a group towards `target` (A,) if one is due; return why it cannot start, "" otherwise."""
        ramp = self._ramps[group]
        missing = self._anchor(ramp, time_ns, target) if ramp.due else ""
        if not missing:
            ramp.due = ramp.from_rest = ramp.rest_due = False
        return missing

    def advance(
        self,
        target: Numbers | None,
        groups: Collection[str],
        stamp_ns: int,
        time_ns: int,
        clocks_ns: tuple[int, int],
        *,
        emergency: bool,
    ) -> Sequence[str]:
        """Compute the next command, towards `target` (A,) or by the safe behaviour; return the limits that acted.

        `groups`: those that follow the target, which must have been started; the others apply their safe behaviour.
        `time_ns` is the time of the measured state; `clocks_ns`: the node's clock and the steady clock.
        """
        dt_s = self._step_budget.spend(stamp_ns, *clocks_ns)
        limited: Sequence[str] = ()
        for group, ramp in self._ramps.items():
            if group in groups:
                ramp.moved = True
            else:
                self._rest(ramp, time_ns)
        if target is None:
            self._actuation.apply_safe(dt_s, emergency=emergency)
        else:
            keys = None
            if len(groups) < len(self._ramps):
                keys = {key for group in groups for key in self._ramps[group].keys}
            limited = self._actuation.follow(target, dt_s, keys, emergency=emergency)
        if self.sent is None:
            self._step_budget.clear()
        return limited

    def _rest(self, ramp: _Ramp, time_ns: int) -> None:
        """Let a group without a target hold its measured state after a restart, if it has moved before."""
        if ramp.rest_due and (ramp.moved or self._hold_at_start):
            ramp.rest_due = bool(self._anchor(ramp, time_ns, None))
            if not ramp.rest_due and not self._simulated:
                ramp.from_rest = False  # from now on the robot holds this command

    def _anchor(self, ramp: _Ramp, time_ns: int, target: Numbers | None) -> str:
        """Start all ramps of a group at the measured state; return why it is not known, "" otherwise."""
        measured, missing = self.measured.at(time_ns, ramp.keys)
        trusted = target if self._trusting else None
        failed = self._actuation.anchor(measured, from_rest=ramp.from_rest, trusted=trusted, keys=ramp.keys)
        if not failed:
            return ""
        reasons = [f"{key}/{reason}" for key, reason in failed.items() if reason]
        return "no ramp can start: " + "; ".join([*filter(None, [missing]), *reasons])
