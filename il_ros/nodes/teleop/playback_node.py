"""Executable `playback`, node `expert`: plays a file of targets as a source of proposals, after a person lets it.

`il-ros home` and `il-ros replay --on-robot` start it. Keys: g goes, space is the emergency stop, ctrl-D ends. The
supervisor and its limiter stay in charge. The node ends when the last target is reached or a person ends it (0), or
the robot does not follow (1).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.task import Future
from std_srvs.srv import SetBool

from il_ros.control.playback import Playback, PlaybackError, PlaybackPhase, TargetSeries
from il_ros.core.specs import Vector
from il_ros.core.tables import say
from il_ros.nodes.runtime import managed, terminal
from il_ros.nodes.runtime.diagnostics import OK
from il_ros.nodes.runtime.parameters import ParameterError, declare
from il_ros.nodes.runtime.publishers import OtherPublishers
from il_ros.nodes.runtime.waiting import WaitError, Waiting
from il_ros.nodes.teleop.consoles import CONFIRM_S, ConsoleLink
from il_ros.nodes.teleop.targets import Teleop

LOOK_EVERY_S = 0.05
STOP_WITHIN_S = 5.0
KEYS = "g: go   space: EMERGENCY STOP   ctrl-D: end"
_END = "\x04"  # ctrl-D


class PlaybackNode(Teleop):
    """Waits for the key g (or parameter `go`), then proposes the targets of the file `path`."""

    def __init__(self, keys: terminal.Terminal | None, **kwargs: Any) -> None:
        self._terminal = self.screen = keys
        super().__init__(**kwargs)
        self.ended: Future = Future()
        self._link = ConsoleLink(self, watched=False)
        if keys is not None:
            keys.on_suspend = self._link.suspend
        self._stop_client = self.create_client(SetBool, "dagger_supervisor/estop")
        self._waiting = Waiting(self)
        self._told = ""
        # steady clock: keys arrive in real time, also while /clock is paused
        self.create_timer(LOOK_EVERY_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def set_up(self) -> None:
        """Read the file; raises Refusal beside another expert."""
        path = declare(
            self, "path", "", "file of the targets (JSON: names, times_s, targets)", read_only=True
        )
        speed = declare(
            self, "speed", 0.25, "share of the speed limits while leading, and of the recorded speed",
            minimum=0.01, maximum=1.0, read_only=True,
        )  # fmt: skip
        self._go = declare(self, "go", False, "begin at once, without a person's key", read_only=True)
        if not self._go and self._terminal is None:
            raise ParameterError(f"{terminal.NO_TERMINAL}, or set parameter go")
        try:
            self._playback = Playback(self.contract, TargetSeries.load(Path(path)), speed)
        except PlaybackError as error:
            raise ParameterError(str(error)) from error
        others = OtherPublishers(self, "only one expert may propose; end it first")
        if other := others.before_publishing(["~/proposal"]):
            raise managed.Refusal(other)
        self._now_s = 0.0

    def start(self) -> None:
        """Log nothing: the terminal shows what happens."""

    def target(self, measured: Vector, tick_ns: int) -> Vector | None:
        """Return the playback's target once a person let it begin."""
        self._now_s = tick_ns / 1e9
        return self._playback.target(measured, self._now_s) if self._go else None

    def _look(self) -> None:
        for key in self._terminal.pressed() if self._terminal is not None else ():
            if key.lower() == "g":
                self._go = True
            elif key == " ":
                self._go = False
                self._link.say_stop()
                self.executor.create_task(self._press_stop)
            elif key == _END and not self.ended.done():
                self._go = False
                self.release()
                self._say("ended before the last target")
                self.ended.set_result(0)
        phase = self._playback.phase
        if self.ended.done():
            return
        if phase in (PlaybackPhase.DONE, PlaybackPhase.FAILED):
            self.release()
            self._say(self._summary())
            self.ended.set_result(0 if phase is PlaybackPhase.DONE else 1)
        else:
            self._show()

    async def _press_stop(self) -> None:
        try:
            await self._waiting.pause(CONFIRM_S)
            await self._waiting.call(self._stop_client, SetBool.Request(data=True), STOP_WITHIN_S)
            self._say("STOPPED; the supervisor holds until il-ros ends, or reset_estop is called")
        except WaitError as error:
            self._say(f"the emergency stop was not confirmed: {error}")

    def _show(self) -> None:
        status = self.status()
        trouble = "" if status.level == OK else f"! {status.message}  "
        words = self._playback.words(self._now_s) if self._go else "waiting for g"
        if self._terminal is not None:
            self._terminal.show(f"{trouble}{words}   {KEYS}"[: self._terminal.width - 1])
        elif words.partition(":")[0] != self._told:
            self._told = words.partition(":")[0]
            self._say(words)

    def _summary(self) -> str:
        if self._playback.phase is PlaybackPhase.FAILED:
            return self._playback.words(self._now_s)
        deviation = self._playback.deviation
        if not deviation.any():
            return "done"
        worst = int(np.argmax(deviation))
        return f"done; largest distance from the target: {deviation[worst]:.3g} ({self.contract.action_names[worst]})"

    def _say(self, line: str) -> None:
        if self._terminal is not None:
            self._terminal.say(line)
        else:
            say(line, flush=True)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node in this terminal."""
    with terminal.keys_or_none() as keys:
        return managed.main(functools.partial(PlaybackNode, keys), args)


if __name__ == "__main__":
    sys.exit(main())
