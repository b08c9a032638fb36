"""gz-sim and its bridge as parts of a scenario; needs an installed ros_gz."""

from __future__ import annotations

import os

from il_ros.core import share
from il_ros.scenarios.graph import NodeSpec, Program
from il_ros.sim.gz.services import BRIDGE


def server_and_bridge(task: str, namespace: str) -> tuple[Program, NodeSpec]:
    """Return the headless, running server of the task's world, and the bridge of its topics."""
    models = str(share.path("models"))
    search = ":".join(filter(None, (models, os.environ.get("GZ_SIM_RESOURCE_PATH"))))
    words = ("env", f"GZ_SIM_RESOURCE_PATH={search}", "gz", "sim", "-r", "-s", "--headless-rendering")
    server = Program("gz", (*words, str(share.path("worlds", f"{task}.sdf"))))
    bridge = NodeSpec(
        "parameter_bridge",
        "gz_bridge",
        {"config_file": str(bridge_file(task)), "use_sim_time": True},
        remappings=(("/clock", "clock"),),
        namespace=namespace,
        package=BRIDGE,
    )
    return server, bridge


def bridge_file(task: str) -> os.PathLike[str]:
    """Return the bridge's configuration file for a task."""
    return share.path("config", "gz", "drive.yaml" if task == "drive" else "arm.yaml")
