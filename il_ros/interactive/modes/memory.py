"""What outlives a change of mode: the policy's versions and doubt, and what the expert made of them."""

from __future__ import annotations

import numpy as np

from il_ros.interactive.modes.disagreement import Disagreement
from il_ros.interactive.modes.thresholds import Attention, InterventionThreshold
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.proposal import Proposal


class ModeMemory:
    """The policy's versions heard so far, its doubts, and when people were asked or stepped in.

    With a control period, what policy and expert propose for one tick is compared.
    """

    def __init__(self, period_ns: int = 0) -> None:
        self.disagreement = Disagreement(period_ns, (POLICY, EXPERT))
        self.threshold = InterventionThreshold()
        self.attention = Attention()
        self.uncertainty: float | None = None
        self._versions: set[str] = set()
        self._generators = 0

    def hear(self, name: str, proposal: Proposal) -> None:
        """Take note of a proposal."""
        self.disagreement.hear(name, proposal)
        if name == POLICY:
            self.uncertainty = proposal.uncertainty
            self._versions.add(proposal.version)

    def generator(self, seed: int) -> np.random.Generator:
        """Return a generator for a mode: another one at each call, the same ones again with the same seed."""
        self._generators += 1
        return np.random.default_rng([seed, self._generators])

    @property
    def round(self) -> int:
        """DAgger's round: 0 before any policy was heard, then one per version; a roll-back opens none."""
        return len(self._versions)
