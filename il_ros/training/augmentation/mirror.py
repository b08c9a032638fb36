"""Mirrored episodes, for tasks that are symmetric: each demonstration is also one of the other side.

A recipe declares the symmetry by equations between the numbers of the contract, and by the cameras and laser scans
that are reversed:

    mirror:
      - joints[base] = -joints[base]                # of a joint state: in all of its fields
      - block[position.y] = -block[position.y]
      - left[shoulder] = right[shoulder]            # and the same the other way round
      - overhead                                    # pictures: left and right change places; a scan: the beams' order

What is not named stays as it is. Texts are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.settings import guess
from il_ros.core.specs import LASER_SCAN, Vector
from il_ros.core.tables import listed_by_key
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.arrays.pictures import CompressedPictures

Array = np.ndarray[Any, Any]
Number = tuple[str, str]
"""A number of the contract: the key of its observation or action, and its element."""
Image = tuple[Number, float]
"""A number's mirror image: a number, and its sign."""

_NUMBER = r"(\w+)\[([^\[\]]+)\]"
_EQUATION = re.compile(rf"{_NUMBER}\s*=\s*([-+]?)\s*{_NUMBER}")


_MOST = 20
"""Names that are listed: each should be looked at."""


class MirrorError(ValueError):
    """A mirror that does not fit the contract; the message names the line and what would be right."""


def mirrored_too(
    episodes: Sequence[EpisodeArrays], lines: Sequence[str], contract: Contract, *, acts: bool = True
) -> list[EpisodeArrays]:
    """Return the episodes, followed by a mirrored copy of each, of the same name, where `lines` declare a mirror.

    `acts`: whether the commands are learnt, and so must be mirrored. Raises MirrorError.
    """
    if not lines:
        return list(episodes)
    mirror = Mirror.of(lines, contract, acts=acts)
    return [*episodes, *(mirror.episode(each) for each in episodes)]


@dataclass(frozen=True)
class _Side:
    """The mirror image of a vector: for each number (D,) a place in the `sources`' joined vectors, and a sign."""

    sources: tuple[str, ...]
    places: NDArray[np.intp]
    signs: Vector

    @classmethod
    def of(cls, wanted: Sequence[Number], images: Mapping[Number, Image]) -> _Side:
        """Return the side of the `wanted` numbers; `images` has that of each number, in the contract's order."""
        sources = tuple(dict.fromkeys(images[number][0][0] for number in wanted))
        joined = [number for key in sources for number in images if number[0] == key]
        places = [joined.index(images[number][0]) for number in wanted]
        return cls(sources, np.array(places, dtype=np.intp), np.array([images[each][1] for each in wanted]))

    def image(self, joined: Array) -> Vector:
        """Return the mirror image (..., D) of the sources' joined vectors."""
        found: Vector = joined[..., self.places] * self.signs
        found.setflags(write=False)
        return found


