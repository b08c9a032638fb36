"""Promotion and roll-back of policies that learn by reinforcement: what is served is never below the clone.

The served policy of a seed is at first the clone. A candidate takes the place of what is served when it is better
than the clone by the sign test of `records.comparison`, on starts that are the same for all, and stands above what
is served: more successes, or as many and a higher mean return. (A test against what is served, too, would keep the
first of several that get better slowly.) Where it is worse than what is served by this test and does not stand
above it, the learner goes back to that. All results on the starts are kept.

For the test a success is better than a failure, and of two alike the higher return: where only a threshold of the
return defines success, all policies may be below it or above.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from il_ros.policies.runner import LoadedPolicy
from il_ros.records.comparison import PairedComparison

PROMOTED, REFUSED, ROLLED_BACK = "promoted", "refused", "rolled back"
_OTHER, _CANDIDATE = "other", "candidate"

Score = tuple[float, float]
"""The success of an episode, 0 or 1 (0 where it is not defined), and its return."""


@dataclass(frozen=True)
class Served:
    """A policy and its scores on the starts of the gate. `step`: the own steps after which it was learnt."""

    policy: LoadedPolicy
    scores: tuple[Score, ...]
    step: int = 0

    @property
    def standing(self) -> tuple[float, float]:
        """The sums of successes and of returns."""
        return (sum(success for success, _ in self.scores), sum(total for _, total in self.scores))


class ServingGate:
    """The served policies of K seeds. `first`: the clone with its scores. `level`: the p-value that decides."""

    def __init__(self, first: Served, seeds: int, level: float) -> None:
        self._first, self._level = first, level
        self.served = [first] * seeds

    def judge(self, seed: int, candidate: LoadedPolicy, scores: Sequence[Score], step: int) -> str:
        """Return whether a candidate with these scores on the starts is PROMOTED, REFUSED, or to be ROLLED_BACK.

        Raises ValueError on another number of starts.
        """
        served, new = self.served[seed], Served(candidate, tuple(scores), step)
        to_served, to_clone = _compared(served, new), _compared(self._first, new)
        better = new.standing > served.standing
        if self._shown_better(to_served) == _OTHER and not better:
            return ROLLED_BACK
        if self._shown_better(to_clone) != _CANDIDATE or not better:
            return REFUSED
        self.served[seed] = new
        return PROMOTED

    def _shown_better(self, compared: PairedComparison) -> str:
        """Return the name of the policy that is better by the sign test, "" if neither is."""
        return compared.better if compared.p_value <= self._level else ""

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state for `restore`."""
        found = {"clone.scores": torch.tensor(self._first.scores, dtype=torch.float64)}
        for seed, served in enumerate(self.served):
            found[f"{seed}.step"] = torch.tensor(served.step)
            found[f"{seed}.scores"] = torch.tensor(served.scores, dtype=torch.float64)
            if served.step:
                weights = served.policy.network.state_dict()
                found |= {f"{seed}.weights.{name}": values for name, values in weights.items()}
        return found

    def restore(self, tensors: Mapping[str, Tensor], candidates: Sequence[LoadedPolicy]) -> None:
        """Restore the state; `candidates`: a policy of each seed, whose weights are replaced.

        Raises KeyError or RuntimeError if the state belongs to another gate.
        """
        self._first = replace(self._first, scores=_scores(tensors["clone.scores"]))
        for seed, candidate in enumerate(candidates):
            step, scores = int(tensors[f"{seed}.step"]), _scores(tensors[f"{seed}.scores"])
            policy = self._first.policy
            if step:
                start = f"{seed}.weights."
                weights = {
                    name.removeprefix(start): values
                    for name, values in tensors.items()
                    if name.startswith(start)
                }
                candidate.network.load_state_dict(weights)
                policy = candidate
            self.served[seed] = Served(policy, scores, step)


def _compared(other: Served, new: Served) -> PairedComparison:
    return PairedComparison.of(_OTHER, _CANDIDATE, zip(other.scores, new.scores, strict=True))


def _scores(saved: Tensor) -> tuple[Score, ...]:
    """Return saved scores (N, 2); a state of before has successes (N,) alone: returns that are equal to any other."""
    if saved.ndim == 1:
        saved = torch.stack([saved, torch.full_like(saved, math.nan)], dim=1)
    return tuple((success, total) for success, total in saved.tolist())
