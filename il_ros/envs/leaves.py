"""The parts of a Gymnasium space as streams: each leaf is one topic, one key of the contract, one message type.

| leaf | observed | commanded |
|---|---|---|
| Box of numbers | its numbers, flat | bounded numbers, flat |
| Box of uint8, (H, W, 3), (H, W, 1) or (H, W) from 32 x 32 pixels | a picture | - |
| Discrete, MultiDiscrete | 1 for the value, 0 for the others (of each part) | a choice (each part its own) |
| MultiBinary | its numbers | a choice of off and on for each part |
| Text | text | - |
| Dict, Tuple | one or more leaves per entry, named after it | the same |

All conversions are exact: numbers travel as float64, which holds float32 and whole numbers up to 2^53.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import ARRAY, BOUNDED, CHOICE, IMAGE, MOST_NUMBERS, MOST_PIXELS, STRING, Vector
from il_ros.core.tables import counted
from il_ros.envs.tasks import SpaceError
from il_ros.sim.tasks import reading

LEAST_PICTURE = 32
"""Pixels of a picture's sides; a smaller Box of uint8, such as a grid of symbols, is numbers."""
LARGEST_BOUND = 1e9
LARGEST_WHOLE = 2**53
OBSERVATION, ACTION = "observation", "action"


@dataclass(frozen=True)
class ObservedLeaf:
    """One observed part: `encode(value, stamp_ns)` makes its message. `size`: its numbers; 0 for pictures and text."""

    key: str
    topic: str
    type: str
    space: spaces.Space
    take: Callable[[Any], Any]
    size: int
    encode: Callable[[Any, int], Message]

    def message(self, observation: Any, stamp_ns: int) -> Message:
        """Return the message of the environment's observation; raises SpaceError on a number that is not exact."""
        return self.encode(self.take(observation), stamp_ns)


@dataclass(frozen=True)
class CommandedLeaf:
    """One commanded part, with `names` of its numbers (A_k,); `lower` and `upper` of bounded ones."""

    key: str
    topic: str
    space: spaces.Space
    quantity: str
    names: tuple[str, ...]
    lower: Vector
    upper: Vector


def observed_leaves(space: spaces.Space) -> tuple[ObservedLeaf, ...]:
    """Return the leaves of an observation space; raises SpaceError naming the one that does not fit."""
    return _distinct(tuple(_observed(space, (), lambda value: value)))


def commanded_leaves(space: spaces.Space) -> tuple[CommandedLeaf, ...]:
    """Return the leaves of an action space; raises SpaceError naming the one that does not fit."""
    return _distinct(tuple(_commanded(space, ())))


def to_numbers(space: spaces.Space, action: Any) -> dict[str, Vector]:
    """Return the numbers (A_k,) of each commanded leaf, by key, of an action of the environment.

    Raises SpaceError when the action does not belong to the space in shape or choice; numbers may exceed the bounds.
    """
    return dict(_numbers(space, action, ()))


def to_action(space: spaces.Space, numbers: Mapping[str, Vector]) -> Any:
    """Return the environment's action of the numbers (A_k,) of each commanded leaf, by key.

    Of a choice the largest number counts. Whole numbers of a Box are rounded to the nearest one.
    """
    return _action(space, numbers, ())


# ---- observed --------------------------------------------------------------------------------------------


def _observed(
    space: spaces.Space, path: tuple[str, ...], take: Callable[[Any], Any]
) -> Iterator[ObservedLeaf]:
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        for name, part in _parts(space):
            yield from _observed(part, (*path, str(name)), _entry(take, name))
        return
    type_name, size, encode = _observation_of(space, path)
    yield ObservedLeaf(
        _key(path, OBSERVATION), _topic(path, OBSERVATION), type_name, space, take, size, encode
    )


def _entry(take: Callable[[Any], Any], name: Any) -> Callable[[Any], Any]:
    return lambda value: take(value)[name]


