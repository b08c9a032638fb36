"""A wire between two computers that loses, doubles, delays or cuts packets: before the policy, or before the robot."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from fault import FREEZE_S, SILENT_S, UNCOMMANDED_S, Fault, Run
from wire import Weather
from world import World


def _weather(weather: Weather) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        assert world.wire is not None
        world.wire.weather(weather)
        time.sleep(FREEZE_S)
        yield
        world.wire.weather(Weather())

    return run


def _behind(scene: str, far: str, cut_s: float) -> list[Fault]:
    kinds = {
        "a third of the packets lost": (Weather(loss=0.33), "may", 0.0),
        "half of the packets twice": (Weather(twice=0.5), "may", 0.0),
        "packets delayed by 0.1 to 0.3 s": (Weather(delay_s=0.1, jitter_s=0.2), "may", 0.0),
        "all three at once": (Weather(0.2, 0.3, 0.05, 0.1), "may", 0.0),
        f"cut for {FREEZE_S:g} s": (Weather(loss=1.0), "must", cut_s),
    }
    return [
        Fault(f"wire to the {far}: {what}", _weather(weather), stop, safe_s, scene=scene)
        for what, (weather, stop, safe_s) in kinds.items()
    ]


FAULTS = [
    *_behind("policy behind a wire", "policy", SILENT_S),
    *_behind("robot behind a wire", "robot", UNCOMMANDED_S),
]
