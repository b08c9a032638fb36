"""The options of the supervisor."""

from __future__ import annotations

from dataclasses import dataclass

from il_ros.control.limiter.starts import StartTolerance


@dataclass(frozen=True)
class SupervisorOptions:
    """Options of the supervisor.

    `silence_s`: time without a decision (steady clock) after which the timer decides.
    `without_measurement`: what to do when a ramp starts without a measurement. 'wait': apply the safe
    behaviour meanwhile; 'trust': start from the last command, or from the first target.
    `keep_command`: see Actuation. `hold_at_start`: hold the measured state before the first proposal, instead
    of sending nothing. `start_tolerance` and `following_error`: `outside_s` and `from_command_s` of
    StartTolerance, in seconds. `simulated`: the robot's clock is /clock, and a restart places the robot.
    `unresponsive_s`: `longest_s` of FollowingCheck. `start_at_rest` and `manual`: see Rest.
    Raises ValueError when `without_measurement` is neither, or a tolerance is below 0.
    """

    silence_s: float
    without_measurement: str = "wait"
    keep_command: tuple[str, ...] = ()
    hold_at_start: bool = False
    start_tolerance: float = 0.1
    following_error: float = 0.5
    simulated: bool = False
    unresponsive_s: float = 0.0
    start_at_rest: bool = False
    manual: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.without_measurement not in ("wait", "trust"):
            raise ValueError(f"without_measurement is 'wait' or 'trust', not '{self.without_measurement}'")
        self.tolerance()

    def tolerance(self) -> StartTolerance:
        """Return where ramps may start."""
        return StartTolerance(self.start_tolerance, self.following_error)
