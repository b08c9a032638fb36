"""Executable `judge`: a success model and a progress model rate the running episode at the contract's ticks.

`~/rating` (String, JSON, see `il_ros.records.rating`) says at each tick how likely the success is there, and how long
there has been no progress. With the recorder's parameter `judge_topic`, a success that is likely enough (`end_at`)
ends the episode and marks it; with the supervisor's `gated.sources`, an episode without progress requests the expert.

Lifecycle: configure loads the models and checks the contract; activate subscribes. An episode begins when the
recorder's status names it. A tick without an observation has no rating.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from std_msgs.msg import String

from il_ros.control.supervisor.frozen import FrozenCameras
from il_ros.control.supervisor.latency import Latency
from il_ros.core.contract import Contract
from il_ros.core.synchroniser import NoObservation, Synchroniser
from il_ros.core.tables import shown
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN, Status
from il_ros.nodes.runtime.parameters import ACTIVATE, CONFIGURE, declare, value
from il_ros.nodes.runtime.proposer import WARN_EVERY_S, declare_tick, frozen_limit_s
from il_ros.nodes.runtime.publishers import SoleUse, publisher_names
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.streams import TickedStreams
from il_ros.policies.checkpoint import CheckpointError
from il_ros.records import statuses
from il_ros.records.rating import Rating, to_json
from il_ros.rewards import checkpoint
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.judging import EpisodeJudge


class JudgeNode(managed.ManagedNode):
    """Rates the running episode; see the module."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("judge", **kwargs)
        declare_contract(self)
        for name, what in (("success", "success"), ("progress", "progress")):
            declare(
                self,
                name,
                "",
                f"folder of the {what} model (il-ros reward train); empty: none",
                read_at=CONFIGURE,
            )
        declare(
            self, "end_at", 0.5, "probability of success, kept for the model's hold_s, from which an episode ends by "
            "itself; the model's threshold where that is higher; below it a person decides. 0: never",
            minimum=0.0, maximum=0.999, read_at=CONFIGURE,
        )  # fmt: skip
        declare(
            self, "recorder_status", statuses.RECORDER, "topic of the recorder's status, which names the episode",
            read_at=ACTIVATE,
        )  # fmt: skip
        declare_tick(self)
        self._judge: EpisodeJudge | None = None
        self._streams: TickedStreams | None = None
        self._others: list[Any] = []
        self._rating: Rating | None = None
        self._status = Status(WARN, "no tick yet")

    def configure(self) -> None:
        """Read the contract and load the models; raises Refusal when they do not fit."""
        self._contract: Contract = load_contract(value(self, "contract"))
        try:
            models = [self._loaded(name) for name in ("success", "progress")]
            self._judge = EpisodeJudge(self._contract, models[0], models[1], value(self, "end_at"))
        except (ValueError, CheckpointError) as error:
            raise managed.Refusal(str(error)) from error

    def _loaded(self, name: str) -> LoadedReward | None:
        folder = value(self, name)
        return checkpoint.load(Path(folder).expanduser(), self._contract) if folder else None

    def activate(self) -> None:
        """Subscribe and rate from the next tick on."""
        assert self._judge is not None
        contract, needs = self._contract, self._judge.needs
        self._synchroniser = Synchroniser(needs, partial(publisher_names, self))
        self._frozen = FrozenCameras(needs, frozen_limit_s(self))
        self._latency = Latency(("rating",))
        self._publisher = self.create_publisher(String, "~/rating", 10)
        self._sole = SoleUse(
            self, ["~/rating"], "two judges of one name contradict each other, stop one of them"
        )
        triggered = value(self, "tick") == "contract"
        self._streams = TickedStreams(self, contract, self._synchroniser, triggered, self._tick)
        recorder = self.create_subscription(
            String, value(self, "recorder_status"), self._on_recorder, LATCHED
        )
        self._others = [partial(self.destroy_subscription, recorder)]
        self._others.append(partial(self.destroy_publisher, self._publisher))

    def deactivate(self) -> None:
        """Unsubscribe."""
        if self._streams is not None:
            self._streams.close()
        for close in self._others:
            close()
        self._streams, self._others = None, []

    def cleanup(self) -> None:
        """Deactivate and drop the models."""
        self.deactivate()
        self._judge = None

    def status(self) -> Status:
        """Return what the models say of the newest tick."""
        if self._streams is None:
            return Status(WARN, f"{self.state}: not rating")
        values: dict[str, Any] = dict(self._latency.summary())
        if self._rating is not None:
            values |= {name: each for name, each in vars(self._rating).items() if each not in ("", None)}
        return self._sole.status(Status(self._status.level, self._status.message, values))

    def _on_recorder(self, message: String) -> None:
        episode = statuses.read(statuses.RECORDER, message.data).get("episode") or ""
        if self._judge is not None and episode != self._judge.episode:
            self._judge.begin(episode)

    def _tick(self, tick_ns: int) -> None:
        """Rate a tick and publish the rating, or keep why there is none."""
        assert self._judge is not None
        observation = self._synchroniser.sample(tick_ns)
        if isinstance(observation, NoObservation):
            self._without(WARN, f"no observation: {'; '.join(observation.reasons)}")
            return
        if frozen := self._frozen.reasons(observation):
            self._without(ERROR, f"not rated: {'; '.join(frozen.values())}")
            return
        began_s = time.perf_counter()
        self._rating = self._judge.see(tick_ns, observation.values)
        self._publisher.publish(String(data=to_json(self._rating)))
        self._latency.add((time.perf_counter() - began_s,))
        self._status = Status(OK, "rating")

    def _without(self, level: bytes, why: str) -> None:
        self._status, self._rating = Status(level, why), None
        self.get_logger().warning(shown(why), throttle_duration_sec=WARN_EVERY_S)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(JudgeNode, args)


if __name__ == "__main__":
    sys.exit(main())
