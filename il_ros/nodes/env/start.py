"""How an episode of `ros_env` begins and ends: in the `sim` node, or on a scene brought back by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

from rcl_interfaces.srv import SetParameters
from std_srvs.srv import SetBool, Trigger

from il_ros.nodes.env.link import Link, RosEnvError
from il_ros.nodes.runtime.waiting import parameters

DISCOVERY_S = 10.0  # a stream that was not seen after so long is silent
SHOWN_WITHIN_S = 1.0  # of a reset; who saw nothing within it has missed the start

RESTART = "dagger_supervisor/restart"


class InSimulator:
    """The simulator stands still between episodes; its next start is the one of a seed."""

    def __init__(self, link: Link, timeout_s: float) -> None:
        self._link, self._timeout_s = link, timeout_s
        client = link.node.create_client
        # in this order: who answers `pause`, which is asked again, knows of the others
        self._reset = client(Trigger, "sim/reset")
        self._set = client(SetParameters, "sim/set_parameters")
        self._pause = client(SetBool, "sim/pause")
        self._restart = client(Trigger, RESTART)

    def begin(self, seed: int) -> None:
        """Have the start shown until all of it was seen, or after a while a part, and let time go on.

        Raises RosEnvError when the start was not seen in time.
        """
        begun_s = time.monotonic()
        discovered_s = begun_s + min(self._timeout_s, DISCOVERY_S)
        link = self._link
        while not (self._shown(seed) and (link.seen_all or time.monotonic() > discovered_s)):
            if time.monotonic() > begun_s + self._timeout_s:
                raise RosEnvError(f"the start of seed {seed}: not seen within {self._timeout_s:g} s")
            link.until(lambda: link.in_line, self._timeout_s, "the simulator's streams")
        self._hold(False)

    def end(self) -> None:
        """Let nothing be waited for until the next start."""
        self._hold(True)

    def _shown(self, seed: int) -> bool:
        """Have the start shown, once; return whether its frame was seen, and the next one will be.

        A subscription that is about to be replaced would lose the next frame; then another start is due.
        """
        link = self._link
        self._hold(True)
        link.call(self._set, parameters(seed=seed), self._timeout_s)
        # before the reset: its first frame must be answered from the robot's new state
        link.call(self._restart, Trigger.Request(), self._timeout_s, again=True)
        link.drain()
        link.forget_words()
        ticks, in_line = link.ticks, link.in_line
        link.call(self._reset, Trigger.Request(), self._timeout_s)  # once: a second is the next seed's
        try:
            link.next_tick(ticks, SHOWN_WITHIN_S)
        except RosEnvError:
            return False
        return in_line and link.in_line

    def _hold(self, still: bool) -> None:
        self._link.call(self._pause, SetBool.Request(data=still), self._timeout_s)


class ByHand:
    """`bring_back(seed)` makes the scene ready, as on a robot, and time goes on meanwhile."""

    def __init__(self, link: Link, timeout_s: float, bring_back: Callable[[int], None]) -> None:
        self._link, self._timeout_s, self._bring_back = link, timeout_s, bring_back
        self._restart = link.node.create_client(Trigger, RESTART)

    def begin(self, seed: int) -> None:
        """Bring the scene back, and wait for a tick that shows all, for a while, or else shows a part.

        Raises RosEnvError when no tick came.
        """
        link = self._link
        self._bring_back(seed)
        link.call(self._restart, Trigger.Request(), self._timeout_s, again=True)
        link.drain()
        discovered_s = time.monotonic() + min(self._timeout_s, DISCOVERY_S)
        link.next_tick(link.ticks, self._timeout_s)
        while not link.seen_all and time.monotonic() < discovered_s:
            link.next_tick(link.ticks, self._timeout_s)

    def end(self) -> None:
        """Propose nothing more."""
        self._link.release()
