"""Leader arm: maps its joints to the follower's targets and engages without a jump."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from il_ros.core.specs import ActionGroup, Vector, shortest

ALIGNMENTS = ("refuse", "blend", "relative")


class MisalignedError(ValueError):
    """Leader and follower are too far apart to engage; the message names joint, difference and limit."""


@dataclass(frozen=True)
class LeaderJoint:
    """action = scale * leader joint + offset; a negative scale reverses the direction."""

    action: str
    joint: str
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.scale) or self.scale == 0 or not np.isfinite(self.offset):
            raise ValueError(
                f"{self.action}: scale {self.scale} and offset {self.offset} must be finite, the scale not 0"
            )


def parse_joints(
    lines: Sequence[str], actions: Sequence[str], groups: Sequence[ActionGroup] = ()
) -> tuple[LeaderJoint, ...]:
    """Parse lines "ACTION JOINT [SCALE [OFFSET]]" and return one joint per action, in the order of `actions`.

    `groups`: the contract's action groups; those without any line are left out.
    Raises ValueError naming the wrong line, or the action without a line.
    """
    joints: dict[str, LeaderJoint] = {}
    for line in lines:
        words = line.split()
        if not 2 <= len(words) <= 4:
            raise ValueError(f"joints: '{line}' must be 'ACTION JOINT [SCALE [OFFSET]]'")
        if words[0] not in actions or words[0] in joints:
            problem = "is assigned twice" if words[0] in joints else "is not an action of the contract"
            raise ValueError(f"joints: '{words[0]}' {problem}; the contract has: {', '.join(actions)}")
        try:
            joints[words[0]] = LeaderJoint(words[0], words[1], *map(float, words[2:]))
        except ValueError as error:
            raise ValueError(f"joints: '{line}': {error}") from error
    for group in groups if len(groups) > 1 and joints else ():
        own = [actions[place] for place in group.columns]
        if not any(action in joints for action in own):
            actions = [action for action in actions if action not in own]
    missing = [action for action in actions if action not in joints]
    if missing:
        whole = " of its group" if len(groups) > 1 and joints else ""
        raise ValueError(f"joints: no line for '{missing[0]}'; every action{whole} needs one")
    return tuple(joints[action] for action in actions)


@dataclass(frozen=True)
class Alignment:
    """How to engage when leader and follower positions differ.

    refuse: do not engage when a joint differs by more than `max_difference`. blend: as refuse, but fade the
    difference out over `blend_s` seconds. relative: keep the difference, however large.
    """

    how: str = "refuse"
    max_difference: float = 0.2
    blend_s: float = 2.0

    def __post_init__(self) -> None:
        if self.how not in ALIGNMENTS:
            raise ValueError(f"alignment must be one of {', '.join(ALIGNMENTS)}, not '{self.how}'")
        if self.max_difference <= 0 or self.blend_s <= 0:
            raise ValueError(
                f"max_difference {self.max_difference} and blend_s {self.blend_s} must be positive"
            )


class Leader:
    """Converts the leader's joints to targets (A,) while engaged.

    `turns` (A,): the whole turn of each action that is a continuous joint's, 0 for the others; None: there is no such
    joint. The leader's joint (in rad) is then followed past the end of its turn, and differences are the shortest way.
    """

    def __init__(
        self, joints: Sequence[LeaderJoint], alignment: Alignment, turns: Vector | None = None
    ) -> None:
        self._joints = tuple(joints)
        self._alignment = alignment
        self._turns = np.zeros(len(self._joints)) if turns is None else turns
        self._followed: dict[str, float] = {}
        self._difference: Vector | None = None
        self._engaged_s = 0.0

    @property
    def joints(self) -> tuple[str, ...]:
        """The names of the leader's joints that are needed."""
        return tuple(joint.joint for joint in self._joints)

    @property
    def engaged(self) -> bool:
        """True between engage and release."""
        return self._difference is not None

    def mapped(self, positions: Mapping[str, float]) -> Vector:
        """Map the leader's joints (name → rad or m) to follower positions (A,).

        Raises ValueError naming a joint that is missing or not finite.
        """
        values = []
        for joint, turn in zip(self._joints, self._turns, strict=True):
            if joint.joint not in positions:
                raise ValueError(f"the leader reports no '{joint.joint}'; it has: {', '.join(positions)}")
            if not np.isfinite(positions[joint.joint]):
                raise ValueError(f"the leader's '{joint.joint}' is {positions[joint.joint]}")
            position = positions[joint.joint]
            if turn and self.engaged:
                before = self._followed.get(joint.action, position)
                position = before + math.remainder(position - before, 2 * math.pi)
                self._followed[joint.action] = position
            values.append(joint.scale * position + joint.offset)
        return np.array(values)

    def engage(self, positions: Mapping[str, float], measured: Vector, now_s: float) -> None:
        """Engage; `measured` (A,): the follower's positions. Raises MisalignedError when too far apart."""
        self.release()
        difference = shortest(measured - self.mapped(positions), self._turns)
        worst = int(np.argmax(np.abs(difference)))
        limit = self._alignment.max_difference
        if self._alignment.how != "relative" and not abs(difference[worst]) <= limit:
            raise MisalignedError(
                f"{self._joints[worst].action}: the follower is {difference[worst]:+.3f} from the leader's "
                f"{self._joints[worst].joint}, {limit:g} is allowed; bring the leader nearer"
            )
        self._difference, self._engaged_s = difference, now_s
        self.mapped(positions)  # from here on, continuous joints are followed

    def release(self) -> None:
        """Disengage; may be called at any time."""
        self._difference = None
        self._followed.clear()

    def target(self, positions: Mapping[str, float], now_s: float) -> Vector:
        """Return the targets (A,) for the leader's current joints; raises ValueError when not engaged."""
        if self._difference is None:
            raise ValueError("the leader is not engaged")
        mapped = self.mapped(positions)
        if self._alignment.how == "relative":
            return mapped + self._difference
        if self._alignment.how == "refuse":
            return mapped  # the supervisor ramps the small remaining difference
        left = 1.0 - (now_s - self._engaged_s) / self._alignment.blend_s
        return mapped + self._difference * min(1.0, max(0.0, left))
