"""Strict YAML: duplicate keys, unknown keys and values of the wrong type are errors.

A `Section` is one mapping of a file with its position, so every error names file, line, field, value and the
expected value. A key that was not read before `done()` is unknown.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any

import yaml


class YamlError(ValueError):
    """Invalid content of a file; the message names file, line, field, value and the remedy."""


class Section:
    """One mapping of a YAML file, whose values are read one by one with their expected type."""

    def __init__(self, node: yaml.MappingNode, source: str, path: str = ""):
        self.source, self.path, self._line = source, path, node.start_mark.line + 1
        self._nodes: dict[str, yaml.Node] = {}
        self._read_keys: list[str] = []
        for key_node, value_node in node.value:
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

    def text(self, key: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        """Return a non-empty string; required when `default` is None."""
        node = self._take(key, default is None)
        if node is None:
            return default or ""
        value = _construct(node)
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"must be text, not {value!r}")
        if choices and value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"one of: {', '.join(choices)}"
            raise self.error(key, f"'{value}' is not known; {hint}")
        return value

    def number(self, key: str, default: float | None = None, *, positive: bool = True) -> float:
        """Return a number (`.inf` allowed, never NaN); required when `default` is None."""
        node = self._take(key, default is None)
        if node is None:
            assert default is not None
            return default
        return self._number(key, _construct(node), positive)

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a positive integer; required when `default` is None."""
        node = self._take(key, default is None)
        if node is None:
            assert default is not None
            return default
        value = _construct(node)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(key, f"must be a whole number of at least 1, not {value!r}")
        return value

    def texts(self, key: str, *, required: bool = True) -> tuple[str, ...]:
        """Return a list of distinct strings; empty when absent and not required."""
        node = self._take(key, required)
        if node is None:
            return ()
        values = _construct(node)
        if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
            raise self.error(key, f"must be a list of names such as [a, b], not {values!r}")
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            raise self.error(key, f"'{twice[0]}' is listed twice")
        return tuple(values)

    def numbers(self, key: str, count: int, *, positive: bool) -> tuple[float, ...] | None:
        """Return `count` numbers, where one number stands for all; None when absent."""
        node = self._take(key, False)
        if node is None:
            return None
        values = _construct(node)
        if not isinstance(values, list):
            values = [values] * count
        if len(values) != count:
            raise self.error(key, f"has {len(values)} values; {count} are needed (or one for all)")
        return tuple(self._number(key, value, positive) for value in values)

    def _number(self, key: str, value: Any, positive: bool) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or math.isnan(value):
            raise self.error(key, f"must be a number, not {value!r}")
        if positive and value <= 0:
            raise self.error(key, f"must be above 0, not {value!r}")
        return float(value)

    def _take(self, key: str, required: bool) -> yaml.Node | None:
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

    Raises YamlError when the text is not YAML or not a mapping.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise YamlError(f"{source}: not YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise YamlError(f"{source}: must be a mapping (key: value lines); it is empty or of another type")
    return Section(node, source)


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)  # type: ignore[no-untyped-call]
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]
