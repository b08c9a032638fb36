"""The nodes that play targets on a robot: playback, its supervisor, and in simulation the simulator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from il_ros.scenarios.given import Given, contract
from il_ros.scenarios.graph import Spec, Value
from il_ros.scenarios.node import node
from il_ros.scenarios.parts import action_clients, sim, supervisor


def playback_nodes(given: Given, path: Path, speed: float, *, go: bool, attach: bool) -> tuple[Spec, ...]:
    """Return the nodes that play the targets in the file `path`; `attach`: beside a supervisor that runs already.

    `given`: the arguments of a world (task, contract, sim, ...). Raises ValueError as scenarios do.
    """
    parameters: dict[str, Value] = {
        "contract": contract(given), "path": str(path), "speed": speed, "go": go,
    }  # fmt: skip
    player = replace(node(given, "playback", "expert", parameters), terminal=not go)
    return (player,) if attach else (*sim(given), *supervisor(given), *action_clients(given), player)
