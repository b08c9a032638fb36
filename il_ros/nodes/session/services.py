"""The service clients of the session's user commands, all created at the start."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from il_ros.nodes.runtime.waiting import Waiting, parameters
from il_ros.session.user_commands import Call

RECORDER = ("start", "stop", "discard", "mark_success", "mark_failure")
SERVICES: dict[Any, tuple[str, ...]] = {
    Trigger: (
        *(f"recorder/{name}" for name in RECORDER),
        *("sim/reset", "trainer/train", "dagger_supervisor/restart", "dagger_supervisor/reset_estop"),
    ),
    SetBool: ("sim/pause", "expert/engage", "dagger_supervisor/drive", "dagger_supervisor/estop"),
    SetParameters: ("sim/set_parameters", "recorder/set_parameters", "dagger_supervisor/set_parameters"),
}
"""In this order, see `il_ros.nodes.runtime.retry`: the response to an undiscovered client is lost."""


class Services:
    """Calls the service that a `Call` names; raises WaitError when it is absent, silent or refuses."""

    def __init__(self, node: Node) -> None:
        self._waiting = Waiting(node)
        self._clients = {
            name: node.create_client(kind, name) for kind, names in SERVICES.items() for name in names
        }

    async def pause(self, seconds: float) -> None:
        """Return after some time."""
        await self._waiting.pause(seconds)

    async def call(self, call: Call, timeout_s: float) -> None:
        """Return after the service accepted. Raises KeyError for a service that is not in `SERVICES`."""
        if isinstance(call.value, dict):
            request: Any = parameters(**call.value)
        elif isinstance(call.value, bool):
            request = SetBool.Request(data=call.value)
        else:
            request = Trigger.Request()
        await self._waiting.call(self._clients[call.name], request, timeout_s)
