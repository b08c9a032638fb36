"""Uncertainty models: different measures, calibrated so that 5 % of held-out frames exceed 1.

| kind     | uncertainty                                                                                     |
|----------|-------------------------------------------------------------------------------------------------|
| raw      | the network's own (ensemble, Gaussian), in normalised actions; otherwise chunk disagreement     |
| own      | the network's own, calibrated                                                                   |
| distance | distance from the state to the nearest demonstrated state, calibrated                           |
| chunk    | disagreement of consecutive chunks, calibrated                                                  |

Distances are RMS over normalised features; images are ignored. All calibrated kinds work with the same
thresholds. Where the contract has action groups, own and chunk have a value for each group, with a scale of its own.

Chunk disagreement depends on how the chunks are used: it grows with the ticks from one chunk to the next, and the steps
that the second one continues (`previous` of `PolicyModel.sample`) do not count. It therefore has a scale for each of
several uses, and that of the use most like the present one is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import WHOLE, Vector
from il_ros.policies.disagreement import Difference, chunk_differences, rms
from il_ros.policies.window import Array

RAW, OWN, DISTANCE, CHUNK = KINDS = ("raw", "own", "distance", "chunk")
QUANTILE = 0.95
LANDMARKS = 512
"""Maximum number of demonstrated states that are stored."""
GroupColumns = Mapping[str, NDArray[np.intp]]
"""The places of each action group's learnt numbers; empty where there is one group."""
_CANDIDATES = 20_000
_SMALLEST = 1e-9


class PolicyAnswer(NamedTuple):
    """The answer of a policy to one window: the absolute commands (H, A), and the parts of its uncertainty.

    `own`: that of the network, calibrated; None: it has none. `beyond`: the distance of the state from what was shown.
    `own_by_group`: that of each action group; None: it is known as a whole only, or there is one group.
    `way`: which of the policy's `ways` the chunk belongs to; None: it keeps none apart.
    """

    commands: Vector
    own: float | None
    beyond: float
    own_by_group: Mapping[str, float] | None = None
    way: int | None = None

    @property
    def uncertainty(self) -> float | None:
        """Both parts in one number >= 0, None if nothing is known and the state is within what was shown."""
        return (self.own or 0.0) + self.beyond if self.beyond else self.own

    @property
    def uncertainties(self) -> Mapping[str, float] | None:
        """Both parts by action group, where they are known."""
        by_group = self.own_by_group
        return None if by_group is None else {group: own + self.beyond for group, own in by_group.items()}


class ChunkUse(NamedTuple):
    """How two chunks follow each other: `ticks` apart, the second one's first `committed` steps of the first."""

    ticks: int = 1
    committed: int = 0


class UncertaintyScale(NamedTuple):
    """The raw uncertainty that maps to 1, of an action group (WHOLE: of all actions), in one use of chunks."""

    value: float
    group: str = WHOLE
    use: ChunkUse = ChunkUse()


@dataclass(frozen=True, eq=False)
class UncertaintyModel:
    """`kind`: see the table; `scale`: the raw uncertainty that maps to 1; `shown` (K, F): normalised states.

    `scales`: those of action groups and of uses of chunks; without any, `scale` is for all of them.
    Raises ValueError on invalid values.
    """

    kind: str = RAW
    scale: float = 1.0
    shown: Array = field(default_factory=lambda: np.empty((0, 0), np.float32), repr=False)
    scales: tuple[UncertaintyScale, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"uncertainty must be one of {', '.join(KINDS)}, not '{self.kind}'")
        for value in (self.scale, *(each.value for each in self.scales)):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"the uncertainty's scale must be finite and above 0, not {value}")
        for _, _, use in self.scales:
            if not (use.ticks >= 1 and use.committed >= 0):
                raise ValueError(
                    f"ticks must be 1 or more and committed 0 or more, not {use.ticks}, {use.committed}"
                )
        if self.kind == DISTANCE and (self.shown.ndim != 2 or not self.shown.size):
            raise ValueError("uncertainty by distance needs demonstrated states (K, F)")
        if not np.isfinite(self.shown).all():
            raise ValueError("demonstrated states must be finite numbers")

    def of(self, state: Array, own: float | None) -> float | None:
        """Return the uncertainty at a normalised state (F,), given the network's own; None if unknown."""
        if self.kind == RAW:
            return own
        if self.kind == CHUNK:
            return None
        return self.calibrated(distance(self.shown, state) if self.kind == DISTANCE else own)

    def of_groups(self, own: Mapping[str, float]) -> Mapping[str, float] | None:
        """Return the uncertainty of each action group, given the network's own of each; None if unknown."""
        if self.kind == RAW:
            return own
        if self.kind != OWN:
            return None
        return {group: value / self.scale_of(group) for group, value in own.items()}

    def of_chunks(
        self, before: Vector, after: Vector, use: ChunkUse, difference: Difference, columns: GroupColumns
    ) -> tuple[float | None, Mapping[str, float] | None]:
        """Return the disagreement of two chunks (H, A), as a whole and by action group; None if they do not overlap."""
        apart = _apart(before, after, use, difference)
        if apart is None:
            return None, None
        by_group = {
            group: rms(apart[:, places]) / self.scale_of(group, use) for group, places in columns.items()
        }
        return rms(apart) / self.scale_of(WHOLE, use), by_group or None

    def calibrated(self, raw: float | None) -> float | None:
        """Return a raw uncertainty in units of the scale."""
        return None if raw is None else raw / self.scale

    def scale_of(self, group: str = WHOLE, use: ChunkUse = ChunkUse()) -> float:  # noqa: B008 - immutable
        """Return the scale of a group in the use of chunks that is most like this one."""
        own = [each for each in self.scales if each.group == group]
        own = own or [each for each in self.scales if each.group == WHOLE]
        if not own:
            return self.scale
        return min(own, key=lambda each: _unlike(each.use, use)).value


