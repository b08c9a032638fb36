"""The numbers in a message, named by their paths, of any type whose definition is known.

A path is field names joined by dots; `[2]` selects an element and `[0:3]` the elements 0 to 2 of a list or an array:
`wrenches[0].force.x`, `data[0:6]`. The path of an array of fixed length or of a message that has only numbers
stands for all of them, in the order of the definition. Elements of lists without fixed length are named explicitly,
so that a contract means the same numbers in each message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Nodetype

from il_ros.core.messages import Message, make
from il_ros.core.messages.definitions import require_known, store
from il_ros.core.tables import counted

MOST_PATHS = 100_000
"""Numbers that paths may select together."""
_MOST_SHOWN = 30
_STEP = re.compile(r"([A-Za-z][A-Za-z0-9_]*)(?:\[(\d{1,6})(?::(\d{1,6}))?\])?")
_INTEGERS = {
    **{
        name: np.iinfo(name)
        for name in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
    **{name: np.iinfo("uint8") for name in ("octet", "byte", "char")},
}
_TEXTS = ("string", "wstring", "wchar")
_MOST_FLOAT32 = float(np.finfo(np.float32).max)
_PADDING = "structure_needs_at_least_one_member"
"""What ROS adds to a type without fields."""
_HEADER = "std_msgs/msg/Header"
_ROTATION = "geometry_msgs/msg/Quaternion"

Step = str | int
"""A field's name, or an index."""


class FieldError(ValueError):
    """A path that a type does not have; the message lists the numbers of the type."""


@dataclass(frozen=True)
class Number:
    """One number of a message: `kind` is its type, such as float32; `rotation`: it is part of a quaternion."""

    steps: tuple[Step, ...]
    kind: str
    rotation: bool = False

    @cached_property
    def path(self) -> str:
        """The path as written: wrenches[0].force.x."""
        return _written(self.steps)


def select(type_name: str, paths: Sequence[str]) -> tuple[Number, ...]:
    """Return the numbers that paths select, in their order.

    Raises FieldError when a path is not in the type, is no number, or selects a number twice, ValueError when the
    type is not known.
    """
    require_known(type_name)
    found: list[Number] = []
    for path in paths:
        found += _selected(type_name, path, MOST_PATHS - len(found))
    once: set[tuple[Step, ...]] = set()
    for number in found:
        if number.steps in once:
            raise FieldError(f"{number.path} is selected twice")
        once.add(number.steps)
    return tuple(found)


def every(type_name: str) -> tuple[Number, ...]:
    """Return all numbers of a type but those of its header.

    Raises FieldError when it has none, or lists without fixed length, ValueError when it is not known.
    """
    require_known(type_name)
    fields = store.get_msgdef(type_name).fields
    paths = [name for name, kind in fields if name != _PADDING and kind != (Nodetype.NAME, _HEADER)]
    if not any(number for name in paths for number in _listed(type_name, name)):
        raise FieldError(f"{type_name} has no numbers")
    return select(type_name, paths)


def listed(type_name: str) -> str:
    """Return the paths of the numbers of a type, for a message to a person: level, wrenches[].force.x, ..."""
    require_known(type_name)
    names = [path for name, _ in store.get_msgdef(type_name).fields for path in _listed(type_name, name)]
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return (", ".join(names[:_MOST_SHOWN]) or "none") + more


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
        self._type, self._numbers = type_name, tuple(numbers)

    def __call__(self, values: Sequence[float] | NDArray[np.float64], **fields: Any) -> Message:
        """Return a message with `values` (A,); `fields` are set as they are, such as the header.

        Whole numbers are rounded, and a bool is true from 0.5 on. Raises ValueError when a number does not fit into
        its field.
        """
        message = make(self._type, **fields)
        for number, value in zip(self._numbers, values, strict=True):
            _put(message, self._type, number, float(value))
        return message


# ---- paths -----------------------------------------------------------------------------------------------


def _selected(type_name: str, path: str, most: int) -> list[Number]:
    here: list[tuple[tuple[Step, ...], Any, bool]] = [((), (Nodetype.NAME, type_name), False)]
    for part in path.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            raise FieldError(f"'{path}' is not a path; write it as position.x, data[3] or data[0:6]")
        name, first, after = match.groups()
        following: list[tuple[tuple[Step, ...], Any, bool]] = []
        for steps, kind, rotation in here:
            inner = _field(type_name, path, steps, kind, name)
            turned = rotation or kind == (Nodetype.NAME, _ROTATION)
            if first is None:
                following.append(((*steps, name), inner, turned))
                continue
            element, length = _elements(path, (*steps, name), inner)
            indices = _indices(path, int(first), after, length)
            if len(here) * len(indices) > most:
                raise FieldError(f"'{path}' selects more than {counted(MOST_PATHS, 'number')}")
            following += [((*steps, name, index), element, turned) for index in indices]
        here = following
    found: list[Number] = []
    for steps, kind, rotation in here:
        for number in _numbers(type_name, path, steps, kind, rotation):
            found.append(number)
            if len(found) > most:
                raise FieldError(f"'{path}' selects more than {counted(MOST_PATHS, 'number')}")
    return found


