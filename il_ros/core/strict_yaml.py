"""Strict YAML: duplicate keys, unknown keys and values of the wrong type are errors.

A `Section` is one mapping of a file with its position, so every error names file, line, field, value and the
expected value. A key that was not read before `done()` is unknown.

Contracts travel in bags and checkpoints, so a text is untrusted: its length, its depth and the number of its
values, with aliases written out, are bounded before anything is made of them.
"""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Sequence
from typing import Any

import yaml

from il_ros.core.tables import counted

MOST_CHARACTERS = 100_000
MOST_VALUES = 20_000
"""Keys, lists and values of a text; an alias counts as often as it is used."""
DEEPEST = 20
_READS = (yaml.YAMLError, ValueError, OverflowError, TypeError, AttributeError, RecursionError, MemoryError)
"""What PyYAML raises on a text: for example ValueError on `!!int abc` and TypeError on a list as a key."""


class YamlError(ValueError):
    """Invalid content of a file; the message names file, line, field, value and the remedy."""


class Section:
    """One mapping of a YAML file, whose values are read one by one with their expected type."""

    def __init__(self, node: yaml.MappingNode, source: str, path: str = ""):
        self.source, self.path, self._line = source, path, node.start_mark.line + 1
        self._nodes: dict[str, yaml.Node] = {}
        self._read_keys: list[str] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError(f"{source}:{key_node.start_mark.line + 1}: a key must be text")
            key = str(key_node.value)
            if key in self._nodes:
                raise YamlError(f"{source}:{key_node.start_mark.line + 1}: {self._field(key)}: given twice")
            self._nodes[key] = value_node

    def __contains__(self, key: str) -> bool:
        return key in self._nodes

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, in the order of the file."""
        return tuple(self._nodes)

    def error(self, key: str, problem: str) -> YamlError:
        """Return the error to raise about the field `key`."""
        node = self._nodes.get(key)
        line = node.start_mark.line + 1 if node is not None else self._line
        return YamlError(f"{self.source}:{line}: {self._field(key)}: {problem}")

    def done(self) -> None:
        """Raise YamlError on keys that were not read, with a hint at similar known keys."""
        for key in self._nodes:
            if key not in self._read_keys:
                close = difflib.get_close_matches(key, self._read_keys, n=1)
                hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(self._read_keys)}"
                raise self.error(key, f"unknown key; {hint}")

    def section(self, key: str, *, required: bool = True) -> Section | None:
        """Return the mapping under `key`; None when absent and not required."""
        node = self._take(key, required)
        if node is None:
            return None
        if not isinstance(node, yaml.MappingNode):
            raise self.error(key, "must be a mapping (key: value lines)")
        return Section(node, self.source, self._field(key))

    def is_section(self, key: str) -> bool:
        """Return whether the value of `key` is a mapping."""
        return isinstance(self._nodes.get(key), yaml.MappingNode)

    def tree(self, key: str) -> yaml.Node:
        """Return the parsed value of `key`, for other rules than YAML's; raises YamlError when it is missing."""
        node = self._take(key, True)
        assert node is not None
        return node

    def where(self, key: str) -> str:
        """Return 'file:line' of the value of `key`."""
        return f"{self.source}:{self._nodes[key].start_mark.line + 1}"

    def text(self, key: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        """Return a non-empty string; required when `default` is None."""
        node = self._take(key, default is None)
        if node is None:
            return default or ""
        value = self._construct(key, node)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"must be text, not {brief(value)}")
        if choices and value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"one of: {', '.join(choices)}"
            raise self.error(key, f"{brief(value)} is not known; {hint}")
        return value

    def number(self, key: str, default: float | None = None, *, positive: bool = True) -> float:
        """Return a number (`.inf` allowed, never NaN); required when `default` is None."""
        node = self._take(key, default is None)
        if node is None:
            assert default is not None
            return default
        return self._number(key, self._construct(key, node), positive)

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a positive integer; required when `default` is None."""
        node = self._take(key, default is None)
        if node is None:
            assert default is not None
            return default
        value = self._construct(key, node)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(key, f"must be a whole number of at least 1, not {brief(value)}")
        return value

    def texts(self, key: str, *, required: bool = True) -> tuple[str, ...]:
        """Return a list of distinct strings; empty when absent and not required."""
        node = self._take(key, required)
        if node is None:
            return ()
        values = self._construct(key, node)
        if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
            raise self.error(key, f"must be a list of names such as [a, b], not {brief(values)}")
        before: set[str] = set()
        for value in values:
            if value in before:
                raise self.error(key, f"{brief(value)} is listed twice")
            before.add(value)
        return tuple(values)

    def flag_or_texts(self, key: str) -> bool | tuple[str, ...]:
        """Return true, false or a list of distinct strings; false when absent."""
        node = self._take(key, False)
        value = False if node is None else self._construct(key, node)
        if isinstance(value, bool):
            return value
        if not isinstance(value, list):
            raise self.error(
                key, f"must be true, false or a list of names such as [a, b], not {brief(value)}"
            )
        return self.texts(key)

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false; `default` when absent."""
        node = self._take(key, False)
        value = default if node is None else self._construct(key, node)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {brief(value)}")
        return value

    def indices(self, key: str, below: int) -> tuple[int, ...] | None:
        """Return a list of whole numbers of at least 0 and below `below`; None when absent."""
        node = self._take(key, False)
        if node is None:
            return None
        values = self._construct(key, node)
        if not isinstance(values, list) or not values or not all(type(value) is int for value in values):
            raise self.error(key, f"must be a list of whole numbers such as [0, 1, 2], not {brief(values)}")
        wrong = next((value for value in values if not 0 <= value < below), None)
        if wrong is not None:
            raise self.error(key, f"{brief(wrong)} is not among 0 to {below - 1}")
        return tuple(values)

    def numbers(self, key: str, count: int, *, positive: bool) -> tuple[float, ...] | None:
        """Return `count` numbers, where one number stands for all; None when absent."""
        node = self._take(key, False)
        if node is None:
            return None
        values = self._construct(key, node)
        if not isinstance(values, list):
            values = [values] * count
        if len(values) != count:
            raise self.error(key, f"has {counted(len(values), 'value')}; needed: {count} (or one for all)")
        return tuple(self._number(key, value, positive) for value in values)

    def _number(self, key: str, value: Any, positive: bool) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise self.error(key, f"must be a number, not {brief(value)}")
        try:
            number = float(value)
        except OverflowError:
            raise self.error(key, f"{brief(value)} is too large") from None
        if math.isnan(number):
            raise self.error(key, f"must be a number, not {brief(value)}")
        if positive and number <= 0:
            raise self.error(key, f"must be above 0, not {brief(value)}")
        return number

    def _construct(self, key: str, node: yaml.Node) -> Any:
        try:
            return _construct(node)
        except _READS as error:
            raise self.error(key, f"cannot be read as a value: {_first_line(error)}") from None

    def _take(self, key: str, required: bool) -> yaml.Node | None:
        if key not in self._read_keys:
            self._read_keys.append(key)
        if key in self._nodes:
            return self._nodes[key]
        if required:
            # a misspelt key is both missing and unknown: suggest it here
            close = difflib.get_close_matches(key, self._nodes, n=1)
            raise self.error(key, "missing" + (f"; is '{close[0]}' meant to be it?" if close else ""))
        return None

    def _field(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def parse(text: str, source: str) -> Section:
    """Return the top mapping of a YAML text; `source` names the file in errors.

    Raises YamlError when the text is not YAML, not a mapping, or larger or deeper than the bounds.
    """
    return Section(compose(text, source), source)


def compose(text: str, source: str) -> yaml.MappingNode:
    """Return the parsed top mapping, in which each part has its place in the text; raises YamlError as `parse`."""
    node = _compose(text, source)
    if not isinstance(node, yaml.MappingNode):
        raise YamlError(f"{source}: must be a mapping (key: value lines); it is empty or of another type")
    return node


def load(text: str, source: str, *, characters: int = MOST_CHARACTERS, values: int = MOST_VALUES) -> Any:
    """Return the value of a YAML text: None, bool, int, float, str, date, list or dict.

    `characters`, `values`: the bounds. Raises YamlError as `parse` does, but for a value of any type.
    """
    node = _compose(text, source, characters, values)
    try:
        return None if node is None else _construct(node)
    except _READS as error:
        raise YamlError(f"{source}: not YAML: {_first_line(error)}") from None


def brief(value: Any) -> str:
    """Return `repr` of a value for an error message, shortened."""
    try:
        return _BRIEF.repr(value)
    except ValueError:  # a whole number with more digits than Python prints
        return "a number of thousands of digits"


class _Loader(yaml.SafeLoader):
    """Composes one document; raises YAMLError beyond the bounds."""

    def __init__(self, text: str, values: int) -> None:
        super().__init__(text)
        self._values = values
        self._depth = self._composed = 0
        self._extents: dict[int, tuple[int, int]] = {}  # id of a composed node -> values in it, depth below

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose the next node, with its values counted."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        self._depth += 1
        if self._depth > DEEPEST:
            raise yaml.YAMLError(f"line {line}: deeper than {DEEPEST} levels")
        self._composed += 1  # counted here as well: the rest of a long list is not even read
        if self._composed > self._values:
            raise yaml.YAMLError(f"line {line}: more than {counted(self._values, 'value')}")
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[no-untyped-call]
        self._depth -= 1
        if node is not None and not isinstance(event, yaml.AliasEvent):
            self._extents[id(node)] = self._extent(node, line)
        return node

    def _extent(self, node: yaml.Node, line: int) -> tuple[int, int]:
        parts = list(node.value) if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        if any(id(part) not in self._extents for part in parts):
            raise yaml.YAMLError(f"line {line}: an alias stands inside of what it names")
        values = 1 + sum(self._extents[id(part)][0] for part in parts)
        depth = 1 + max((self._extents[id(part)][1] for part in parts), default=0)
        if values > self._values or depth > DEEPEST:
            raise yaml.YAMLError(
                f"line {line}: more than {counted(self._values, 'value')} or {DEEPEST} levels, with aliases written out"
            )
        return values, depth


def _compose(
    text: str, source: str, characters: int = MOST_CHARACTERS, values: int = MOST_VALUES
) -> yaml.Node | None:
    if len(text) > characters:
        raise YamlError(f"{source}: has {len(text)} characters; at most {characters} are read")
    try:
        loader = _Loader(text, values)
        try:
            node: yaml.Node | None = loader.get_single_node()  # type: ignore[no-untyped-call]
            return node
        finally:
            loader.dispose()  # type: ignore[no-untyped-call]
    except _READS as error:
        bracket = "; put a text with brackets into quotes: ['data[0]']" if "but got '['" in str(error) else ""
        raise YamlError(f"{source}: not YAML: {error}{bracket}") from error


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)  # type: ignore[no-untyped-call]
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxlong = _BRIEF.maxother = 80
_BRIEF.maxlist = _BRIEF.maxtuple = _BRIEF.maxdict = 8
