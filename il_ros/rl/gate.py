"""Promotion and roll-back of policies that learn by reinforcement: what is served is never below the clone.

The served policy of a seed is at first the clone. A candidate takes the place of what is served when it is better than
the clone by the sign test of `records.comparison`, on starts that are the same for all, and wins more of them than it
loses to what is served. (A test against what is served, too, would keep the first of several that get better slowly.)
Where it is worse than what is served by this test, the learner goes back to that. All results on the starts are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from il_ros.policies.runner import LoadedPolicy
from il_ros.records.comparison import PairedComparison

PROMOTED, REFUSED, ROLLED_BACK = "promoted", "refused", "rolled back"


@dataclass(frozen=True)
class Served:
    """A policy and its scores on the starts of the gate. `step`: the own steps after which it was learnt."""

    policy: LoadedPolicy
    scores: tuple[float, ...]
    step: int = 0


class ServingGate:
    """The served policies of K seeds. `first`: the clone with its scores. `level`: the p-value that decides."""

    def __init__(self, first: Served, seeds: int, level: float) -> None:
        self._first, self._level = first, level
        self.served = [first] * seeds

    def judge(self, seed: int, candidate: LoadedPolicy, scores: Sequence[float], step: int) -> str:
        """Return whether a candidate with these scores on the starts is PROMOTED, REFUSED, or to be ROLLED_BACK.

        Raises ValueError on another number of starts.
        """
        to_served = self._compared(self.served[seed], scores)
        if to_served.losses > to_served.wins and to_served.p_value <= self._level:
            return ROLLED_BACK
        to_clone = self._compared(self._first, scores)
        above_clone = to_clone.wins > to_clone.losses and to_clone.p_value <= self._level
        if not above_clone or to_served.wins <= to_served.losses:
            return REFUSED
        self.served[seed] = Served(candidate, tuple(scores), step)
        return PROMOTED

    @staticmethod
    def _compared(other: Served, scores: Sequence[float]) -> PairedComparison:
        return PairedComparison.of("other", "candidate", zip(other.scores, scores, strict=True))

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
        self._first = replace(self._first, scores=tuple(tensors["clone.scores"].tolist()))
        for seed, candidate in enumerate(candidates):
            step, scores = int(tensors[f"{seed}.step"]), tuple(tensors[f"{seed}.scores"].tolist())
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
