"""A Gymnasium environment over ROS topics: evaluation and learning on a simulator, Gazebo or a robot.

    from il_ros.nodes.env.ros_env import RosEnv           # pip install il_ros[gym]
    env = RosEnv("arm_push")                           # needs: il-ros run env --task push --speed 0
    observation, info = env.reset(seed=7)
    observation, reward, terminated, truncated, info = env.step(action)

An action is a proposal, like a policy server's: only the supervisor commands, through its safety limiter,
and it may give an expert authority. A step ends at the next tick and returns its observation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import NoObservation
from il_ros.core.tables import counted
from il_ros.envs.spaces import Seen, action_space, observation_space, owned
from il_ros.nodes.env.link import Link, RosEnvError
from il_ros.nodes.env.start import CallerReset, SimulatorReset
from il_ros.nodes.runtime.contracts import load_contract

__all__ = ["RosEnv", "RosEnvError"]


class RosEnv(gymnasium.Env[Seen, Vector]):
    """Observations and actions of a contract; actions are absolute values in its flat order.

    `contract`: a contract, its file, or the name of a shipped one. `lockstep`: the simulator waits for each
    decision (`speed:=0`), so seed and actions determine the episode bit by bit; otherwise time runs, and
    `info["skipped"]` counts the unanswered ticks. `simulated`: use simulated time from the topic `clock`, which
    is relative to `namespace`, as that of the node `sim`; a simulator of your own often publishes "/clock".
    `reset_scene(seed)`: resets a robot's scene; without it the `sim` node is reset. `success_topic`,
    `failed_topic` (std_msgs/Bool): "" if absent. Reward is 1 at success, else 0; success and failure terminate.
    The end of `time_limit_s` (of the node's clock) and a tick without an observation truncate: `info["reason"]`
    says why, and the last observation is returned. Waits end after `timeout_s` of wall time with RosEnvError.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own type

    def __init__(
        self,
        contract: Contract | str | Path,
        *,
        lockstep: bool = True,
        time_limit_s: float = 20.0,
        timeout_s: float = 30.0,
        reset_scene: Callable[[int], None] | None = None,
        simulated: bool = True,
        success_topic: str = "task/success",
        failed_topic: str = "task/failed",
        source: str = "policy",
        proposal_topic: str = "policy_server/proposal",
        namespace: str = "",
        clock: str = "clock",
        name: str = "ros_env",
    ) -> None:
        self.contract = contract if isinstance(contract, Contract) else load_contract(str(contract))
        self.observation_space = observation_space(self.contract)
        self.action_space = action_space(self.contract)
        self._lockstep, self._timeout_s = lockstep, timeout_s
        self._limit_ns = round(time_limit_s * 1e9)
        self._link = Link(self.contract, name, namespace, clock if simulated else "", lockstep, source)
        self._link.listen(success_topic, failed_topic, "dagger_supervisor/decision", proposal_topic)
        self._scene = (
            SimulatorReset(self._link, timeout_s)
            if reset_scene is None
            else CallerReset(self._link, timeout_s, reset_scene)
        )
        self._tick_ns = self._began_ns = 0
        self._observation: Seen | None = None
        self._over = True

    @property
    def most_steps(self) -> int:
        """The limit of an episode's steps."""
        return round(self._limit_ns / self.contract.period_ns)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin an episode: reset the scene to the seed, restart the supervisor. There are no `options`."""
        super().reset(seed=seed)
        if options:
            raise ValueError(f"options {sorted(options)}: RosEnv has none")
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        self._link.ready(self._timeout_s)
        self._scene.begin(drawn)
        seen = self._link.seen
        if seen is None or isinstance(seen, NoObservation):
            reasons = ("no tick",) if seen is None else seen.reasons
            raise RosEnvError("no observation after the reset: " + "; ".join(reasons))
        self._tick_ns = self._began_ns = seen.tick_ns
        self._over = False
        self._observation = owned(seen.values)
        return self._observation, {"seed": drawn}

    def step(self, action: Vector) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Propose an action (A,) for the last tick; return the observation of the next one.

        `info`: `authority` of the decision ("none": no source), the `sent` action and what was `limited`,
        `skipped` ticks, `time_s` since the reset. Raises ValueError on a wrong shape or non-finite values,
        RosEnvError when another program proposes on the same topic.
        """
        if self._over or self._observation is None:
            raise RosEnvError("the episode is over; call reset()")
        values = np.asarray(action, dtype=np.float64)
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            raise ValueError(f"an action is {self.action_space.shape} finite numbers, not {action}")
        link, answered_ns = self._link, self._tick_ns
        link.check_sole_proposer()
        if self._lockstep:  # each frame publishes the status again
            link.reset_task_status()
        ticks = link.ticks
        link.propose(values, answered_ns)
        link.next_tick(ticks, self._timeout_s, answered_ns)
        if not self._lockstep:
            link.drain()  # after a slow step observe the present, not queued messages
        seen = link.seen
        assert seen is not None
        self._tick_ns = seen.tick_ns
        elapsed_ns = self._tick_ns - self._began_ns
        skipped = round((self._tick_ns - answered_ns) / self.contract.period_ns) - 1
        if skipped and self._lockstep:
            self._end()
            raise RosEnvError(
                f"lockstep: the simulator skipped {counted(skipped, 'tick')}; its wait for a proposal timed out"
            )
        info: dict[str, Any] = {
            "time_s": elapsed_ns / 1e9,
            "skipped": skipped,
            "observed": True,
            **self._decided(),
        }
        terminated = bool(link.success or link.failed)
        truncated = False
        if isinstance(seen, NoObservation):
            truncated, info["observed"] = True, False
            info["reason"] = "no observation: " + "; ".join(seen.reasons)
        else:
            self._observation = owned(seen.values)
            if elapsed_ns >= self._limit_ns:
                truncated, info["reason"] = not terminated, f"not within {self._limit_ns / 1e9:g} s"
        info["success"] = bool(link.success)
        if terminated or truncated:
            self._end()
        return self._observation, float(bool(link.success)), terminated, truncated, info

    def close(self) -> None:
        """Release authority and destroy the node."""
        self._link.close()

    def _decided(self) -> dict[str, Any]:
        decision = self._link.decision
        assert decision is not None
        sent = None if decision.sent is None else np.array(decision.sent)
        return {"authority": decision.authority, "sent": sent, "limited": tuple(decision.limited)}

    def _end(self) -> None:
        """End the episode until the next reset."""
        self._over = True
        self._scene.end()