def _unlike(one: ChunkUse, other: ChunkUse) -> tuple[float, int]:
    return abs(math.log2(one.ticks / other.ticks)), abs(one.committed - other.committed)


def _apart(before: Vector, after: Vector, use: ChunkUse, difference: Difference) -> Vector | None:
    """Return the differences (K, L) of two chunks beyond the committed steps, None if there are none."""
    return chunk_differences(before, after[use.committed :], use.ticks + use.committed, difference)


def distance(shown: Array, state: Array) -> float:
    """Return the RMS distance from a state (F,) to the nearest demonstrated state in (K, F)."""
    apart = shown - state.astype(np.float32)
    return float(np.sqrt(np.einsum("kf,kf->k", apart, apart).min() / shown.shape[1]))


def landmarks(states: Array, count: int = LANDMARKS) -> Array:
    """Return at most `count` of the states (N, F) by farthest-point sampling (Gonzalez 1985)."""
    step = -(-len(states) // _CANDIDATES)
    left = states[::step].astype(np.float32)
    chosen = [0]
    nearest = np.full(len(left), np.inf, np.float32)
    while len(chosen) < min(count, len(left)):
        apart = left - left[chosen[-1]]
        nearest = np.minimum(nearest, np.einsum("nf,nf->n", apart, apart))
        if nearest.max() <= 0:
            break
        chosen.append(int(nearest.argmax()))
    return left[chosen]


class HeldOut(NamedTuple):
    """What uncertainty is calibrated on. `answers`: each normalised state (F,) and what the policy answers there.

    `chunks`: pairs of chunks (H, A) that follow each other, by their use.
    """

    answers: Sequence[tuple[Array, PolicyAnswer]]
    chunks: Mapping[ChunkUse, Sequence[tuple[Vector, Vector]]]


def calibrate(
    kind: str, states: Array, held_out: HeldOut, difference: Difference, columns: GroupColumns | None = None
) -> UncertaintyModel:
    """Return the calibrated uncertainty model of a kind; `states` (N, F): the training states.

    `difference`: that of two commands, in normalised actions. `columns`: the action groups.
    Raises ValueError if the kind is not available: no numeric state, no own uncertainty, or chunks of one
    step.
    """
    if kind == RAW:
        return UncertaintyModel()
    shown = np.empty((0, 0), np.float32)
    if kind == DISTANCE:
        if not states.size:
            raise ValueError("uncertainty: distance needs numeric observations; this policy has none")
        shown = landmarks(states)
        scale = _edge(distance(shown, state) for state, _ in held_out.answers)
        scales: tuple[UncertaintyScale, ...] = ()
    elif kind == OWN:
        scale, scales = _own_scales([answer for _, answer in held_out.answers])
    else:
        scale, scales = _chunk_scales(held_out, difference, columns or {})
    return UncertaintyModel(kind, scale, shown, scales)


def _own_scales(answers: Sequence[PolicyAnswer]) -> tuple[float, tuple[UncertaintyScale, ...]]:
    found = [answer.own for answer in answers if answer.own is not None]
    if not found:
        raise ValueError("uncertainty: own is not available: its network predicts none")
    scale = _edge(found)
    by_group = [answer.own_by_group for answer in answers if answer.own_by_group is not None]
    if not by_group:
        return scale, ()
    groups = [UncertaintyScale(_edge(each[name] for each in by_group), name) for name in by_group[0]]
    return scale, (UncertaintyScale(scale), *groups)


def _chunk_scales(
    held_out: HeldOut, difference: Difference, columns: GroupColumns
) -> tuple[float, tuple[UncertaintyScale, ...]]:
    scales = []
    for use, pairs in held_out.chunks.items():
        found = [apart for pair in pairs if (apart := _apart(*pair, use, difference)) is not None]
        if found:
            scales.append(UncertaintyScale(_edge(map(rms, found)), WHOLE, use))
            scales += [
                UncertaintyScale(_edge(rms(apart[:, places]) for apart in found), group, use)
                for group, places in columns.items()
            ]
    if not scales:
        raise ValueError("uncertainty: chunk is not available: horizon must be at least 2")
    return UncertaintyModel(CHUNK, scales=tuple(scales)).scale_of(), tuple(scales)


def _edge(found: Iterable[float]) -> float:
    """Return the scale with which 5 % of the found values exceed 1."""
    return max(float(np.quantile(list(found), QUANTILE)), _SMALLEST)
