"""Executable `scripted_expert`, node `expert`: the scripted expert of a simulated task proposes.

`~/engage` (SetBool) starts and stops its proposals; its action at every tick is published on `~/advice`.
Under a contract with several action groups, `~/GROUP/engage` starts and stops them for one group.
When it cannot complete the task any more, it releases authority, and its advice has no steps.
With `demonstrations` it takes over automatically, following the model of a person who supervises the policy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from il_ros.core.synchroniser import Observation
from il_ros.episodes.arrays.dataset import Dataset, DatasetError
from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman, typical_motion, velocities
from il_ros.interactive.dagger.intervener import SimulatedIntervener
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.diagnostics import WARN, Status
from il_ros.nodes.runtime.parameters import declare
from il_ros.nodes.runtime.proposer import Proposer, declare_tick
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.records import proposal
from il_ros.records.proposal import Answer
from il_ros.sim.experts import make_expert

GIVEN_UP = "has given up: the task cannot be completed from this state"


class ScriptedExpert(managed.PlainNode):
    """Proposes the action of the expert of parameter `task` at each tick of `contract`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("expert", **kwargs)
        declare_tick(self)
        self._contract = load_contract(declare_contract(self))
        task = declare(self, "task", "", "task whose expert acts", read_only=True)
        when = "propose from the start, without waiting for ~/engage"
        engaged = declare(self, "engaged", True, when, read_only=True)
        names = tuple(group.name for group in self._contract.groups)
        self._engaged = dict.fromkeys(names, engaged)
        named = "name of this source in its proposals"
        self._source: str = declare(self, "source", "expert", named, read_only=True)
        shown = declare(
            self, "demonstrations", "", "folder of episodes: propose only while the policy errs, by the "
            "model of a person who moves as in these episodes; empty: whenever engaged", read_only=True,
        )  # fmt: skip
        seed = declare(self, "seed", 0, "seed of that person's random errors", minimum=0, read_only=True)
        try:
            self._expert = make_expert(task)
        except (KeyError, ValueError) as error:
            raise managed.Refusal(f"parameter task: {error}") from error
        self._advice = self.create_publisher(JointTrajectory, "~/advice", QoSProfile(depth=5))
        self.create_service(SetBool, "~/engage", partial(self._on_engage, names))
        for name in names if self._contract.grouped else ():
            self.create_service(SetBool, f"~/{name}/engage", partial(self._on_engage, (name,)))
        self._given_up = False
        self._intervener = self._make_intervener(Path(shown), seed) if shown else None
        self._proposer = Proposer(self, self._contract, self._source, self._answer)

    def status(self) -> Status:
        """Return the proposer's status, or a warning when the expert has given up."""
        found = self._proposer.status()
        return Status(WARN, GIVEN_UP, found.values) if self._given_up else found

    def stop(self) -> None:
        """Release authority and stop proposing."""
        self._proposer.close()

    def _answer(self, observation: Observation) -> Answer | None:
        chunk = self._expert.act(observation.values)
        self._advise(observation.tick_ns, chunk)
        if chunk is None:
            return None
        if self._intervener is None:
            engaged = tuple(name for name, wanted in self._engaged.items() if wanted)
            some = engaged if len(engaged) < len(self._engaged) else ()
            return Answer(chunk, groups=some) if engaged else None
        self._intervener.advice(observation.tick_ns, chunk[0])
        return Answer(chunk + self._intervener.tremor) if self._intervener.drives else None

    def _advise(self, tick_ns: int, chunk: np.ndarray[Any, Any] | None) -> None:
        """Publish the action for a tick, or an advice without steps when the expert has given up."""
        source, names = self._source, self._contract.action_names
        if chunk is None:
            advice = proposal.releasing(source, tick_ns, len(names))
            if not self._given_up:
                self.get_logger().warning(f"at {tick_ns / 1e9:.3f} s: {GIVEN_UP}")
        else:
            advice = proposal.Proposal(source, tick_ns, chunk)
        self._given_up = chunk is None
        self._advice.publish(proposal.encode(advice, names, self._contract.period_ns))

    def _make_intervener(self, shown: Path, seed: int) -> SimulatedIntervener:
        """Return the simulated intervener; subscribe to its inputs: policy and episode starts."""
        try:
            episodes = Dataset.open(shown, self._contract, validation=0.0).train
        except (DatasetError, OSError) as error:
            raise managed.Refusal(f"parameter demonstrations: {error}") from error
        motion = typical_motion(episodes, self._contract)
        rng = np.random.default_rng(seed)
        intervener = SimulatedIntervener(
            SimulatedHuman(HumanModel(), motion, rng, velocities(self._contract))
        )
        policy = QoSProfile(depth=10)
        self.create_subscription(JointTrajectory, "policy_server/proposal", self._on_policy, policy, raw=True)
        self.create_subscription(String, "task/episode", self._on_episode, LATCHED)
        return intervener

    def _on_policy(self, raw: bytes) -> None:
        assert self._intervener is not None
        proposed = proposal.decode(
            raw, self._contract.action_names, self._contract.period_ns, self._contract.groups
        )
        if not proposed.releases:
            self._intervener.policy(proposed.stamp_ns, proposed.chunk[0])
            self._release_unless_driving()

    def _on_episode(self, _message: String) -> None:
        assert self._intervener is not None
        self._intervener.begin()
        self._release_unless_driving()

    def _release_unless_driving(self) -> None:
        assert self._intervener is not None
        if not self._intervener.drives:
            self._proposer.release()

    def _on_engage(
        self, groups: Sequence[str], request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        self._engaged |= dict.fromkeys(groups, request.data)
        if request.data:
            self._proposer.at_once()
        else:
            self._proposer.release(groups)
        response.success, response.message = True, "proposing" if request.data else "watching"
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(ScriptedExpert, args)


if __name__ == "__main__":
    sys.exit(main())
