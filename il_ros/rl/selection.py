"""Which policy of a training with own steps is kept: the best evaluation, or with a clone what passes the gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from il_ros.policies.runner import LoadedPolicy
from il_ros.rl.curves import SeedScore
from il_ros.rl.gate import PROMOTED, ROLLED_BACK, Score, Served, ServingGate
from il_ros.rl.learner import ImitationLearner
from il_ros.training.evaluate import Evaluation
from il_ros.training.simulator.policy_tests import starts_of

Evaluate = Callable[[LoadedPolicy, Sequence[int]], Evaluation]
"""Runs an episode of a policy from each start (`OwnEnvironments.evaluated`)."""


@dataclass(frozen=True)
class Kept:
    """The policy to write, and the evaluation by which it was chosen."""

    policy: LoadedPolicy
    score: SeedScore


class PolicySelection(Protocol):
    """`kept`: the policy of all seeds that is kept now; None before the first evaluation."""

    kept: Kept | None

    def served(self, seed: int) -> LoadedPolicy:
        """Return the policy that a seed has to offer."""

    def consider(
        self, step: int, measured: Mapping[str, float], episodes: int, before: Sequence[SeedScore]
    ) -> list[SeedScore]:
        """Evaluate the present policies, and return their scores. `before`: the earlier ones. Sets `kept`."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for `restore`."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; raises KeyError or RuntimeError if it belongs to another selection."""


class BestScored:
    """Keeps the best evaluation of any seed so far."""

    def __init__(self, learner: ImitationLearner, run: Evaluate, seeds: int, tests: int) -> None:
        self._learner, self._run, self._seeds, self._starts = learner, run, seeds, starts_of(tests)
        self.kept: Kept | None = None

    def served(self, seed: int) -> LoadedPolicy:
        """See `PolicySelection`."""
        return self._learner.policy(seed)

    def consider(
        self, step: int, measured: Mapping[str, float], episodes: int, before: Sequence[SeedScore]
    ) -> list[SeedScore]:
        """See `PolicySelection`."""
        scores = []
        for seed in range(self._seeds):
            found = self._run(self.served(seed), self._starts)
            scores.append(score_of(found, step, seed, measured, episodes))
        best = max(scores, key=lambda score: score.score)
        earlier = [score.score for score in before if score.kept]
        if not earlier or best.score >= max(earlier):
            scores[scores.index(best)] = best = replace(best, kept=True)
            self.kept = Kept(self._learner.policy(best.seed), best)
        return scores

    def tensors(self) -> dict[str, Tensor]:
        """What was kept is on disk."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """What was kept is on disk."""


class BetterThanClone:
    """Keeps the clone until a policy is shown to be better, see `gate`; takes learners back that became worse.

    Raises ValueError when there are so few tests that even a policy that wins all of them would not pass.
    """

    def __init__(
        self,
        learner: ImitationLearner,
        run: Evaluate,
        seeds: int,
        tests: int,
        level: float,
        clone: LoadedPolicy,
    ) -> None:
        if 2 * 0.5**tests > level:
            raise ValueError(
                f"tests is {tests}; with level {level:g} no policy could be shown to be better than the clone: "
                f"{next(n for n in range(1, 99) if 2 * 0.5**n <= level)} or more are needed, about 30 to tell a "
                "difference of 20 points"
            )
        self._learner, self._run, self._seeds, self._starts = learner, run, seeds, starts_of(tests)
        self._clone, self._level = clone, level
        self._gate: ServingGate | None = None
        self.kept: Kept | None = None

    def served(self, seed: int) -> LoadedPolicy:
        """See `PolicySelection`."""
        return self._clone if self._gate is None else self._gate.served[seed].policy

    def consider(
        self, step: int, measured: Mapping[str, float], episodes: int, before: Sequence[SeedScore]
    ) -> list[SeedScore]:
        """See `PolicySelection`. At step 0 the clone itself is evaluated, once for all seeds."""
        if self._gate is None:
            found = self._run(self._clone, self._starts)
            self._gate = ServingGate(Served(self._clone, _scores(found)), self._seeds, self._level)
            scores = [score_of(found, 0, seed, measured, episodes) for seed in range(self._seeds)]
            scores[0] = replace(scores[0], kept=True)
            self.kept = Kept(self._clone, scores[0])
            return scores
        scores = []
        for seed in range(self._seeds):
            candidate = self._learner.policy(seed)
            found = self._run(candidate, self._starts)
            verdict = self._gate.judge(seed, candidate, _scores(found), step)
            if verdict == ROLLED_BACK:
                self._learner.take_back(seed, self._gate.served[seed].policy)
            scores.append(replace(score_of(found, step, seed, measured, episodes), verdict=verdict))
        earlier = max(score.score for score in before if score.kept)
        passed = [score for score in scores if score.verdict == PROMOTED and score.score > earlier]
        if passed:
            best = max(passed, key=lambda score: score.score)
            scores[best.seed] = best = replace(best, kept=True)
            self.kept = Kept(self._gate.served[best.seed].policy, best)
        return scores

    def tensors(self) -> dict[str, Tensor]:
        """See `PolicySelection`."""
        return {} if self._gate is None else self._gate.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `PolicySelection`."""
        if tensors:
            self._gate = ServingGate(Served(self._clone, ()), self._seeds, self._level)
            self._gate.restore(tensors, [self._learner.policy(seed) for seed in range(self._seeds)])


def score_of(
    found: Evaluation, step: int, seed: int, measured: Mapping[str, float], episodes: int
) -> SeedScore:
    """Return an evaluation as a row of the curves."""
    success = found.rate if found.judged else None
    return SeedScore(step, seed, found.mean_return, success, False, dict(measured), episodes)


def _scores(found: Evaluation) -> tuple[Score, ...]:
    return tuple((float(each.judged and each.success), each.total_reward) for each in found.episodes)
