"""A fault of the campaign, and the times within which the robot is safe.

`stop`: what a fault does by itself to the motion. "must": the robot has to stand still within `safe_s` of the fault;
"may": it may drive on or stop; "unseen": the simulator itself is gone, so there is no motion to measure.
In every case each command stays within the contract's limits, and the session goes on after the fault.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from world import PERIOD_S, SILENCE_S, TIMEOUT_S, World

from il_ros.nodes.teleop.consoles import BEAT_S
from il_ros.sim.tasks.drive import COMMAND_TIMEOUT_S

SILENT_S = TIMEOUT_S + SILENCE_S + 2 * PERIOD_S
"""Longest motion after the policy's last proposal: its time-out, the watchdog's period, one step of the ramp each."""
UNCOMMANDED_S = COMMAND_TIMEOUT_S + 4 * PERIOD_S
"""Longest motion after the supervisor's last command: the base's own time-out, and a period each for the last command
before the fault, a step of the ramp, rounding, and the odometry by which it is measured."""
CONSOLE_S = 2.0 + BEAT_S + SILENCE_S + 2 * PERIOD_S
"""Longest motion after the console's last word: its time-out (`console_timeout_s`) and the watchdog's period, a step of
the ramp, and the odometry by which it is measured."""
COMMANDER_S = 0.5 + 0.2 + 2 * PERIOD_S
"""Longest motion beside another commander: its discovery, the supervisor's look at the publishers, a step of the ramp,
and the odometry by which it is measured."""
KILL_S = 0.3
"""What a killed recorder may lose: `flush_s`, and the writing of it."""
POWER_S = 5.0 + 0.5
"""What a power cut may lose: `sync_s`, a period of `flush_s` until it is noticed, and the flush to the disk."""
FREEZE_S = 5.0
FLOOD_S = 3.0
Run = Callable[[World], contextlib.AbstractContextManager[None]]


class NotAsDeclaredError(RuntimeError):
    """What a fault did beyond motion and episode is wrong; the session goes on nevertheless."""


@dataclass(frozen=True)
class Fault:
    """A named fault; `run` is a context: the fault lasts as long as it is open."""

    name: str
    run: Run
    stop: str = "may"
    safe_s: float = 0.0
    kept: bool = True
    """Whether the recorder survives it, so that the episode is complete."""
    lost_s: float = 0.0
    """How long before the fault something may be lost."""
    says: str = ""
    """A regular expression that a log must contain."""
    scene: str = "drive"
    needs_root: bool = False
