"""Runs one episode in one process: simulated sensors, the contract's codecs, a policy or an expert.

The observations equal those of a node on a ROS graph; see `lockstep`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.sim.lockstep import Lockstep, Tap
from il_ros.sim.tasks.task import Task, is_judged, is_over, reward_of

Act = Callable[[Mapping[str, NDArray[Any]]], Vector | None]
"""Maps an observation to a proposal (H, A), absolute values in the contract's flat order; None: give up."""


@dataclass(frozen=True)
class Film:
    """Which camera to record, at what size (pixels); one frame of `every` steps is kept."""

    camera: str
    width: int = 320
    height: int = 240
    every: int = 2


@dataclass(frozen=True)
class Rollout:
    """Result of an episode of T steps: `observations[key]` (T, ...) and the `actions` (T, A) taken on them.

    `steps` is T; `success` and `failed` describe the state after the last action. `gave_up`: the episode ended
    because `act` returned no action. `total_reward`: the sum of the task's rewards.
    `judged`: whether the task defines success.
    """

    task: str
    seed: int
    success: bool
    failed: bool
    steps: int
    duration_s: float
    observations: Mapping[str, NDArray[Any]]
    actions: Vector
    frames: NDArray[np.uint8]
    """(F, H, W, 3); F = 0 without a film."""
    total_reward: float = 0.0
    gave_up: bool = False
    judged: bool = True


def rollout(
    task: Task,
    act: Act,
    contract: Contract,
    seed: int,
    *,
    hold_s: float = 0.0,
    film: Film | None = None,
    tap: Tap | None = None,
) -> Rollout:
    """Run one episode until success has held for `hold_s`, its end, the task's time limit, or `act` gives up.

    Only the first step of a chunk (H, A) is sent. `tap` receives all messages. Raises ValueError when the
    contract doesn't fit the task, NoObservationError naming the reasons when a tick has no observation.
    """
    world = Lockstep(task, contract, tap)
    world.reset(seed)
    period_s = task.control_period_ns * 1e-9
    limit, hold = round(task.time_limit_s / period_s), round(hold_s / period_s)
    seen: dict[str, list[NDArray[Any]]] = {spec.key: [] for spec in contract.observations}
    actions: list[Vector] = []
    frames: list[NDArray[np.uint8]] = []
    held, total_reward, gave_up = 0, 0.0, False
    while len(actions) < limit and not is_over(task) and not (task.success and held >= hold):
        observation = world.observe()
        proposed = act(observation)
        if proposed is None:
            gave_up = True
            break
        for key, value in observation.items():
            seen[key].append(value)
        actions.append(np.asarray(proposed)[0])
        if film is not None and (len(actions) - 1) % film.every == 0:
            frames.append(task.picture(film.camera, film.width, film.height))
        world.step(actions[-1])
        total_reward += reward_of(task)
        held = held + 1 if task.success else 0
    if tap is not None and not gave_up:
        world.observe()  # what the last command led to
    steps = len(actions)
    return Rollout(
        task=task.name,
        seed=seed,
        success=task.success,
        failed=task.failed,
        steps=steps,
        duration_s=steps * period_s,
        observations={key: np.array(values) for key, values in seen.items()},
        actions=np.array(actions).reshape(steps, contract.action_size),
        frames=np.array(frames, dtype=np.uint8).reshape(len(frames), *(_size(film) if frames else (0, 0)), 3),
        total_reward=total_reward,
        gave_up=gave_up,
        judged=is_judged(task),
    )


def _size(film: Film | None) -> tuple[int, int]:
    return (film.height, film.width) if film is not None else (0, 0)
