"""The numbers in a message, named by their paths, of any type whose definition is known.

A path is field names joined by dots; `[2]` selects an element and `[0:3]` the elements 0 to 2 of a list or an array:
`wrenches[0].force.x`, `data[0:6]`. The path of an array of fixed length or of a message that has only numbers
stands for all of them, in the order of the definition. Elements of lists without fixed length are named explicitly,
so that a contract means the same numbers in each message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rosbags.interfaces import Nodetype

from il_ros.core import tables
from il_ros.core.messages.definitions import require_known, store
from il_ros.core.tables import counted

MOST_PATHS = 100_000
"""Numbers that paths may select together."""
_MOST_SHOWN = 30
_STEP = re.compile(r"([A-Za-z][A-Za-z0-9_]*)(?:\[(\d{1,6})(?::(\d{1,6}))?\])?")
_TEXTS = ("string", "wstring", "wchar")
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
        return written(self.steps)


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
    return tables.listed(names, _MOST_SHOWN) or "none"


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
            f"{written(steps)} of {type_name} is a list: name an element, {written(steps)}[0].{name}"
        )
    fields = dict(store.get_msgdef(detail).fields) if node is Nodetype.NAME else {}
    if name not in fields:
        here = written((*steps, name))
        raise FieldError(
            f"'{here}'{f' of {path!r}' if path != here else ''} is not in {type_name}; its numbers: {listed(type_name)}"
        )
    return fields[name]


def _elements(path: str, steps: tuple[Step, ...], kind: Any) -> tuple[Any, int | None]:
    """Return the type of the elements of a list or array, and the length of an array."""
    node, detail = kind
    if node not in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        raise FieldError(f"'{path}': {written(steps)} is not a list")
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
                f"'{path}': {written(steps)} is a text; the numbers of {type_name}: {listed(type_name)}"
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
        where = written(steps)
        raise FieldError(
            f"'{path}': {where} is a list whose length is not fixed; name an element, {where}[0], or some, {where}[0:3]"
        )


def written(steps: Sequence[Step]) -> str:
    """Return steps as a path: wrenches[0].force.x."""
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