def _field(type_name: str, path: str, steps: tuple[Step, ...], kind: Any, name: str) -> Any:
    """Return the type of the field `name` of what lies at `steps`."""
    node, detail = kind
    if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        raise FieldError(
            f"{_written(steps)} of {type_name} is a list: name an element, {_written(steps)}[0].{name}"
        )
    fields = dict(store.get_msgdef(detail).fields) if node is Nodetype.NAME else {}
    if name not in fields:
        here = _written((*steps, name))
        raise FieldError(
            f"'{here}'{f' of {path!r}' if path != here else ''} is not in {type_name}; its numbers: {listed(type_name)}"
        )
    return fields[name]


def _elements(path: str, steps: tuple[Step, ...], kind: Any) -> tuple[Any, int | None]:
    """Return the type of the elements of a list or array, and the length of an array."""
    node, detail = kind
    if node not in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        raise FieldError(f"'{path}': {_written(steps)} is not a list")
    element, length = detail
    return element, length if node is Nodetype.ARRAY or length else None


def _indices(path: str, first: int, after: str | None, length: int | None) -> range:
    end = first + 1 if after is None else int(after)
    if end <= first:
        raise FieldError(f"'{path}': the range {first}:{end} is empty")
    if length is not None and end > length:
        raise FieldError(
            f"'{path}': there {'is' if length == 1 else 'are'} only {counted(length, 'element')}"
        )
    return range(first, end)


def _numbers(
    type_name: str, path: str, steps: tuple[Step, ...], kind: Any, rotation: bool
) -> Iterator[Number]:
    """Yield the numbers in what a path leads to."""
    node, detail = kind
    if node is Nodetype.BASE:
        if detail[0] in _TEXTS:
            raise FieldError(
                f"'{path}': {_written(steps)} is a text; the numbers of {type_name}: {listed(type_name)}"
            )
        yield Number(steps, detail[0], rotation)
    elif node is Nodetype.NAME:
        turned = rotation or detail == _ROTATION
        for name, inner in store.get_msgdef(detail).fields:
            yield from _numbers(type_name, path, (*steps, name), inner, turned)
    elif node is Nodetype.ARRAY:
        for index in range(detail[1]):
            yield from _numbers(type_name, path, (*steps, index), detail[0], rotation)
    else:
        where = _written(steps)
        raise FieldError(
            f"'{path}': {where} is a list whose length is not fixed; name an element, {where}[0], or some, {where}[0:3]"
        )


def _written(steps: Sequence[Step]) -> str:
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return "".join(parts).lstrip(".")


def _listed(type_name: str, path: str) -> list[str]:
    names: list[str] = []
    _list(store.get_msgdef(type_name).fields, path, names)
    return names


def _list(fields: Any, wanted: str, names: list[str], prefix: str = "", depth: int = 0) -> None:
    """Collect the paths below the fields `wanted`, or all of them below a field."""
    for name, (node, detail) in fields:
        if name == _PADDING or (wanted and name != wanted) or depth > 10 or len(names) > 1000:
            continue
        path, (kind, inner) = prefix + name, (node, detail)
        if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            (kind, inner), length = detail
            path += f"[0:{length}]" if node is Nodetype.ARRAY else "[]"
        if kind is Nodetype.NAME:
            _list(store.get_msgdef(inner).fields, "", names, f"{path}.", depth + 1)
        elif inner[0] not in _TEXTS:
            names.append(path)


# ---- reading and writing ----------------------------------------------------------------------------------


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
                raise _too_short(before, len(value), _written(steps))
        return value

    return read


def _too_short(steps: Sequence[Step], length: int, path: str) -> ValueError:
    return ValueError(f"{_written(steps)} has {counted(length, 'element')}; the contract needs {path}")


def _put(message: Message, type_name: str, number: Number, value: float) -> None:
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
                setattr(target, step, _as_kind(number, value))
            else:
                target = getattr(target, step)
        else:
            kind = kind[1][0]
            if last:
                target[step] = _as_kind(number, value)
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


def _as_kind(number: Number, value: float) -> float | int | bool:
    if number.kind == "bool":
        return value >= 0.5
    bounds = _INTEGERS.get(number.kind)
    if bounds is None:
        if number.kind == "float32" and abs(value) > _MOST_FLOAT32:
            raise ValueError(f"{value:g} does not fit into {number.path} ({number.kind})")
        return value
    whole = math.floor(value + 0.5)
    if not bounds.min <= whole <= bounds.max:
        raise ValueError(
            f"{value:g} does not fit into {number.path}: {number.kind} holds {bounds.min} to {bounds.max}"
        )
    return whole


@lru_cache(256)
def extractor(type_name: str, paths: tuple[str, ...]) -> Extractor:
    """Return the reader of the numbers that `paths` select; raises as `select` does."""
    return Extractor(type_name, select(type_name, paths))


@lru_cache(256)
def inserter(type_name: str, paths: tuple[str, ...]) -> Inserter:
    """Return the maker of messages from the numbers that `paths` select; raises as `select` does."""
    return Inserter(type_name, select(type_name, paths))
