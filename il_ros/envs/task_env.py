"""The simulated tasks as Gymnasium environments in this process, without ROS.

    import gymnasium                                   # pip install il_ros[gym]
    import il_ros.envs.registration
    env = gymnasium.make("il_ros/push-v0")
    observation, info = env.reset(seed=7)
    observation, reward, terminated, truncated, info = env.step(action)

Observations, actions and time are those of a ROS graph in lockstep (`RosEnv`), bit for bit: the sensors' messages
pass the contract's codecs and synchroniser, and each action passes the safety limiter before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from il_ros.control.limiter.in_process import InProcessLimiter, LimitedCommand
from il_ros.core import contract as contracts
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.envs.spaces import Seen, action_space, observation_space, owned
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import POLICY
from il_ros.sim.fitting import task_for
from il_ros.sim.lockstep import Lockstep, NoObservationError, Tap
from il_ros.sim.tasks.task import Task, is_over, is_terminated, reward_of, task_class

VIEWS = {"drive": "above", **dict.fromkeys(("reach", "push", "pick_place"), "scene")}
"""The view from outside that il_ros's own tasks have for pictures; of another task its first camera."""


class TaskEnv(gymnasium.Env[Seen, Vector]):
    """A simulated task. Actions are absolute values in the contract's flat order; the interface is `RosEnv`'s.

    `task`: reach, push, pick_place, drive, carry, touch, press, or one that another package registers; or a task that
    is made already, with its `contract`, such as a Gymnasium environment (`il_ros.envs.tasks.make_any_task`).
    `contract`: a contract, its file, or the name of a shipped one; None:
    the task's own. One that observes cameras has them in the observation, (height, width, 3) uint8.
    Reward is 1 at success, else 0; success and failure terminate; a Gymnasium environment keeps its own rules. The
    end of `time_limit_s` (simulated time; None: the task's) truncates, and `info["reason"]` says why. `render_mode`:
    rgb_array gives pictures (`height`, `width`, 3) uint8 of the camera `view` (None: one from outside).
    Raises ValueError when the contract does not fit the task, or on an unknown task or render mode.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - Gymnasium's type

    def __init__(
        self,
        task: str | Task,
        contract: Contract | str | Path | None = None,
        *,
        time_limit_s: float | None = None,
        render_mode: str | None = None,
        view: str | None = None,
        width: int = 320,
        height: int = 240,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is {render_mode!r}; it must be 'rgb_array' or None")
        if not isinstance(task, str) and contract is None:
            raise ValueError(f"task {task.name} needs a contract")
        chosen = task_class(task).contract if isinstance(task, str) and contract is None else contract
        self.contract = chosen if isinstance(chosen, Contract) else contracts.find(str(chosen))
        self.render_mode = render_mode
        self.observation_space = observation_space(self.contract)
        self.action_space = action_space(self.contract)
        made = task_for(task, self.contract) if isinstance(task, str) else task
        self._world = Lockstep(made, self.contract)
        self._limiter = InProcessLimiter(self.contract)
        limit_s = self.task.time_limit_s if time_limit_s is None else time_limit_s
        self._limit_ns = round(limit_s * 1e9)
        outside = VIEWS.get(made.name, next(iter(made.camera_names), ""))
        self._picture = (outside if view is None else view, width, height)
        self.on_command: Callable[[Vector, LimitedCommand], None] | None = None
        """Is called with the action (A,) and the limited command before each step, such as by a recorder."""
        self._began_ns = 0
        self._observation: Mapping[str, NDArray[Any]] | None = None
        self._over = True

    @property
    def task(self) -> Any:
        """The simulated task (`il_ros.sim.tasks.task.Task`)."""
        return self._world.task

    @property
    def tap(self) -> Tap | None:
        """What receives the episode's messages, such as a recorder; None: nothing."""
        return self._world.tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._world.tap = tap

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin the episode of a seed; None draws one. There are no `options`.

        Raises NoObservationError when the contract asks for what the task does not show.
        """
        super().reset(seed=seed)
        if options:
            raise ValueError(f"options {sorted(options)}: this environment has none")
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        self._world.reset(drawn)
        self._limiter.begin()
        self._observation = self._world.observe()
        self._began_ns, self._over = self.task.time_ns, False
        return owned(self._observation), {"seed": drawn}

    def step(self, action: Vector) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Send an action (A,) through the limiter; return the observation of the next tick.

        `info`: `authority` ("none": no ramp could start), the `sent` action and what was `limited`, `skipped`
        ticks (0), `time_s` since the reset, `success`, `observed`: False if the observation is an old one, because
        there is none. Raises ValueError on a wrong shape or non-finite values,
        RuntimeError when the episode is over.
        """
        if self._over or self._observation is None:
            raise RuntimeError("the episode is over; call reset()")
        values = np.asarray(action, dtype=np.float64)
        if values.shape != self.action_space.shape or not np.isfinite(values).all():
            raise ValueError(f"an action is {self.action_space.shape} finite numbers, not {action}")
        command = self._limiter.limit(values, self._observation)
        if self.on_command is not None:
            self.on_command(values, command)
        sent = None if command.sent is None else np.array(command.sent)
        self._world.step(sent)
        elapsed_ns = self.task.time_ns - self._began_ns
        info: dict[str, Any] = {
            "time_s": elapsed_ns / 1e9,
            "skipped": 0,
            "authority": NOBODY if command.missing else POLICY,
            "sent": sent,
            "limited": command.limited,
            "observed": True,
        }
        success = bool(self.task.success)
        terminated, truncated = is_terminated(self.task), False
        try:
            self._observation = self._world.observe()
        except NoObservationError as error:
            truncated, info["observed"], info["reason"] = True, False, f"no observation: {error}"
        else:
            if elapsed_ns >= self._limit_ns or (is_over(self.task) and not terminated):
                truncated, info["reason"] = not terminated, f"not within {self._limit_ns / 1e9:g} s"
        info["success"] = success
        self._over = terminated or truncated
        return owned(self._observation), reward_of(self.task), terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture (height, width, 3); None without a render mode."""
        if self.render_mode is None:
            return None
        picture: NDArray[np.uint8] = self.task.picture(*self._picture)
        return picture

    def close(self) -> None:
        """Release the simulator's resources."""
        self.task.close()
