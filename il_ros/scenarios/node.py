"""Builds one node of a scenario, with its parameters and parameter files. See `il_ros.scenarios`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from il_ros.core import share
from il_ros.scenarios.given import Given
from il_ros.scenarios.graph import NodeSpec, Value


def node(
    given: Given, executable: str, name: str, parameters: Mapping[str, Value], sim_time: bool | None = None
) -> NodeSpec:
    """Return a node with its packaged parameter file, if any, followed by the user's.

    Raises ValueError when the user's file does not exist.
    """
    files = []
    shipped = share.path("config") / "nodes" / f"{executable}.yaml"
    if shipped.is_file():
        files.append(str(shipped))
    if given["parameters"]:
        if not Path(given["parameters"]).is_file():
            raise ValueError(f"parameters:={given['parameters']}: there is no such file")
        files.append(given["parameters"])
    if sim_time is None:
        sim_time = "true" in (given.get("sim"), given.get("use_sim_time"))
    return NodeSpec(
        executable, name, {**parameters, "use_sim_time": sim_time}, tuple(files), namespace=given["namespace"]
    )
