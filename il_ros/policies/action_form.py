"""What a network learns of an action: numbers in which near commands are near, and one command has one value.

| action                           | learnt as                                                                  |
|----------------------------------|----------------------------------------------------------------------------|
| absolute number                  | the number                                                                 |
| delta                            | its difference to the measured value; of a continuous joint, the shortest way |
| absolute, of a continuous joint  | cosine and sine of the angle                                               |
| orientation of a pose            | two columns of the rotation matrix (`rotations`)                           |

Policies of before 2026-11-29 learnt the four numbers of a quaternion; they keep this form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import POSE, Vector
from il_ros.core.tables import counted
from il_ros.policies.rotations import columns_of, quaternions_of

Observation = Mapping[str, np.ndarray[Any, Any]]

_ORIENTATION = slice(3, 7)  # of a pose's seven numbers


@dataclass(frozen=True)
class ActionForm:
    """The learnt form of a contract's actions: L numbers for A commanded ones.

    `former`: the form of policies of before 2026-11-29. All methods work on chunks and on single actions.
    """

    contract: Contract
    former: bool = False

    @classmethod
    def of_size(cls, contract: Contract, size: int) -> ActionForm:
        """Return the form in which a policy learnt `size` numbers; raises ValueError when there is none."""
        forms = (cls(contract), cls(contract, former=True))
        for form in forms:
            if form.size == size:
                return form
        sizes = " or ".join(dict.fromkeys(str(form.size) for form in forms))
        raise ValueError(f"actions has {counted(size, 'value')}; required: {sizes}")

    @property
    def size(self) -> int:
        """The count of learnt numbers L."""
        return len(self.names)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each learnt number (L)."""
        names = [self.contract.action_names[index] for index in self._plain]
        names += [
            f"{self.contract.action_names[index]} {part}" for index in self._angles for part in ("cos", "sin")
        ]
        keys = [self.contract.action_names[part.start].partition("/")[0] for part in self._orientations]
        return (*names, *(f"{key}/orientation.{place}" for key in keys for place in range(6)))

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """The group of each learnt number (L,): those of one angle or one orientation share a scale."""
        plain, angles = len(self._plain), len(self._angles)
        shared = [
            *np.repeat(np.arange(angles), 2),
            *np.repeat(angles + np.arange(len(self._orientations)), 6),
        ]
        return np.array([*range(plain), *(plain + np.array(shared, np.intp))], np.intp)

    @cached_property
    def group_of(self) -> NDArray[np.intp]:
        """The contract's action group of each learnt number (L,), as an index of its groups."""
        of_key = {key: place for place, group in enumerate(self.contract.groups) for key in group.keys}
        return np.array([of_key[name.partition("/")[0]] for name in self.names], np.intp)

    @cached_property
    def columns_by_group(self) -> Mapping[str, NDArray[np.intp]]:
        """The places of each action group's learnt numbers; empty where there is one group."""
        groups = self.contract.groups if self.contract.grouped else ()
        return {group.name: np.flatnonzero(self.group_of == place) for place, group in enumerate(groups)}

    @cached_property
    def ranges(self) -> Vector:
        """The range of each learnt number (L,): by the contract's limits, infinite without any."""
        limits = [np.subtract(action.limits.upper, action.limits.lower) for action in self.contract.actions]
        return np.concatenate(
            [np.concatenate(limits)[self._plain], np.full(self.size - len(self._plain), 2.0)]
        )

    def learnt(self, commands: Vector, offset: Vector) -> Vector:
        """Return absolute commands (..., H, A) as they are learnt (..., H, L).

        `offset` (..., 1, A): the measured value of delta actions, 0 of others, at the tick of the chunk. A continuous
        joint goes on over the end of its turn along the chunk.
        """
        differences = actions.differences(self.contract, commands, offset)
        for index in self._turning:  # later steps may be more than half a turn away
            turn = self.contract.turns[index]
            differences[..., index] = np.unwrap(differences[..., index], axis=-1, period=turn)
        return self._formed(differences, commands)

    def learnt_at(self, commands: Vector, observation: Observation) -> Vector:
        """Return absolute commands (H, A) as they are learnt (H, L), at one observation; see `learnt`."""
        offset = actions.absolute(self.contract, np.zeros(self.contract.action_size), observation)
        return self.learnt(commands, offset[None])

    def commands(self, learnt: Vector, observation: Observation) -> Vector:
        """Return learnt actions (..., L) as absolute commands (..., A), at one observation.

        Angles are in the turn of the measured ones, orientations of the sign of the measured quaternion.
        Raises ValueError when the numbers of an orientation say no rotation.
        """
        if self._unchanged:
            return np.array(learnt, dtype=np.float64)
        out = np.zeros((*learnt.shape[:-1], self.contract.action_size))
        out[..., self._plain] = learnt[..., : len(self._plain)]
        out = actions.absolute(self.contract, out, observation)
        if not self._changes:
            return out
        measured = actions.measured(self.contract, observation)
        place = len(self._plain)
        for index in self._angles:
            turn = self.contract.turns[index]
            angle = np.arctan2(learnt[..., place + 1], learnt[..., place]) * (turn / (2 * np.pi))
            near = measured[index] if np.isfinite(measured[index]) else 0.0
            out[..., index] = near + actions.shortest((angle - near)[..., None], np.array([turn]))[..., 0]
            place += 2
        for part in self._orientations:
            quaternions = quaternions_of(learnt[..., place : place + 6])
            against = (quaternions @ np.nan_to_num(measured[part]))[..., None] < 0
            out[..., part] = np.where(against, -quaternions, quaternions)
            place += 6
        return out

    def difference(self, commands: Vector, others: Vector) -> Vector:
        """Return the difference (..., L) of absolute commands (..., A), as it is learnt."""
        apart = actions.shortest(commands - others, self.contract.turns)
        return self._formed(apart, commands) - self._formed(np.zeros_like(apart), others)

    def _formed(self, plain: Vector, commands: Vector) -> Vector:
        """Return the learnt numbers (..., L): the plain ones from the first, the others from the commands."""
        if not self._changes:
            return plain
        parts = [plain[..., self._plain]]
        for index in self._angles:
            angle = commands[..., index] * (2 * np.pi / self.contract.turns[index])
            parts.append(np.stack([np.cos(angle), np.sin(angle)], axis=-1))
        parts += [columns_of(commands[..., part]) for part in self._orientations]
        return np.concatenate(parts, axis=-1)

    @property
    def _changes(self) -> bool:
        return bool(self._angles or self._orientations)

    @cached_property
    def _unchanged(self) -> bool:
        """Whether absolute commands are learnt as they are."""
        return not self._changes and not self._is_delta.any()

    @cached_property
    def _orientations(self) -> tuple[slice, ...]:
        """The places of the orientations in the flat action."""
        firsts = [
            self.contract.action_slices[action.key].start
            for action in self.contract.actions
            if action.type == POSE and not self.former
        ]
        return tuple(slice(first + _ORIENTATION.start, first + _ORIENTATION.stop) for first in firsts)

    @cached_property
    def _angles(self) -> tuple[int, ...]:
        """The places of the continuous joints that are commanded absolutely."""
        return tuple(np.flatnonzero((self.contract.turns > 0) & ~self._is_delta).tolist())

    @cached_property
    def _turning(self) -> tuple[int, ...]:
        """The places of the continuous joints that are commanded as deltas."""
        return tuple(np.flatnonzero((self.contract.turns > 0) & self._is_delta).tolist())

    @cached_property
    def _is_delta(self) -> NDArray[np.bool_]:
        return np.concatenate([np.full(each.size, each.mode == "delta") for each in self.contract.actions])

    @cached_property
    def _is_special(self) -> NDArray[np.bool_]:
        special = np.zeros(self.contract.action_size, dtype=bool)
        special[list(self._angles)] = True
        for part in self._orientations:
            special[part] = True
        return special

    @cached_property
    def _plain(self) -> NDArray[np.intp]:
        return np.flatnonzero(~self._is_special)