def _observation_of(
    space: spaces.Space, path: tuple[str, ...]
) -> tuple[str, int, Callable[[Any, int], Message]]:
    where = _where(path, OBSERVATION)
    if isinstance(space, spaces.Text):
        return STRING, 0, lambda value, stamp_ns: messages.make(STRING, data=str(value))
    if isinstance(space, spaces.Discrete):
        return _array(
            where, space, int(space.n), lambda value: _one_hot(int(value) - int(space.start), space.n)
        )
    if isinstance(space, spaces.MultiDiscrete):
        counts, starts = np.ravel(space.nvec), np.ravel(space.start)

        def hot(value: Any) -> Vector:
            parts = zip(np.ravel(value) - starts, counts, strict=True)
            return np.concatenate([_one_hot(int(one), int(count)) for one, count in parts])

        return _array(where, space, int(counts.sum()), hot)
    if isinstance(space, spaces.MultiBinary):
        return _array(where, space, int(np.prod(space.shape)), lambda value: np.ravel(value).astype(float))
    if not isinstance(space, spaces.Box):
        raise SpaceError(
            f"{where} is {space}; only Box, Discrete, MultiDiscrete, MultiBinary, Text, Dict and Tuple can be "
            "recorded: convert it with a wrapper, such as gymnasium.wrappers.TransformObservation"
        )
    if _is_picture(space, where):
        channels = space.shape[2] if len(space.shape) == 3 else 1
        encoding = "rgb8" if channels == 3 else "mono8"
        frame = _key(path, OBSERVATION)
        return IMAGE, 0, lambda value, stamp_ns: reading.pixels(stamp_ns, frame, np.asarray(value), encoding)
    return _array(where, space, int(np.prod(space.shape)), lambda value: exact(value, where))


def _array(
    where: str, space: spaces.Space, size: int, numbers: Callable[[Any], Vector]
) -> tuple[str, int, Callable[[Any, int], Message]]:
    if not 1 <= size <= MOST_NUMBERS:
        raise SpaceError(
            f"{where} is {space} with {counted(size, 'number')}; 1 to {MOST_NUMBERS} are possible"
        )
    return ARRAY, size, lambda value, stamp_ns: messages.make(ARRAY, data=numbers(value))


def _is_picture(space: spaces.Box, where: str) -> bool:
    shape = space.shape
    if space.dtype != np.uint8 or len(shape) not in (2, 3) or min(shape[:2]) < LEAST_PICTURE:
        if space.dtype == np.uint8 and len(shape) == 3 and min(shape[1:]) >= LEAST_PICTURE:
            raise SpaceError(
                f"{where} is {space}: a picture needs its channels last, (height, width, 3) or (height, width, 1); "
                "transpose it with gymnasium.wrappers.TransformObservation"
            )
        return False
    if len(shape) == 3 and shape[2] not in (1, 3):
        raise SpaceError(f"{where} is {space}: a picture has 3 channels (rgb) or 1, not {shape[2]}")
    if shape[0] * shape[1] > MOST_PIXELS:
        raise SpaceError(f"{where} is {space}: a picture has at most {MOST_PIXELS} pixels")
    return True


# ---- commanded -------------------------------------------------------------------------------------------


def _commanded(space: spaces.Space, path: tuple[str, ...]) -> Iterator[CommandedLeaf]:
    where = _where(path, ACTION)
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        for name, part in _parts(space):
            yield from _commanded(part, (*path, str(name)))
    elif isinstance(space, (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
        for place, count in _choices(space, where):
            names = ("off", "on") if isinstance(space, spaces.MultiBinary) else _numbered("choice", count)
            yield _leaf((*path, *place), space, CHOICE, names, np.zeros(count), np.ones(count))
    elif isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.number):
        lower, upper = (np.ravel(bound).astype(np.float64) for bound in (space.low, space.high))
        if not len(lower):
            raise SpaceError(f"{where} is {space}, without a number to command")
        if not (np.abs([lower, upper]) <= LARGEST_BOUND).all():
            raise SpaceError(
                f"{where} is {space}: a command needs finite bounds, at most {LARGEST_BOUND:g}; set them with "
                "gymnasium.wrappers.RescaleAction or ClipAction"
            )
        if not (lower < upper).all():
            raise SpaceError(f"{where} is {space}: each lower bound must be below the upper one")
        names = _numbered(_key(path, ACTION), len(lower))
        yield _leaf(path, space, BOUNDED, names, lower, upper)
    else:
        raise SpaceError(
            f"{where} is {space}; only Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple can be commanded: "
            "convert it with a wrapper, such as gymnasium.wrappers.TransformAction"
        )


def _leaf(
    path: tuple[str, ...],
    space: spaces.Space,
    quantity: str,
    names: tuple[str, ...],
    lower: Vector,
    upper: Vector,
) -> CommandedLeaf:
    return CommandedLeaf(_key(path, ACTION), _topic(path, ACTION), space, quantity, names, lower, upper)


def _choices(space: spaces.Space, where: str) -> list[tuple[tuple[str, ...], int]]:
    """Return the place and the number of choices of each part of a discrete space."""
    found: list[tuple[tuple[str, ...], int]]
    if isinstance(space, spaces.Discrete):
        found = [((), int(space.n))]
    elif isinstance(space, spaces.MultiDiscrete):
        found = [((str(place),), int(count)) for place, count in enumerate(np.ravel(space.nvec))]
    else:
        found = [((str(place),), 2) for place in range(int(np.prod(space.shape)))]
    for _, count in found:
        if count < 2:
            raise SpaceError(f"{where} is {space}: a choice needs two or more possibilities, not {count}")
    return found


def _numbers(space: spaces.Space, action: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Vector]]:
    where = _where(path, ACTION)
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        for name, part in _parts(space):
            try:
                value = action[name]
            except (KeyError, IndexError, TypeError) as error:
                raise SpaceError(f"{where} has no '{name}': {action!r}") from error
            yield from _numbers(part, value, (*path, str(name)))
        return
    values = np.ravel(np.asarray(action))
    if isinstance(space, spaces.Box):
        if np.shape(action) != space.shape:
            raise SpaceError(f"{where} is {space}, not of shape {np.shape(action)}")
        yield _key(path, ACTION), exact(values, where)
        return
    places = _choices(space, where)
    if len(values) != len(places):
        raise SpaceError(f"{where} is {space}, not {action!r}")
    starts = np.zeros(len(values)) if isinstance(space, spaces.MultiBinary) else np.ravel(space.start)
    for (place, count), value, start in zip(places, values, starts, strict=True):
        index = float(value) - float(start)
        if not (index.is_integer() and 0 <= index < count):
            raise SpaceError(f"{where} is {space}, which has no {value!r}")
        yield _key((*path, *place), ACTION), _one_hot(int(index), count)


