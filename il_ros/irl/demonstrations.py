"""Demonstrations of a tabular process: checked, and summed up as visits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.irl.mdp import TabularMdp


@dataclass(frozen=True, eq=False)
class Demonstrated:
    """`visits` (S, A): the mean discounted number of times that an episode takes each action in each state.

    `start` (S,): shares of the first states. `episodes`: number of demonstrations; 0 for exact expectations.
    """

    visits: Vector
    start: Vector
    episodes: int = 0


def demonstrated(mdp: TabularMdp, episodes: Iterable[tuple[ArrayLike, ArrayLike]]) -> Demonstrated:
    """Return what the demonstrations visit; each consists of states (N + 1,) and actions (N,).

    An episode has as many steps as the process, or ends in an absorbing state, where it is continued.
    Raises ValueError naming episode and step on a number out of range, an impossible transition, or another
    length; and without any episode.
    """
    visits, start, count = np.zeros((mdp.states, mdp.actions)), np.zeros(mdp.states), 0
    for count, (given_states, given_actions) in enumerate(episodes, 1):
        states, actions = _checked(
            mdp, f"demonstration {count}", np.asarray(given_states), np.asarray(given_actions)
        )
        weights = mdp.discount ** np.arange(mdp.horizon)
        np.add.at(visits, (states[:-1], actions), weights[: len(actions)])
        visits[states[-1]] += weights[len(actions) :].sum() / mdp.actions  # all actions of it are alike
        start[states[0]] += 1
    if not count:
        raise ValueError("there are no demonstrations; at least one is needed")
    return Demonstrated(visits / count, start / count, count)


def _checked(
    mdp: TabularMdp, name: str, states: NDArray[Any], actions: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    for kind, values, limit in (("state", states, mdp.states), ("action", actions, mdp.actions)):
        if values.ndim != 1 or values.dtype.kind not in "iu":
            raise ValueError(
                f"{name}: {kind}s must be a row of whole numbers; they are {values.dtype} {values.shape}"
            )
        wrong = np.flatnonzero((values < 0) | (values >= limit))
        if wrong.size:
            step = int(wrong[0])
            raise ValueError(f"{name}, step {step}: {kind} {values[step]} must be within 0..{limit - 1}")
    if len(states) != len(actions) + 1 or not len(actions):
        raise ValueError(
            f"{name} has {counted(len(states), 'state')} and {counted(len(actions), 'action')}; "
            "it needs one action or more, and one state more"
        )
    for step, (state, action, after) in enumerate(zip(states, actions, states[1:], strict=False)):
        if mdp.probability(int(state), int(action), int(after)) <= 0:
            raise ValueError(
                f"{name}, step {step}: action {action} never leads from state {state} to {after}"
            )
    ends = bool(mdp.absorbing[int(states[-1])])
    if len(actions) > mdp.horizon or (len(actions) < mdp.horizon and not ends):
        raise ValueError(
            f"{name} has {counted(len(actions), 'step')}; the process has {mdp.horizon}, and only an episode that "
            "ends in an absorbing state may be shorter"
        )
    return states.astype(np.int64), actions.astype(np.int64)
