"""Reading and writing the numbers of a message that paths select (`fields`), compiled once for many messages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Nodetype

from il_ros.core.messages import Message, make
from il_ros.core.messages.definitions import store
from il_ros.core.messages.fields import Number, Step, select, written
from il_ros.core.tables import counted

_INTEGERS = {
    **{
        name: np.iinfo(name)
        for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
    **{name: np.iinfo("uint8") for name in ("octet", "byte", "char")},
}
_MOST_FLOAT32 = float(np.finfo(np.float32).max)


class Extractor:
    """Reads the selected numbers of messages of one type; made once, and used for each message."""

    def __init__(self, type_name: str, numbers: Sequence[Number]) -> None:
        self._numbers = tuple(numbers)
        self._runs = [_run(type_name, run) for run in _runs(self._numbers)]
        simple = all(isinstance(step, str) for number in numbers for step in number.steps)
        self._fields = attrgetter(*(number.path for number in numbers)) if simple and numbers else None

    def __call__(self, message: Message) -> NDArray[np.float64]:
        """Return the numbers (D,); raises ValueError when a list is too short for one."""
        if self._fields is not None:
            return np.atleast_1d(np.array(self._fields(message), dtype=np.float64))
        return np.concatenate([run(message) for run in self._runs])


class Inserter:
    """Makes messages of one type from the selected numbers; everything else is zero or empty."""

    def __init__(self, type_name: str, numbers: Sequence[Number]) -> None:
        self._type = type_name
        self._writers = [_writer(type_name, number) for number in numbers]

    def __call__(self, values: Sequence[float] | NDArray[np.float64], **fields: Any) -> Message:
        """Return a message with `values` (A,); `fields` are set as they are, such as the header.

        Whole numbers are rounded, and a bool is true from 0.5 on. Raises ValueError when a number does not fit into
        its field.
        """
        message = make(self._type, **fields)
        for write, value in zip(self._writers, values, strict=True):
            write(message, float(value))
        return message


def _runs(numbers: Sequence[Number]) -> list[list[Number]]:
    """Return the numbers in runs of neighbours of one array, which are read at once."""
    runs: list[list[Number]] = []
    for number in numbers:
        last = runs[-1][-1].steps if runs else ()
        step, before = number.steps[-1], last[-1] if last else None
        if (
            isinstance(step, int)
            and isinstance(before, int)
            and last[:-1] == number.steps[:-1]
            and step == before + 1
        ):
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _run(type_name: str, run: Sequence[Number]) -> Callable[[Message], NDArray[np.float64]]:
    steps = run[0].steps
    first = steps[-1]
    if not isinstance(first, int):
        value = _getter(type_name, steps)
        return lambda message: np.array([value(message)], dtype=np.float64)
    holder, count = _getter(type_name, steps[:-1]), len(run)

    def read(message: Message) -> NDArray[np.float64]:
        values = holder(message)
        if len(values) < first + count:
            raise _too_short(steps[:-1], len(values), run[-1].path)
        return np.asarray(values[first : first + count], dtype=np.float64)

    return read


def _getter(type_name: str, steps: Sequence[Step]) -> Callable[[Message], Any]:
    """Return a function that reads what lies at `steps`."""
    parts: list[str | int] = []
    for step in steps:
        if isinstance(step, str) and parts and isinstance(parts[-1], str):
            parts[-1] += f".{step}"
        else:
            parts.append(step)
    readers = [(attrgetter(part) if isinstance(part, str) else part, at) for at, part in enumerate(parts)]

    def read(message: Message) -> Any:
        value = message
        for reader, at in readers:
            if not isinstance(reader, int):
                value = reader(value)
            elif reader < len(value):
                value = value[reader]
            else:
                before = [
                    each
                    for part in parts[:at]
                    for each in (part.split(".") if isinstance(part, str) else [part])
                ]
                raise _too_short(before, len(value), written(steps))
        return value

    return read


def _too_short(steps: Sequence[Step], length: int, path: str) -> ValueError:
    return ValueError(f"{written(steps)} has {counted(length, 'element')}; the contract needs {path}")


def _writer(type_name: str, number: Number) -> Callable[[Message, float], None]:
    """Return the function that writes a number into a message, and lengthens the lists on its way."""
    *before, last = number.steps
    convert = _converter(number)
    if isinstance(last, str) and all(isinstance(step, str) for step in before):
        holder: Callable[[Message], Any] = (
            attrgetter(".".join(map(str, before))) if before else lambda message: message
        )

        def write(message: Message, value: float) -> None:
            setattr(holder(message), last, convert(value))

        return write
    return lambda message, value: _put(message, type_name, number, convert(value))


def _put(message: Message, type_name: str, number: Number, value: float | int | bool) -> None:
    target: Any = message
    kind: Any = (Nodetype.NAME, type_name)
    for at, step in enumerate(number.steps):
        last = at + 1 == len(number.steps)
        if isinstance(step, str):
            kind = dict(store.get_msgdef(kind[1]).fields)[step]
            following = number.steps[at + 1] if not last else None
            if isinstance(following, int):
                _lengthen(target, step, kind, following + 1)
            if last:
                setattr(target, step, value)
            else:
                target = getattr(target, step)
        else:
            kind = kind[1][0]
            if last:
                target[step] = value
            else:
                target = target[step]


def _lengthen(holder: Message, name: str, kind: Any, length: int) -> None:
    """Fill a list up to `length` elements with zeros."""
    values = getattr(holder, name)
    (node, detail), _ = kind[1]
    missing = length - len(values)
    if missing <= 0:
        return
    if node is Nodetype.NAME:
        setattr(holder, name, [*values, *(make(detail) for _ in range(missing))])
    else:
        setattr(holder, name, np.concatenate([values, np.zeros(missing, dtype=values.dtype)]))


def _converter(number: Number) -> Callable[[float], float | int | bool]:
    """Return the function that makes a value of the field's type."""
    bounds = _INTEGERS.get(number.kind)
    if number.kind == "bool":
        return lambda value: value >= 0.5
    if bounds is not None:
        low, high = int(bounds.min), int(bounds.max)

        def whole(value: float) -> int:
            rounded = math.floor(value + 0.5)
            if not low <= rounded <= high:
                raise ValueError(
                    f"{value:g} does not fit into {number.path}: {number.kind} holds {low} to {high}"
                )
            return rounded

        return whole
    if number.kind != "float32":
        return lambda value: value

    def small(value: float) -> float:
        if abs(value) > _MOST_FLOAT32:
            raise ValueError(f"{value:g} does not fit into {number.path} ({number.kind})")
        return value

    return small


@lru_cache(256)
def extractor(type_name: str, paths: tuple[str, ...]) -> Extractor:
    """Return the reader of the numbers that `paths` select; raises as `select` does."""
    return Extractor(type_name, select(type_name, paths))


@lru_cache(256)
def inserter(type_name: str, paths: tuple[str, ...]) -> Inserter:
    """Return the maker of messages from the numbers that `paths` select; raises as `select` does."""
    return Inserter(type_name, select(type_name, paths))
