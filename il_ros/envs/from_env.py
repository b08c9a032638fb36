"""A contract from the spaces of a Gymnasium environment, as a commented file that a person can edit.

The rate is the environment's time step (`env.unwrapped.dt`), else its pictures' rate (`render_fps`), else 20 Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from il_ros.core.contract import Contract, ContractError
from il_ros.core.specs import ARRAY, BOUNDED, IMAGE
from il_ros.envs.leaves import CommandedLeaf, ObservedLeaf, commanded_leaves, observed_leaves
from il_ros.envs.task_env import TaskEnv
from il_ros.episodes.contract_draft import DraftedStream, drafted, picture, plain_number, quoted

RATE_HZ = 20.0
SHOWN = 6
"""Numbers of a list that a comment shows."""


def contract_of(env: gymnasium.Env[Any, Any], *, rate_hz: float | None = None) -> Contract:
    """Return the contract of an environment, made from its spaces; `text` has the commented file.

    A simulated task (`TaskEnv`) has a contract of its own.
    Raises SpaceError naming the space that does not fit.
    """
    if isinstance(env.unwrapped, TaskEnv):
        return env.unwrapped.contract
    chosen, why = rate_of(env) if rate_hz is None else (rate_hz, "as asked for")
    return contract_of_spaces(
        name_of(env), env.observation_space, env.action_space, chosen, f"environment {name_of(env)}", why
    )


def contract_of_spaces(
    name: str,
    observation_space: spaces.Space,
    action_space: spaces.Space,
    rate_hz: float,
    about: str = "two spaces",
    why: str = "as asked for",
) -> Contract:
    """Return a contract with this name, made from spaces alone; `about` and `why` are words of its comments.

    Raises SpaceError naming the space that does not fit, ContractError on a rate that cannot be.
    """
    if rate_hz <= 0:
        raise ContractError(f"the contract of {name}: rate_hz is {rate_hz:g}; it must be above 0")
    observed, commanded = observed_leaves(observation_space), commanded_leaves(action_space)
    return drafted(
        (
            f"Contract of the Gymnasium {about}, made by il_ros from its spaces.",
            "Keys, names and units may be changed; the topics belong to the environment.",
        ),
        name,
        float(rate_hz),
        [DraftedStream(leaf.key, _brief(leaf.space), _observation(leaf, rate_hz)) for leaf in observed],
        [DraftedStream(leaf.key, _brief(leaf.space), _action(leaf)) for leaf in commanded],
        source=f"the contract of {name}",
        trigger=observed[-1].topic,
        rate_comment=f"one step of the environment is one tick; {why}",
        trigger_comment="each observation starts a tick",
    )


def rate_of(env: gymnasium.Env[Any, Any]) -> tuple[float, str]:
    """Return the steps per second of an environment, and where the number comes from."""
    step_s = getattr(env.unwrapped, "dt", None)
    if isinstance(step_s, (int, float)) and not isinstance(step_s, bool) and 0.001 <= step_s <= 1000:
        return float(np.round(1.0 / step_s, 9)), f"its time step is {step_s:g} s"
    pictures = env.metadata.get("render_fps")
    if isinstance(pictures, (int, float)) and 0.001 <= pictures <= 1000:
        return float(pictures), "its pictures' rate (render_fps), as it declares no time step"
    return RATE_HZ, "it declares neither time step nor render_fps"


def name_of(env: gymnasium.Env[Any, Any]) -> str:
    """Return the name under which an environment is made, or its class's name."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _observation(leaf: ObservedLeaf, rate_hz: float) -> tuple[str, ...]:
    lines = [f"topic: {leaf.topic}", f"type: {leaf.type}"]
    if leaf.type == IMAGE:
        height, width = leaf.space.shape[:2]
        lines.append(picture(width, height, 3 if leaf.space.shape[2:] == (3,) else 1))
    elif leaf.type == ARRAY:
        discrete = isinstance(leaf.space, (spaces.Discrete, spaces.MultiDiscrete))
        comment = "1 for the value, 0 for the others" if discrete else "or names: [...], one for each number"
        lines.append(f"size: {leaf.size}  # {comment}")
    return (*lines, f"max_age_s: {2 / rate_hz:.6g}  # two steps; each step has a new one")


def _action(leaf: CommandedLeaf) -> tuple[str, ...]:
    lines = (
        f"topic: {leaf.topic}",
        f"type: {ARRAY}",
        f"names: [{', '.join(map(quoted, leaf.names))}]",
    )
    if leaf.quantity == BOUNDED:
        whole = np.issubdtype(leaf.space.dtype, np.integer)
        rounded = "; rounded to whole numbers" if whole else ""
        return (
            *lines,
            f"quantity: bounded  # nothing measures it: the limiter keeps it within the limits{rounded}",
            "limits:  # rate, the largest change per second, may be added",
            f"  lower: {_numbers(leaf.lower)}",
            f"  upper: {_numbers(leaf.upper)}",
        )
    return (*lines, "quantity: choice  # the numbers are scores, and the largest is chosen")


def _numbers(values: Sequence[float] | np.ndarray[Any, Any]) -> str:
    """Return numbers as YAML: one if all are equal; each as it is read back exactly."""
    texts = [plain_number(float(value)) for value in values]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}]"


def _brief(space: spaces.Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= 80 else f"{type(space).__name__}{space.shape}, {space.dtype}"
