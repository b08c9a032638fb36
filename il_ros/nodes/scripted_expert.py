"""Executable `scripted_expert`: a simulated task's scripted expert proposes, as node `expert`.

`~/engage` (SetBool) lets it take over and hand back as a person does; what it would do is on `~/advice`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from il_ros.control import proposal
from il_ros.nodes import runtime
from il_ros.nodes.contracts import declare_contract, load_contract
from il_ros.nodes.diagnostics import Status
from il_ros.nodes.parameters import declare
from il_ros.nodes.proposer import Identity, Proposer, declare_tick
from il_ros.sim.experts import make_expert
from il_ros.synchroniser import Observation


class ScriptedExpert(runtime.PlainNode):
    """Proposes what the expert of parameter `task` would do at each tick of `contract`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("expert", **kwargs)
        declare_tick(self)
        self._contract = load_contract(declare_contract(self))
        task = declare(
            self, "task", "", "task whose expert acts: reach, push, pick_place or drive", read_only=True
        )
        self._engaged = declare(self, "engaged", True, "propose from the start, without waiting for ~/engage")
        self._identity = Identity(declare(self, "source", "expert", "name of this source in its proposals"))
        try:
            self._expert = make_expert(task)
        except (KeyError, ValueError) as error:
            raise runtime.Refusal(f"parameter task: {error}") from error
        self._advice = self.create_publisher(JointTrajectory, "~/advice", QoSProfile(depth=5))
        self.create_service(SetBool, "~/engage", self._on_engage)
        self._proposer = Proposer(self, self._contract, self._answer, lambda: self._identity)

    def status(self) -> Status:
        """Return the proposer's."""
        return self._proposer.status()

    def stop(self) -> None:
        """Let go and cease to propose."""
        self._proposer.close()

    def _answer(self, observation: Observation) -> np.ndarray[Any, Any] | None:
        chunk = self._expert.act(observation.values)
        advice = proposal.Proposal(self._identity.source, observation.tick_ns, chunk)
        names, period_ns = self._contract.action_names, self._contract.period_ns
        self._advice.publish(proposal.encode(advice, names, period_ns))
        return chunk if self._engaged else None

    def _on_engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._engaged = request.data
        if self._engaged:
            self._proposer.at_once()
        else:
            self._proposer.let_go()
        response.success, response.message = True, "proposing" if self._engaged else "watching"
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return runtime.main(ScriptedExpert, args)


if __name__ == "__main__":
    sys.exit(main())
