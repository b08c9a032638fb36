"""PairedComparison of two policies by pairs of trials from the same starts, in simulation or on a robot.

Only pairs that differ say something: if neither policy is better, each is as likely won by one as by the other.
`p_value` is that of the exact sign test (McNemar's, on successes), valid for a number of pairs fixed beforehand.
`sequential_p_value` may be looked at after each pair, and the trials stopped when it is small: it is the inverse of the
wealth of a bettor who begins with 1 and bets that one policy wins with a chance drawn evenly from 1/2 to 1, doubled for
both directions. Without a difference, the chance that this wealth ever reaches 1/p is p at most (Ville's inequality;
Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference", section 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeVar

from il_ros.core.tables import counted

LEVEL = 0.05

Score = TypeVar("Score", float, tuple[float, float])
"""A number, or two of which the second counts where the first are alike."""


@dataclass(frozen=True)
class PairedComparison:
    """The pairs of two policies in the order of the trials: 1 if the second was better, -1 if the first, 0 if neither.

    `first` and `second`: the policies' names. Raises ValueError without a pair, and on another number.
    """

    first: str
    second: str
    signs: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.signs:
            raise ValueError(f"no pair of trials of {self.first} and {self.second}")
        if not set(self.signs) <= {-1, 0, 1}:
            raise ValueError(f"signs must be -1, 0 or 1, not {sorted(set(self.signs))}")

    @classmethod
    def of(cls, first: str, second: str, pairs: Iterable[tuple[Score, Score]]) -> PairedComparison:
        """Return the comparison of scores (of the first, of the second policy) from the same starts; more is better."""
        return cls(first, second, tuple((other > one) - (other < one) for one, other in pairs))

    @property
    def wins(self) -> int:
        """The number of pairs in which the second policy was better."""
        return self.signs.count(1)

    @property
    def losses(self) -> int:
        """The number of pairs in which the first policy was better."""
        return self.signs.count(-1)

    @property
    def better(self) -> str:
        """The name of the policy that won more pairs; "" if neither did."""
        return "" if self.wins == self.losses else self.second if self.wins > self.losses else self.first

    @property
    def p_value(self) -> float:
        """The two-sided p-value of the exact sign test."""
        differing, most = self.wins + self.losses, max(self.wins, self.losses)
        tail = sum(math.comb(differing, count) for count in range(most, differing + 1)) / 2**differing
        return float(min(1.0, 2 * tail))

    @cached_property
    def sequential_p_values(self) -> tuple[float, ...]:
        """The two-sided p-value after each pair; it never rises."""
        found, least, wins, losses = [], 1.0, 0, 0
        for sign in self.signs:
            wins, losses = wins + (sign > 0), losses + (sign < 0)
            wealth = max(_log_wealth(wins, losses), _log_wealth(losses, wins))
            least = min(least, 2 * math.exp(-wealth))
            found.append(least)
        return tuple(found)

    @property
    def sequential_p_value(self) -> float:
        """The last of them."""
        return self.sequential_p_values[-1]

    def decided_after(self, level: float = LEVEL) -> int | None:
        """Return the number of pairs after which the sequential p-value was at most `level`; None if it is not."""
        return next((n + 1 for n, p in enumerate(self.sequential_p_values) if p <= level), None)

    def sentence(self, level: float = LEVEL) -> str:
        """Return the result in words: 'v2 is better than v1, p = 0.012, after 23 pairs'."""
        pairs = self.decided_after(level)
        if pairs is not None:
            decided = PairedComparison(self.first, self.second, self.signs[:pairs])
            worse = self.first if decided.better == self.second else self.second
            p = _p(self.sequential_p_values[pairs - 1])
            return f"{decided.better} is better than {worse}, {p}, after {counted(pairs, 'pair')}"
        p = _p(self.sequential_p_value)
        return f"no difference of {self.first} and {self.second} is shown by {counted(len(self.signs), 'pair')}, {p}"


def corrected(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979): the chance of any false finding is that of one test."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    found, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = largest
    return found


@lru_cache(1 << 16)
def _log_wealth(wins: int, losses: int) -> float:
    """Return log of 2 * integral over q from 1/2 to 1 of (2 q)^wins (2 (1 - q))^losses dq.

    The integral is that of a beta density, whose upper half for whole numbers is a binomial tail:
    P(q > 1/2) = P(Binomial(wins + losses + 1, 1/2) <= wins).
    """
    n = wins + losses
    log_beta = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(n + 2)
    upper = sum(math.comb(n + 1, count) for count in range(wins + 1)) / 2 ** (n + 1)
    return float((n + 1) * math.log(2) + log_beta + math.log(upper))


def _p(value: float) -> str:
    return f"p = {value:.2g}" if value >= 0.001 else "p < 0.001"
