"""Any Gymnasium environment as a task: its observations are messages, its actions are commands.

Evaluation, DAgger and recording then run on it as on the simulated tasks, under a contract made from its spaces
(`from_env`) or written for its topics.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.plugins import OTHERS_CODE, cause_of
from il_ros.core.specs import ARRAY, Vector
from il_ros.core.tables import counted
from il_ros.envs.from_env import name_of, rate_of
from il_ros.envs.leaves import commanded_leaves, observed_leaves, to_action
from il_ros.envs.tasks import TaskError
from il_ros.sim.tasks.reading import Reading
from il_ros.sim.tasks.task import RESET_PAUSE_NS

REWARD, FLOAT = "task/reward", "std_msgs/msg/Float64"
MOST_STEPS = 1000
"""Steps of an episode of an environment that declares no limit."""
SUCCESS_KEYS = ("is_success", "success")
"""Where environments say in `info` whether the episode has succeeded."""


STEP = ("observation", "reward", "terminated", "truncated", "info")


class GymTask:
    """See `il_ros.sim.tasks.task.Task`. One step of the environment is one control period.

    `success_return`: an episode succeeds when its return reaches this; None: the environment's own
    `reward_threshold`. What the environment says in `info` ("is_success", "success") has precedence. Success is
    judged at the end of an episode; with neither, episodes have a return and no outcome.
    `rate_hz`: steps per second; None: as `from_env.rate_of` says.
    Raises SpaceError when a space does not fit.
    """

    camera_names: tuple[str, ...] = ()
    restorable = False

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        success_return: float | None = None,
        rate_hz: float | None = None,
    ) -> None:
        self.env, self.name = env, name_of(env)
        self._observed, self._commanded = (
            observed_leaves(env.observation_space),
            commanded_leaves(env.action_space),
        )
        self.streams: Mapping[str, str] = {
            REWARD: FLOAT,
            **{leaf.topic: leaf.type for leaf in self._observed},
        }
        self.commands: Mapping[str, str] = {leaf.topic: ARRAY for leaf in self._commanded}
        self.control_period_ns = round(1e9 / (rate_of(env)[0] if rate_hz is None else rate_hz))
        spec = env.spec
        steps = spec.max_episode_steps if spec is not None else None
        self._most_steps = MOST_STEPS if steps is None else steps
        self.time_limit_s = self._most_steps * self.control_period_ns / 1e9
        threshold = spec.reward_threshold if spec is not None else None
        self._success_return = threshold if success_return is None else success_return
        self.goal = (
            f"reach a return of {self._success_return:g}"
            if self._success_return is not None
            else "collect as much reward as possible"
        )
        self.observation: Any = None
        """The environment's own newest observation."""
        self._time_ns = self._steps = 0
        self._last: dict[str, Vector] = {}
        self._over = self._terminated = False
        self._judged: bool | None = None
        self.total_reward = self._reward = 0.0

    @property
    def time_ns(self) -> int:
        """Time on the task's clock; resets do not set it back."""
        return self._time_ns

    @property
    def success(self) -> bool:
        """True when the episode has ended as a success."""
        return self._judged is True

    @property
    def failed(self) -> bool:
        """True when the episode has ended without success, if success is defined."""
        return self._judged is False

    @property
    def judged(self) -> bool:
        """Whether success is defined: by a return to reach, or by what the environment says at an episode's end."""
        return self._success_return is not None or self._judged is not None

    @property
    def over(self) -> bool:
        """True once the environment has terminated or truncated the episode."""
        return self._over

    @property
    def terminated(self) -> bool:
        """True once the environment has terminated the episode; a truncated one could have gone on."""
        return self._terminated

    @property
    def reward(self) -> float:
        """The reward of the last step."""
        return self._reward

    def reset(self, seed: int) -> None:
        """Reset the environment to a seed."""
        answer = self._asked("reset", lambda: self.env.reset(seed=seed))
        self.observation, _ = self._parts("reset", answer, ("observation", "info"))
        self._time_ns += RESET_PAUSE_NS
        self._steps, self._over, self._terminated, self._judged = 0, False, False, None
        self.total_reward = self._reward = 0.0
        self._last.clear()

    def step(self, commands: Mapping[str, Message]) -> None:
        """Take one step with the newest commands; see `Task`.

        Raises ValueError also when a topic was never commanded, a number is outside the environment's bounds, or the
        environment's own code fails.
        """
        if self._over:
            raise ValueError(f"{self.name}: the episode is over; call reset")
        known = {leaf.topic: leaf for leaf in self._commanded}
        taken = dict(self._last)
        for topic, message in commands.items():
            if topic not in known:
                raise ValueError(
                    f"{topic}: {self.name} has no such command topic; it has: {', '.join(known)}"
                )
            taken[known[topic].key] = self._checked(known[topic], message)
        missing = [leaf.topic for leaf in self._commanded if leaf.key not in taken]
        if missing:
            raise ValueError(f"{missing[0]}: {self.name} needs a command in its first step")
        self._last = taken
        action = to_action(self.env.action_space, taken)
        answer = self._asked("step", lambda: self.env.step(action))
        self.observation, reward, terminated, truncated, info = self._parts("step", answer, STEP)
        self._steps += 1
        self._time_ns += self.control_period_ns
        self._reward = self._number(reward)
        self.total_reward += self._reward
        self._terminated = bool(terminated)
        self._over = bool(terminated or truncated) or self._steps >= self._most_steps
        if self._over:
            self._judged = judged(info, self.total_reward, self._success_return)

    def readings(self) -> list[Reading]:
        """Return the reward of the last step and the observation, the trigger last."""
        now = self._time_ns
        found = [Reading(REWARD, FLOAT, messages.make(FLOAT, data=self._reward))] if self._steps else []
        return [
            *found,
            *(Reading(leaf.topic, leaf.type, leaf.message(self.observation, now)) for leaf in self._observed),
        ]

    def state(self) -> Vector:
        """Raise ValueError: environments do not tell their state."""
        raise ValueError(f"{self.name}: a Gymnasium environment does not tell its state")

    def restore(self, state: Vector) -> None:
        """Raise ValueError: environments cannot be set to a state."""
        raise ValueError(f"{self.name}: a Gymnasium environment cannot be set to a state")

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the environment's picture (height, width, 3); it has one camera, whatever its name.

        Raises ValueError when the environment was made without render_mode="rgb_array".
        """
        import cv2

        shown = self.env.render() if self.env.render_mode == "rgb_array" else None
        if shown is None:
            raise ValueError(f"{self.name}: no pictures; make it with render_mode='rgb_array'")
        size = (width, height)
        return cv2.resize(np.asarray(shown, dtype=np.uint8), size, interpolation=cv2.INTER_AREA).astype(
            np.uint8
        )

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def by_topic(self, numbers: Mapping[str, Vector]) -> dict[str, Vector]:
        """Return the numbers of commanded leaves by their topics; a contract may give them other keys."""
        return {leaf.topic: numbers[leaf.key] for leaf in self._commanded}

    def _asked(self, what: str, call: Callable[[], Any]) -> Any:
        """Return what the environment answers; raises TaskError, naming the line, when its own code fails."""
        try:
            return call()
        except OTHERS_CODE as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            where = f"(line {line.lineno} of {line.filename})"
            raise TaskError(f"{self.name}: {what} fails: {cause_of(error)} {where}") from error

    def _parts(self, what: str, answer: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
        """Return the parts of an answer, the last one a mapping; raises TaskError when it has others."""
        count = len(answer) if isinstance(answer, tuple) else None
        if count != len(names):
            given = counted(count, "value") if count is not None else f"{type(answer).__name__}, no tuple"
            older = "; that is gym's interface of before 0.26" if (what, count) == ("step", 4) else ""
            raise TaskError(f"{self.name}: {what} returns {given}, not ({', '.join(names)}){older}")
        if not isinstance(answer[-1], Mapping):
            raise TaskError(f"{self.name}: {what} returns {answer[-1]!r:.60} as info; a dictionary is needed")
        return tuple(answer)

    def _number(self, reward: Any) -> float:
        try:
            return float(reward)
        except (TypeError, ValueError):
            raise TaskError(
                f"{self.name}: step returns the reward {reward!r:.60}; a number is needed"
            ) from None

    def _checked(self, leaf: Any, message: Message) -> Vector:
        values = np.asarray(message.data, dtype=np.float64)
        if values.shape != (len(leaf.names),) or not np.isfinite(values).all():
            raise ValueError(f"{leaf.topic}: needs {len(leaf.names)} finite numbers, not {values.tolist()}")
        outside = (values < leaf.lower) | (values > leaf.upper)
        if outside.any():
            place = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"{leaf.topic}: {leaf.names[place]} is {values[place]:g}; the environment takes "
                f"{leaf.lower[place]:g} to {leaf.upper[place]:g}"
            )
        return values


def judged(info: Mapping[str, Any], total_reward: float, success_return: float | None) -> bool | None:
    """Return whether an ended episode succeeded: by its last `info`, else by its return; None when neither says."""
    for key in SUCCESS_KEYS:
        if key in info:
            return bool(np.all(info[key]))
    return None if success_return is None else total_reward >= success_return