@dataclass(frozen=True)
class Mirror:
    """A declared symmetry.

    `sides`: of the numeric observations that change, by key. `command`: of the flat action vector (A,). `flipped`: the
    keys of cameras and laser scans whose order is reversed. `groups`: the action group that each one is in the mirror.
    `changed` and `unchanged`: the names of all observed and commanded numbers, and of cameras.
    """

    sides: Mapping[str, _Side]
    command: _Side
    flipped: frozenset[str]
    groups: Mapping[str, str]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]

    @classmethod
    def of(cls, lines: Sequence[str], contract: Contract, *, acts: bool = True) -> Mirror:
        """Return the mirror that the lines of a recipe declare; raises MirrorError. `acts`: see `mirrored_too`."""
        numeric = [spec for spec in contract.observations if spec.kind == "numeric"]
        observed = _unchanged((spec.key, spec.elements) for spec in numeric)
        commanded = _unchanged((spec.key, spec.names) for spec in contract.actions)
        flipped, entered = set[str](), set[Number]()
        for line in lines:
            if equation := _EQUATION.fullmatch(line.strip()):
                _enter(line, equation, (observed, commanded), entered)
            else:
                flipped.add(_flippable(line, contract))
        if acts and not any(_changes(commanded, number) for number in commanded):
            keys = ", ".join(spec.key for spec in contract.actions)
            raise MirrorError(
                f"mirror: no line changes an action ({keys}), but a mirrored task has other commands"
            )
        order = list(commanded)
        images = [order.index(commanded[number][0]) for number in order]
        command = _Side(
            (), np.array(images, dtype=np.intp), np.array([sign for _, sign in commanded.values()])
        )
        changed = dict.fromkeys(key for key, name in observed if _changes(observed, (key, name)))
        sides = {
            key: _Side.of([number for number in observed if number[0] == key], observed) for key in changed
        }
        names = {
            f"{key}/{name}": _changes(table, (key, name))
            for table in (observed, commanded)
            for key, name in table
        }
        names |= {spec.key: False for spec in contract.observations if spec.kind == "image"}
        for name in names:
            names[name] |= name.partition("/")[0] in flipped
        told = (tuple(name for name, changes in names.items() if changes is which) for which in (True, False))
        return cls(sides, command, frozenset(flipped), _groups(contract, command), *told)

    def sentence(self) -> str:
        """Return what changes and what stays, so that a number that was forgotten is seen."""
        both = (*self.changed, *self.unchanged)
        changed, unchanged = (listed_by_key(names, both, _MOST) for names in (self.changed, self.unchanged))
        return (
            f"each episode is also learnt mirrored\nchanged: {changed}\nunchanged: {unchanged or 'nothing'}"
        )

    def episode(self, episode: EpisodeArrays) -> EpisodeArrays:
        """Return the mirrored episode."""
        unlabelled = episode.unlabelled
        return replace(
            episode,
            observations=self._observations(episode.observations),
            absent=self._absent(episode.absent),
            commands=self.command.image(np.asarray(episode.commands)),
            offsets=self.command.image(np.asarray(episode.offsets)),
            authorities=self._of_groups(episode.authorities),
            group_takeovers_ns=self._of_groups(episode.group_takeovers_ns),
            unlabelled=replace(
                unlabelled,
                observations=self._observations(unlabelled.observations),
                absent=self._absent(unlabelled.absent),
            ),
        )

    def _observations(self, observations: Mapping[str, Array]) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for key, values in observations.items():
            if key in self.flipped:
                found[key] = _reversed(values)
            elif key not in self.sides:
                found[key] = values
            elif all(source in observations for source in self.sides[key].sources):
                side = self.sides[key]
                joined = np.concatenate(
                    [np.asarray(observations[source]) for source in side.sources], axis=-1
                )
                found[key] = side.image(joined)
        return found

    def _absent(self, absent: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
        found = {key: missing for key, missing in absent.items() if key not in self.sides}
        for key, side in self.sides.items():
            if missing := [absent[source] for source in side.sources if source in absent]:
                found[key] = np.any(missing, axis=0)
        return found

    def _of_groups(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {group: values[self.groups[group]] for group in values}


def _unchanged(vectors: Iterable[tuple[str, Sequence[str]]]) -> dict[Number, Image]:
    """Return each number as its own mirror image: its number and sign, by number."""
    return {(key, name): ((key, name), 1.0) for key, names in vectors for name in names}


def _changes(images: Mapping[Number, Image], number: Number) -> bool:
    return images[number] != (number, 1.0)


def _enter(
    line: str,
    equation: re.Match[str],
    tables: Sequence[dict[Number, Image]],
    entered: set[Number],
) -> None:
    """Enter an equation into the table of observations or of actions, or both, and its inverse."""
    key, name, minus, other, origin = equation.groups()
    sign = -1.0 if minus == "-" else 1.0
    pairs = [pair for table in tables for pair in _pairs(table, (key, name), (other, origin))]
    if not pairs:
        known = [_written(number) for table in tables for number in table]
        wrong = [
            _written(number)
            for number in ((key, name), (other, origin))
            if not any(_pairs(table, number, number) for table in tables)
        ]
        reason = (
            f"there is no {wrong[0]}; {guess(wrong[0], known)}"
            if wrong
            else "one side is observed, the other one commanded"
        )
        raise MirrorError(f"mirror: '{line}': {reason}")
    for table, number, image in pairs:
        for one, two in ((number, image), (image, number)):
            if one in entered and table[one] != (two, sign):
                raise MirrorError(f"mirror: '{line}' contradicts an earlier line about {_written(one)}")
            table[one] = (two, sign)
        entered |= {number, image}


def _pairs(
    table: dict[Number, Image], number: Number, image: Number
) -> list[tuple[dict[Number, Image], Number, Number]]:
    """Return the numbers of a table that an equation is about; a joint's name stands for all of its fields."""
    found = []
    for key, element in table:
        if key == number[0] and f"/{element}".endswith(f"/{number[1]}"):
            other = (image[0], element.removesuffix(number[1]) + image[1])
            if other in table:
                found.append((table, (key, element), other))
    return found


def _written(number: Number) -> str:
    return f"{number[0]}[{number[1]}]"


def _flippable(line: str, contract: Contract) -> str:
    """Return the key of a camera or laser scan; raises MirrorError when the line is neither that nor an equation."""
    specs = {spec.key: spec for spec in contract.observations}
    spec = specs.get(line.strip())
    if spec is not None and (spec.kind == "image" or spec.type == LASER_SCAN):
        return spec.key
    raise MirrorError(
        f"mirror: '{line}' is neither an equation, such as joints[base] = -joints[base], nor the key of a camera or a "
        f"laser scan"
    )


def _reversed(values: Array) -> Array:
    """Return pictures (T, H, W, C) with left and right exchanged, or scans (T, D) with the beams in the other order."""
    if isinstance(values, CompressedPictures):
        return values.flipped()
    return values[:, :, ::-1] if values.ndim == 4 else values[:, ::-1]


def _groups(contract: Contract, command: _Side) -> dict[str, str]:
    """Return the action group that each one is in the mirror; raises MirrorError when it is parts of several."""
    found = {}
    for group in contract.groups:
        origins = {
            other.name for other in contract.groups if np.isin(command.places[group.index], other.index).any()
        }
        if len(origins) > 1:
            raise MirrorError(
                f"mirror: the action group '{group.name}' mirrors parts of {' and '.join(sorted(origins))}; it must be "
                f"one whole group, because each has labels of its own"
            )
        (found[group.name],) = origins
    return found
