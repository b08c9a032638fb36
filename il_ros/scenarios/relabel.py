"""The nodes with which a person labels recorded moments by demonstrating from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import Spec, Value
from il_ros.scenarios.node import node
from il_ros.scenarios.session_node import view_of
from il_ros.session.setup import REST_MODE


def relabel_nodes(
    moments: Path, task: str, contract: Path, root: Path, device: str, operator: str, speed: float
) -> tuple[Spec, ...]:
    """Return the nodes of scenario `record`, and a session that restores the `moments` of a file.

    Uses the embedded simulator, because Gazebo can't be set to a state.
    """
    by_keys = device == "keyboard"
    given = {
        "expert": "none" if by_keys else device,
        "root": str(root),
        "operator": operator,
        "task": task,
        "contract": str(contract),
        "speed": str(speed),
    }
    here = {"sim": "true", "namespace": ""}
    driver: dict[str, Value] = {"contract": str(contract), "keys_topic": "session/keys"}
    session: dict[str, Value] = {
        "moments": str(moments),
        "mode": REST_MODE,
        "teacher": False,
        "view": view_of(task),
        "contract": str(contract),
        "driving_keys": by_keys,
    }
    return (
        *SCENARIOS["record"].nodes(given),
        *((node(here, "teleop_keyboard", "expert", driver),) if by_keys else ()),
        replace(node(here, "session", "session", session), terminal=True),
    )
