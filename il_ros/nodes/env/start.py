"""Begin and end an episode of `ros_env`: by the `sim` node, or by a caller-supplied scene reset."""

from __future__ import annotations

import time
from collections.abc import Callable

from rcl_interfaces.srv import SetParameters
from std_srvs.srv import SetBool, Trigger

from il_ros.nodes.env.link import Link, RosEnvError
from il_ros.nodes.runtime.waiting import parameters

DISCOVERY_S = 10.0  # a stream without a message after this time is silent
SHOWN_WITHIN_S = 1.0  # a first frame not received within this time after a reset was lost

RESTART = "dagger_supervisor/restart"


class SimulatorReset:
    """Reset by the simulator, which is paused between episodes; the seed sets the start."""

    def __init__(self, link: Link, timeout_s: float) -> None:
        self._link, self._timeout_s = link, timeout_s
        client = link.node.create_client
        # in this order (`retry`): a node that answers `pause`, a repeated request, has discovered the others
        self._reset = client(Trigger, "sim/reset")
        self._set = client(SetParameters, "sim/set_parameters")
        self._pause = client(SetBool, "sim/pause")
        self._restart = client(Trigger, RESTART)

    def begin(self, seed: int) -> None:
        """Reset until the first frame is observed completely, or after a while partly; then resume time.

        Raises RosEnvError when no first frame arrives in time.
        """
        begun_s = time.monotonic()
        discovered_s = begun_s + min(self._timeout_s, DISCOVERY_S)
        link = self._link
        while not (self._reset_once(seed) and (link.seen_all or time.monotonic() > discovered_s)):
            if time.monotonic() > begun_s + self._timeout_s:
                raise RosEnvError(f"no first frame of seed {seed} within {self._timeout_s:g} s")
            link.until(lambda: link.up_to_date, self._timeout_s, "the simulator's streams")
        self._hold(False)

    def end(self) -> None:
        """Pause the simulator until the next episode."""
        self._hold(True)

    def _reset_once(self, seed: int) -> bool:
        """Reset once; return whether the first frame arrived and the next one will arrive too.

        A subscription that is about to be replaced would lose the next frame; then reset again.
        """
        link = self._link
        self._hold(True)
        link.call(self._set, parameters(seed=seed), self._timeout_s)
        # before the reset: the first frame must be answered from the robot's new state
        link.call(self._restart, Trigger.Request(), self._timeout_s, again=True)
        link.drain()
        link.reset_task_status()
        ticks, up_to_date = link.ticks, link.up_to_date
        link.call(
            self._reset, Trigger.Request(), self._timeout_s
        )  # only once: a second reset would use the next seed
        try:
            link.next_tick(ticks, SHOWN_WITHIN_S)
        except RosEnvError:
            return False
        return up_to_date and link.up_to_date

    def _hold(self, paused: bool) -> None:
        self._link.call(self._pause, SetBool.Request(data=paused), self._timeout_s)


class CallerReset:
    """Reset by `bring_back(seed)`, as on a robot, where time continues meanwhile."""

    def __init__(self, link: Link, timeout_s: float, bring_back: Callable[[int], None]) -> None:
        self._link, self._timeout_s, self._bring_back = link, timeout_s, bring_back
        self._restart = link.node.create_client(Trigger, RESTART)

    def begin(self, seed: int) -> None:
        """Reset the scene; wait for a tick with a complete observation, after a while for any tick.

        Raises RosEnvError without a tick.
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
        """Release authority."""
        self._link.release()
