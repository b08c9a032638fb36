"""Maximum causal entropy control: soft value iteration, visits of states, samples.

Ziebart 2010, "Modeling Purposeful Adaptive Behavior with the Principle of Maximum Causal Entropy", chapters 4 to 6:
Q_t(s, a) = r(s, a) + discount * E[V_{t+1}(s')], V_t(s) = log sum_a exp Q_t(s, a), pi_t(a | s) = exp(Q_t - V_t).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.irl.mdp import TabularMdp


@dataclass(frozen=True, eq=False)
class SoftPolicy:
    """`probabilities` (T, S, A): P(a | s) at each step. `value` (S,): V_0, the soft value at the start."""

    probabilities: Vector
    value: Vector


def soft_policy(mdp: TabularMdp, reward: Vector) -> SoftPolicy:
    """Return the maximum causal entropy policy of a reward (S,) or (S, A)."""

    def softly(worth: Vector) -> tuple[Vector, Vector]:
        largest = worth.max(axis=1, keepdims=True)
        weights = np.exp(worth - largest)
        total = weights.sum(axis=1, keepdims=True)
        return weights / total, (largest + np.log(total))[:, 0]

    return _backward(mdp, reward, softly)


def best_policy(mdp: TabularMdp, reward: Vector) -> Vector:
    """Return the deterministic policy (T, S, A) with the largest sum of rewards: ordinary value iteration."""

    def greedily(worth: Vector) -> tuple[Vector, Vector]:
        return np.eye(mdp.actions)[worth.argmax(axis=1)], worth.max(axis=1)

    return _backward(mdp, reward, greedily).probabilities


def _backward(
    mdp: TabularMdp, reward: Vector, choose: Callable[[Vector], tuple[Vector, Vector]]
) -> SoftPolicy:
    """Return policy and value by recursion from the last step on.

    `choose(worth)`: the probabilities (S, A) and values (S,) of a step whose actions are worth Q_t (S, A).
    """
    reward = mdp.checked_reward(reward)
    probabilities = np.empty((mdp.horizon, mdp.states, mdp.actions))
    value = np.zeros(mdp.states)
    for step in range(mdp.horizon - 1, -1, -1):
        worth = reward + mdp.discount * (mdp.transitions @ value).reshape(reward.shape)
        probabilities[step], value = choose(worth)
    return SoftPolicy(probabilities, value)


def uniform_policy(mdp: TabularMdp) -> Vector:
    """Return the policy (T, S, A) that draws each action with the same probability."""
    return np.full((mdp.horizon, mdp.states, mdp.actions), 1 / mdp.actions)


def state_distribution(mdp: TabularMdp, policy: Vector, start: Vector | None = None) -> Vector:
    """Return P(s_t) (T, S) under a policy (T, S, A), from `start` (S,) or the process's own start."""
    found = np.empty((mdp.horizon, mdp.states))
    found[0] = mdp.start if start is None else start
    back = mdp.transitions.T.tocsr()
    for step in range(mdp.horizon - 1):
        found[step + 1] = back @ (found[step][:, None] * policy[step]).ravel()
    return found


def visits(mdp: TabularMdp, policy: Vector, start: Vector | None = None) -> Vector:
    """Return the expected, discounted number of times (S, A) that each action is taken in each state."""
    weights = mdp.discount ** np.arange(mdp.horizon)
    distribution = state_distribution(mdp, policy, start) * weights[:, None]
    found: Vector = np.einsum("ts,tsa->sa", distribution, policy)
    return found


def expected_return(mdp: TabularMdp, policy: Vector, reward: Vector) -> float:
    """Return the expected discounted sum of rewards (S,) or (S, A) of an episode."""
    return float((visits(mdp, policy) * mdp.checked_reward(reward)).sum())


def sample(
    mdp: TabularMdp, policy: Vector, count: int, rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return `count` episodes: states (T + 1,) and actions (T,)."""
    episodes = []
    for _ in range(count):
        states, actions = np.empty(mdp.horizon + 1, np.int64), np.empty(mdp.horizon, np.int64)
        states[0] = rng.choice(mdp.states, p=mdp.start)
        for step in range(mdp.horizon):
            state = states[step]
            actions[step] = rng.choice(mdp.actions, p=policy[step, state])
            row = state * mdp.actions + actions[step]
            first, last = mdp.transitions.indptr[row : row + 2]
            after, chances = mdp.transitions.indices[first:last], mdp.transitions.data[first:last]
            states[step + 1] = rng.choice(after, p=chances / chances.sum())
        episodes.append((states, actions))
    return episodes
