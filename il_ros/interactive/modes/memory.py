"""The state that outlives a change of mode: policy versions, uncertainty, interventions and requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from il_ros.core.specs import ActionGroup
from il_ros.interactive.modes.disagreement import Difference, Disagreement
from il_ros.interactive.modes.thresholds import AttentionHistory, InterventionThreshold
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.proposal import Proposal


class ModeMemory:
    """The policy versions seen, the newest uncertainty, the intervention threshold and the request history.

    `period_ns`: the control period, within which the sources' proposals are compared; 0: no comparison.
    `difference`: that of two actions. `groups`: the contract's action groups; with several, the sources' proposals are
    compared in each as well. `thresholds` and `attentions`: those of each of several groups; requests count for all.
    """

    def __init__(
        self,
        period_ns: int = 0,
        difference: Difference = np.subtract,
        groups: Sequence[ActionGroup] = (),
    ) -> None:
        self.disagreement = Disagreement(period_ns, (POLICY, EXPERT), difference)
        self.disagreements = {
            group.name: Disagreement(period_ns, (POLICY, EXPERT), difference, group)
            for group in (groups if len(groups) > 1 else ())
        }
        self.threshold = InterventionThreshold()
        self.attention = AttentionHistory()
        several = [group.name for group in groups] if len(groups) > 1 else []
        self.thresholds = {name: InterventionThreshold() for name in several}
        self.attentions = {name: AttentionHistory(requests_ns=self.attention.requests_ns) for name in several}
        self.uncertainty: float | None = None
        self.uncertainties: Mapping[str, float] = {}
        self._versions: set[str] = set()
        self._generators = 0

    def observe(self, name: str, proposal: Proposal) -> None:
        """Process an accepted proposal."""
        self.disagreement.observe(name, proposal)
        for each in self.disagreements.values():
            each.observe(name, proposal)
        if name == POLICY:
            self.uncertainty, self.uncertainties = proposal.uncertainty, proposal.uncertainties or {}
            self._versions.add(proposal.version)

    def generator(self, seed: int) -> np.random.Generator:
        """Return a random generator for a mode; each call gives another one, reproducible from the seed."""
        self._generators += 1
        return np.random.default_rng([seed, self._generators])

    @property
    def round(self) -> int:
        """DAgger's round: the number of distinct policy versions seen; a roll-back does not add one."""
        return len(self._versions)