def _action(space: spaces.Space, numbers: Mapping[str, Vector], path: tuple[str, ...]) -> Any:
    if isinstance(space, spaces.Dict):
        return {name: _action(part, numbers, (*path, str(name))) for name, part in _parts(space)}
    if isinstance(space, spaces.Tuple):
        return tuple(_action(part, numbers, (*path, str(name))) for name, part in _parts(space))
    if isinstance(space, spaces.Box):
        values = numbers[_key(path, ACTION)].reshape(space.shape)
        whole = np.issubdtype(space.dtype, np.integer)
        return (np.rint(values) if whole else values).astype(space.dtype)
    places = _choices(space, _where(path, ACTION))
    chosen = np.array([int(np.argmax(numbers[_key((*path, *place), ACTION)])) for place, _ in places])
    if isinstance(space, spaces.Discrete):
        return space.start + space.dtype.type(chosen[0])
    if isinstance(space, spaces.MultiDiscrete):
        return (chosen.reshape(space.shape) + space.start).astype(space.dtype)
    return chosen.reshape(space.shape).astype(space.dtype)


# ---- names and numbers -----------------------------------------------------------------------------------


def exact(value: Any, where: str) -> Vector:
    """Return numbers as a flat float64 array; raises SpaceError naming `where` if one would be rounded."""
    given = np.ravel(np.asarray(value))
    if np.issubdtype(given.dtype, np.integer) and (np.abs(given.astype(object)) > LARGEST_WHOLE).any():
        raise SpaceError(f"{where} has a whole number beyond 2^53, which a float64 would round: {given}")
    numbers: Vector = given.astype(np.float64)
    return numbers


def _one_hot(index: int, count: int) -> Vector:
    numbers = np.zeros(int(count))
    if not 0 <= index < count:
        raise SpaceError(f"value {index} is not one of {count} choices (from 0)")
    numbers[index] = 1.0
    return numbers


def _parts(space: spaces.Space) -> list[tuple[Any, spaces.Space]]:
    return list(space.spaces.items()) if isinstance(space, spaces.Dict) else list(enumerate(space.spaces))


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}_{index}" for index in range(count))


def _key(path: tuple[str, ...], root: str) -> str:
    """Return the key of a leaf: the names on its way, joined; a number needs the root's name in front."""
    words = path if path and not path[0].isdigit() else (root, *path)
    return "_".join("".join(c if c.isascii() and c.isalnum() else "_" for c in word) for word in words)


def _topic(path: tuple[str, ...], root: str) -> str:
    return f"{root}/{_key(path, root)}" if path else root


def _where(path: tuple[str, ...], root: str) -> str:
    return f"the {root} space" + "".join(f"[{name}]" if name.isdigit() else f"['{name}']" for name in path)


def _distinct(leaves: tuple[Any, ...]) -> tuple[Any, ...]:
    if not leaves:
        raise SpaceError("the space is empty; at least one number is needed")
    keys = [leaf.key for leaf in leaves]
    twice = [key for index, key in enumerate(keys) if key in keys[:index]]
    if twice:
        raise SpaceError(f"two parts of the space would have the key '{twice[0]}'; rename one of them")
    return leaves
