"""The options of all modes, and construction of a mode from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from il_ros.control.supervisor.arbitration import Mode, Priority
from il_ros.core.contract import Contract
from il_ros.interactive.modes.authority import Dagger, HumanGated, ShadowMode, SingleSource
from il_ros.interactive.modes.beta import BetaSchedule, Mixer, QuerySampler
from il_ros.interactive.modes.gate import GatedOptions
from il_ros.interactive.modes.gated import Gated
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.records.labelling import EXPERT, MODES, POLICY


@dataclass(frozen=True)
class ModeOptions:
    """The name of the mode, and the options of the modes `dagger` and `gated`.

    dagger: `beta` (a `BetaSchedule`); the driver is drawn once per `unit`, a segment being `segment` steps,
    by a generator with `seed`; `round_index` below 0: the number of policy versions seen; `queried`: the share
    of the policy's ticks at which the expert is queried for a label.
    Raises ValueError on an invalid option.
    """

    mode: str = "priority"
    beta: str = "exponential:0.85"
    unit: str = "step"
    segment: int = 20
    seed: int = 0
    round_index: int = -1
    queried: float = 1.0
    gated: GatedOptions = field(default_factory=GatedOptions)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not '{self.mode}'")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")
        if not 0 < self.queried <= 1:
            raise ValueError(f"queried must be above 0 and at most 1, not {self.queried}")
        BetaSchedule(self.beta)
        Mixer(self.unit, self.segment, np.random.default_rng(self.seed))


def make_mode(options: ModeOptions, contract: Contract, sources: Sequence[str], memory: ModeMemory) -> Mode:
    """Return the mode that `options` describe, for these sources.

    Raises ValueError when a source that the mode needs is missing.
    """
    if options.mode == "priority":
        return Priority()
    missing = [name for name in (POLICY, EXPERT) if name not in sources]
    if missing:
        raise ValueError(
            f"mode {options.mode} needs the sources policy and expert; the sources are: {', '.join(sources)}"
        )
    if options.mode == "shadow":
        return ShadowMode(memory)
    if options.mode == "dagger":
        draws = memory.generator(options.seed)
        queries = QuerySampler(options.queried, draws.spawn(1)[0])
        mixer, schedule = Mixer(options.unit, options.segment, draws), BetaSchedule(options.beta)
        return Dagger(memory, schedule, mixer, queries, contract.period_ns, options.round_index)
    if options.mode == "hg_dagger":
        return HumanGated(memory)
    if options.mode == "gated":
        return Gated(memory, options.gated, contract.rate_hz)
    return SingleSource(options.mode, memory)
