"""A wrapper that records an environment's episodes as ordinary bags, which `il-ros train` takes like any other.

with RecordEpisodes(gymnasium.make("Pendulum-v1"), "episodes") as env:
observation, info = env.reset(seed=0)
...                                     # your loop, unchanged: its actions are the demonstration
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from il_ros.control.limiter.in_process import InProcessLimiter, LimitedCommand
from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import NoObservation, Synchroniser
from il_ros.envs.episode_log import EpisodeLog, outcome_of
from il_ros.envs.from_env import contract_of, name_of
from il_ros.envs.gym_task import FLOAT, REWARD, judged
from il_ros.envs.leaves import observed_leaves, to_action, to_numbers
from il_ros.envs.task_env import TaskEnv
from il_ros.episodes.recording.options import Label
from il_ros.records.decision import NOBODY, Decision
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.outcomes import OUTCOMES, UNMARKED
from il_ros.sim.lockstep import NoObservationError, command_messages
from il_ros.sim.tasks.task import RESET_PAUSE_NS


class RecordEpisodes(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Records each episode from its first step to its end, a reset or `close`, under `root`.

    `contract`: with the environment's topics; None: made from its spaces (of a `TaskEnv`: its own). `source`: who
    acts: "expert" (its actions are labels) or "policy" (they are not). `success_return`: see `GymTask`; `mark`
    sets another outcome. `task`: the recorded task; "": the environment's name. `info["episode"]` of an episode's
    last step is its folder. An action beyond the contract's limits is limited before it is sent and recorded.
    Raises SpaceError when a space does not fit, ValueError on an unknown source.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        root: str | Path,
        *,
        contract: Contract | None = None,
        source: str = EXPERT,
        success_return: float | None = None,
        task: str = "",
        operator: str = "",
        instruction: str = "",
    ) -> None:
        super().__init__(env)
        if source not in (EXPERT, POLICY):
            raise ValueError(f"source is '{source}'; it must be '{EXPERT}' or '{POLICY}'")
        inner = env.unwrapped
        self._inner = inner if isinstance(inner, TaskEnv) else None
        self.contract = self._inner.contract if self._inner is not None else contract or contract_of(env)
        self._source = source
        self._label = Label(
            task or (self._inner.task.name if self._inner is not None else name_of(env)),
            operator,
            instruction,
        )
        threshold = env.spec.reward_threshold if env.spec is not None else None
        self._success_return = threshold if success_return is None else success_return
        self._total_reward, self._marked, self._running = 0.0, "", False
        if self._inner is not None:
            self._log = EpisodeLog(self.contract, root)
            self._inner.tap, self._inner.on_command = self._log, self._decide
        else:
            self._log = EpisodeLog(self.contract, root, {REWARD: FLOAT})
            self._leaves = observed_leaves(env.observation_space)
            self._limiter = InProcessLimiter(self.contract)
            self._synchroniser = Synchroniser(self.contract.observations)
            self._time_ns = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset; an episode that is being recorded ends unmarked."""
        self._running = False
        self._log.end(self._marked or UNMARKED, "reset before its end")
        self._log.begin(replace(self._label, seed=seed))
        observation, info = self.env.reset(seed=seed, options=options)
        self._total_reward, self._marked = 0.0, ""
        if self._inner is None:
            self._time_ns += RESET_PAUSE_NS
            self._limiter.begin()
            self._observe(observation)
        self._running = True
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a step and record it; raises ValueError when the action does not fit the contract.

        Raises gymnasium's ResetNeeded before a reset and after an episode's end.
        """
        if not self._running:
            raise gymnasium.error.ResetNeeded(
                f"{self._label.task}: no episode is running; call reset before step"
            )
        if self._inner is None:
            action = self._command(action)
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._total_reward += float(reward)
        if self._inner is None:
            self._time_ns += self.contract.period_ns
            raw = messages.encode(FLOAT, messages.make(FLOAT, data=float(reward)))
            self._log.message(REWARD, FLOAT, raw, self._time_ns)
            self._observe(observation)
        if terminated or truncated:
            outcome = self._marked or outcome_of(self._judged(info))
            words = "terminated" if terminated else "truncated"
            self._running = False
            info = {**info, "episode": self._log.end(outcome, words)}
        return observation, float(reward), terminated, truncated, info

    def mark(self, outcome: str) -> None:
        """Set the outcome of the running episode: success, failure or unmarked; raises ValueError on another word."""
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome is '{outcome}'; it must be one of: {', '.join(OUTCOMES)}")
        self._marked = outcome

    def close(self) -> None:
        """Save an episode that is being recorded, and close the environment."""
        self._log.end(self._marked or UNMARKED, "the environment was closed")
        super().close()

    def _judged(self, info: dict[str, Any]) -> bool | None:
        if self._inner is not None and self._inner.task.success:
            return True
        return judged(info, self._total_reward, self._success_return)

    def _observe(self, observation: Any) -> None:
        now_ns = self._time_ns
        for leaf in self._leaves:
            raw = messages.encode(leaf.type, leaf.message(observation, now_ns))
            self._log.message(leaf.topic, leaf.type, raw, now_ns)
            if leaf.topic in self._synchroniser.topics:
                self._synchroniser.push(leaf.topic, raw, now_ns)
        seen = self._synchroniser.sample(now_ns)
        if isinstance(seen, NoObservation):
            raise NoObservationError(f"{self._label.task}: " + "; ".join(seen.reasons))
        self._seen = seen.values

    def _command(self, action: Any) -> Any:
        """Limit an action of the environment, record decision and commands, and return what is sent."""
        numbers = to_numbers(self.action_space, action)
        target = np.concatenate([numbers[key] for key in self.contract.action_slices])
        command = self._limiter.limit(target, self._seen)
        if command.sent is None:
            raise ValueError(command.missing)
        self._decide(target, command)
        sent = np.array(command.sent)
        for topic, message in command_messages(self.contract, sent, self._time_ns).items():
            type_name = self.contract.topics[topic]
            self._log.message(topic, type_name, messages.encode(type_name, message), self._time_ns)
        parts = {key: sent[part] for key, part in self.contract.action_slices.items()}
        return to_action(self.action_space, parts)

    def _decide(self, target: Vector, command: LimitedCommand) -> None:
        """Record the decision of a step: the source's target, and what is sent after the limiter."""
        self._log.decision(
            Decision(
                0,
                0,
                NOBODY if command.missing else self._source,
                command.missing or "in process",
                {self._source: tuple(target.tolist())},
                command.sent,
                command.limited,
                mode=self._source,
            )
        )
