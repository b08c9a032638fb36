"""Clocks that are set: simulated time, and the system's clock of one node or of all (libfaketime)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from fault import FLOOD_S, KILL_S, Fault, Run
from world import NODES, World

from il_ros.core import messages
from kinds.messages import CLOCK, now_ns

NOTICED_S = 2.0
"""Until libfaketime reads a new setting, which it keeps for a second and a part, and the node reads its clock."""
SETTLED_S = 1.0
"""Until DDS has sent what it held back meanwhile: the wheels' Fast DDS waits on the clock that is set."""


def _simulated(offset_s: float, lasts_s: float) -> Run:
    """A second publisher of /clock."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher("/clock", CLOCK)
        began, base_ns = time.monotonic(), now_ns(world) + round(offset_s * 1e9)
        while True:
            stamp = messages.header(base_ns + round((time.monotonic() - began) * 1e9)).stamp
            publish(messages.encode(CLOCK, messages.make(CLOCK, clock=stamp)))
            if time.monotonic() - began >= lasts_s:
                break
            time.sleep(0.005)
        yield

    return run


def _set(offset_s: float, *names: str) -> Run:
    """The system's clock, as these nodes see it, is set, and later set right again."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        for name in names:
            world.set_clock(name, offset_s)
        time.sleep(NOTICED_S + FLOOD_S)
        yield
        for name in names:
            world.set_clock(name, 0.0)
        time.sleep(NOTICED_S + SETTLED_S)

    return run


def _of(name: str, offset_s: float) -> Fault:
    way = "back" if offset_s < 0 else "ahead"
    # the recorder ends the episode, and says why; what was recorded before is kept
    says = f"clock was set {'back' if offset_s < 0 else 'forward'} by" if name == "recorder" else ""
    what = f"{name}: system clock set {way} by {abs(offset_s):g} s"
    # what it has received and not yet handled belongs to no clock any more
    lost_s = KILL_S if name == "recorder" else 0.0
    return Fault(what, _set(offset_s, name), says=says, scene="clocks", lost_s=lost_s)


FAULTS = [
    Fault("/clock set back by 3 s", _simulated(-3.0, 2.0)),
    Fault("/clock an hour ahead, once", _simulated(3600.0, 0.0)),
    *(_of(name, offset_s) for name in NODES for offset_s in (-3.0, 60.0)),
    Fault(
        "all nodes: system clock set back by an hour", _set(-3600.0, *NODES), scene="clocks", lost_s=KILL_S
    ),
    Fault(
        "all nodes: system clock set ahead by an hour", _set(3600.0, *NODES), scene="clocks", lost_s=KILL_S
    ),
]
