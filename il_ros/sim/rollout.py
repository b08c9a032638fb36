"""Runs one episode in one process: simulated sensors, the contract's codecs, a policy or an expert.

The observations equal those of a node on a ROS graph: the messages are serialised, pushed into the
synchroniser and sampled at the trigger's stamp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.codecs import encode
from il_ros.core.contract import Contract
from il_ros.core.messages import Message
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import NoObservation, Synchroniser
from il_ros.sim.tasks.task import Task

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

    `steps` is T; `success` and `failed` describe the state after the last action.
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


def rollout(
    task: Task, act: Act, contract: Contract, seed: int, *, hold_s: float = 0.0, film: Film | None = None
) -> Rollout:
    """Run one episode until success has held for `hold_s`, failure, the task's time limit, or `act` gives up.

    Only the first step of a chunk (H, A) is sent. Raises ValueError when the contract doesn't fit the task,
    RuntimeError naming the reasons when a tick has no observation.
    """
    _require_fit(task, contract)
    synchroniser = Synchroniser(contract.observations)
    task.reset(seed)
    period_s = task.control_period_ns * 1e-9
    limit, hold = round(task.time_limit_s / period_s), round(hold_s / period_s)
    seen: dict[str, list[NDArray[Any]]] = {spec.key: [] for spec in contract.observations}
    actions: list[Vector] = []
    frames: list[NDArray[np.uint8]] = []
    held = 0
    while len(actions) < limit and not task.failed and not (task.success and held >= hold):
        observation = _observe(task, synchroniser)
        proposed = act(observation)
        if proposed is None:
            break
        for key, value in observation.items():
            seen[key].append(value)
        actions.append(np.asarray(proposed)[0])
        if film is not None and (len(actions) - 1) % film.every == 0:
            frames.append(task.picture(film.camera, film.width, film.height))
        task.step(command_messages(contract, actions[-1], task.time_ns))
        held = held + 1 if task.success else 0
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
    )


def command_messages(contract: Contract, action: Vector, stamp_ns: int) -> dict[str, Message]:
    """Return the command messages of one flat action (A,), by topic."""
    return {
        spec.topic: encode(spec, action[contract.action_slices[spec.key]], stamp_ns)
        for spec in contract.actions
    }


def _size(film: Film | None) -> tuple[int, int]:
    return (film.height, film.width) if film is not None else (0, 0)


def _observe(task: Task, synchroniser: Synchroniser) -> Mapping[str, NDArray[Any]]:
    for reading in task.readings():
        if reading.topic in synchroniser.topics:
            raw = messages.encode(reading.type, reading.message)
            synchroniser.push(reading.topic, raw, task.time_ns)
    observation = synchroniser.sample(task.time_ns)
    if isinstance(observation, NoObservation):
        raise RuntimeError(f"{task.name} at {task.time_ns} ns: " + "; ".join(observation.reasons))
    return observation.values


def _require_fit(task: Task, contract: Contract) -> None:
    missing = [topic for topic in (spec.topic for spec in contract.observations) if topic not in task.streams]
    if missing:
        raise ValueError(
            f"contract {contract.name} observes {missing[0]}; "
            f"{task.name} publishes: {', '.join(task.streams)}"
        )
    strange = [spec.topic for spec in contract.actions if spec.topic not in task.commands]
    if strange:
        raise ValueError(
            f"contract {contract.name} commands {strange[0]}; {task.name} takes: {', '.join(task.commands)}"
        )
    if contract.period_ns != task.control_period_ns:
        raise ValueError(
            f"contract {contract.name} has rate_hz {contract.rate_hz:g}; {task.name} is controlled "
            f"at {1e9 / task.control_period_ns:g} Hz"
        )
