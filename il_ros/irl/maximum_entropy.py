"""Maximum causal entropy inverse reinforcement learning, exact for tabular processes.

The objective is the negative log likelihood of the demonstrations' actions, per episode, in the reward's parameters
(Ziebart et al. 2008, "Maximum Entropy Inverse Reinforcement Learning"; Ziebart 2010, theorem 6.4):
E_{s_0}[V_0(s_0)] - sum over (s, a) of visits_E(s, a) r(s, a), plus l2 * |parameters|^2. Its gradient in r is
visits_pi - visits_E. With a linear reward it is convex.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize  # type: ignore[import-untyped]

from il_ros.core.specs import Vector
from il_ros.irl.demonstrations import Demonstrated
from il_ros.irl.mdp import TabularMdp
from il_ros.irl.rewards import LinearReward, RewardForm
from il_ros.irl.settings import L2
from il_ros.irl.soft_control import soft_policy, visits

_TOLERANCE = 1e-7
_ADVICE = "use a larger l2, or features of a smaller scale"
_MEMORY = 30  # pairs of steps and gradients that L-BFGS keeps


@dataclass(frozen=True, eq=False)
class Problem:
    """One process with its demonstrations. `features` (S, A, F), or (S, F) of states."""

    mdp: TabularMdp
    features: Vector
    demonstrated: Demonstrated

    def __post_init__(self) -> None:
        states, actions = self.mdp.states, self.mdp.actions
        if self.features.ndim == 2 and len(self.features) == states:
            object.__setattr__(self, "features", np.repeat(self.features[:, None], actions, axis=1))
        if self.features.ndim != 3 or self.features.shape[:2] != (states, actions):
            raise ValueError(
                f"features have shape {self.features.shape}; they must be ({states}, {actions}, F)"
            )
        if not np.isfinite(self.features).all():
            state, action, index = np.argwhere(~np.isfinite(self.features))[0]
            raise ValueError(
                f"state {state}, action {action}: feature {index} is {self.features[state, action, index]}"
            )
        if self.demonstrated.visits.shape != (states, actions):
            raise ValueError(
                f"the demonstrations have visits of shape {self.demonstrated.visits.shape}; "
                f"those of this process have ({states}, {actions})"
            )


@dataclass(frozen=True, eq=False)
class Fit:
    """A learnt reward. `feature_error`: largest difference between expected features of policy and expert.

    With `l2` above 0 it does not vanish. `converged`: False when the optimiser stopped earlier, for the reason
    `message`. `objective`: the value reached. `form`, `parameters`: the reward.
    """

    form: RewardForm
    parameters: Vector
    objective: float
    feature_error: float
    iterations: int
    seconds: float
    converged: bool
    message: str

    def reward(self, features: Vector) -> Vector:
        """Return the reward (S, A) of features (S, A, F), also those of another process."""
        return self.form.reward(self.parameters, features)


def fit(
    problems: Sequence[Problem],
    form: RewardForm | None = None,
    *,
    l2: float = L2,
    iterations: int = 500,
    progress: Callable[[int, float], None] = lambda iteration, objective: None,
) -> Fit:
    """Fit one reward to the demonstrations of one process or several, by L-BFGS; `form` is linear by default.

    `progress(iteration, objective)` is called after each iteration. Raises ValueError without a problem, or when
    the number of features differs; FloatingPointError when objective or gradient is not finite.
    """
    form = form or LinearReward()
    counts = {problem.features.shape[2] for problem in problems}
    if len(counts) != 1:
        raise ValueError(
            f"all problems need the same number of features; there are {sorted(counts) or 'none'}"
        )
    if l2 < 0:
        raise ValueError(f"l2 is {l2:g}; it must not be negative")
    reached = [0, np.inf]

    def evaluate(parameters: Vector) -> tuple[float, Vector]:
        reached[1], gradient = objective(problems, form, parameters, l2)
        return reached[1], gradient

    def passed(_parameters: Vector) -> None:
        reached[0] = int(reached[0]) + 1
        progress(int(reached[0]), float(reached[1]))

    began_s = time.monotonic()
    done = minimize(
        evaluate,
        form.initial(counts.pop()),
        jac=True,
        method="L-BFGS-B",
        callback=passed,
        options={
            "maxiter": iterations,
            "maxfun": 4 * iterations,
            "maxcor": _MEMORY,
            "ftol": 1e-15,
            "gtol": _TOLERANCE,
        },
    )
    return Fit(
        form,
        done.x,
        float(done.fun),
        max(feature_error(problem, form.reward(done.x, problem.features)) for problem in problems),
        int(done.nit),
        time.monotonic() - began_s,
        bool(done.success),
        str(done.message),
    )


def objective(
    problems: Sequence[Problem], form: RewardForm, parameters: Vector, l2: float
) -> tuple[float, Vector]:
    """Return the objective, the mean over the problems, and its gradient; raises FloatingPointError."""
    if not np.isfinite(parameters).all():
        raise FloatingPointError(f"the reward's parameters are not finite; {_ADVICE}")
    value, gradient = l2 * float(parameters @ parameters), 2 * l2 * parameters
    for problem in problems:
        mdp, expert = problem.mdp, problem.demonstrated
        reward = form.reward(parameters, problem.features)
        if not np.isfinite(reward).all():
            raise FloatingPointError(f"the reward is not finite; {_ADVICE}")
        policy = soft_policy(mdp, reward)
        value += float(expert.start @ policy.value - (expert.visits * reward).sum()) / len(problems)
        difference = visits(mdp, policy.probabilities, expert.start) - expert.visits
        gradient = gradient + form.gradient(parameters, problem.features, difference) / len(problems)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise FloatingPointError(f"the objective is not finite; {_ADVICE}")
    return value, gradient


def feature_error(problem: Problem, reward: Vector) -> float:
    """Return the largest difference between the expected features of a reward's policy and of the expert."""
    policy = soft_policy(problem.mdp, reward).probabilities
    difference = visits(problem.mdp, policy, problem.demonstrated.start) - problem.demonstrated.visits
    return float(np.abs(np.einsum("saf,sa->f", problem.features, difference)).max())
