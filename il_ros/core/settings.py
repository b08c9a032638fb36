"""Frozen dataclasses from user input or files; unknown keys and wrong types raise errors with a hint.

A settings class has fields of type bool, int, float, str or tuples of them, and validates their values in
`__post_init__`, which raises ValueError that names the field.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from il_ros.core.strict_yaml import brief

Settings = TypeVar("Settings")


MOST_WIDTH = 1 << 16
MOST_LAYERS = 64
"""Layers of a trunk or a camera encoder; a checkpoint's network is built before its weights are known."""


class SettingsError(ValueError):
    """Invalid settings; the message names source, key, value and the expected value."""


def build(
    kind: type[Settings], values: Any, source: str, renamed: Mapping[str, str] | None = None
) -> Settings:
    """Return an instance of `kind` from a mapping (YAML or JSON); absent keys keep their defaults.

    `renamed`: former key -> current key; a former key raises an error that names the current one.
    Raises SettingsError, whose message begins with `source`.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise SettingsError(f"{source}: must be a mapping (key: value lines), not {brief(values)}")
    types = get_type_hints(kind)
    hints = {field.name: types[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if renamed and key in renamed:
            raise SettingsError(f"{source}: {key}: this key is called '{renamed[key]}' now")
        if key not in hints:
            raise SettingsError(f"{source}: unknown key '{key}'; {guess(str(key), tuple(hints))}")
    made = {key: _converted(hints[key], value, f"{source}: {key}") for key, value in values.items()}
    try:
        return kind(**made)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{source}: {error}") from error


def plain(settings: Any) -> dict[str, Any]:
    """Return the JSON-compatible mapping from which `build` makes an equal instance."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(settings).items()
    }


def guess(word: str, known: Sequence[str]) -> str:
    """Return the hint for an unknown word: the closest known word, or all known words."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def one_of(field: str, value: str, known: Sequence[str]) -> None:
    """Raise ValueError when `value` is not among the `known` values of `field`."""
    if value not in known:
        raise ValueError(f"{field}: '{value}' is not known; {guess(value, known)}")


def at_least(field: str, value: float, least: float) -> None:
    """Raise ValueError when `value` is below `least`, or NaN."""
    if not value >= least:
        raise ValueError(f"{field} is {value}; at least {least:g} is needed")


def require_width(field: str, value: int) -> None:
    """Raise ValueError unless `value` is a possible width of a layer; a network of more fills the memory."""
    at_least(field, value, 1)
    if value > MOST_WIDTH:
        raise ValueError(f"{field} is {value}; at most {MOST_WIDTH} is possible")


def check_widths(field: str, widths: Sequence[int]) -> None:
    """Raise ValueError unless there are 1 to MOST_LAYERS layers of a possible width."""
    if not widths:
        raise ValueError(f"{field} must have at least one layer")
    if len(widths) > MOST_LAYERS:
        raise ValueError(f"{field} has {len(widths)} layers; at most {MOST_LAYERS}")
    for width in widths:
        require_width(field, width)


def _converted(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind)[0], value, where)
    if kind is float:
        return _float(value, where)
    if type(value) is not kind:
        raise SettingsError(f"{where}: must be {_NAMES[kind]}, not {brief(value)}")
    if kind is int and abs(value) >= 2**63:  # counts and seeds that torch and NumPy can take
        raise SettingsError(f"{where}: {brief(value)} is too large; at most 2^63 - 1 is possible")
    return value


def _float(value: Any, where: str) -> float:
    # YAML 1.1 parses 1e-3, without a dot, as text
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise SettingsError(f"{where}: must be a number, not {brief(value)}")
    try:
        number = float(value)
    except ValueError:
        raise SettingsError(f"{where}: must be a number, not {brief(value)}") from None
    except OverflowError:
        raise SettingsError(f"{where}: {brief(value)} is too large") from None
    if not math.isfinite(number):  # NaN passes each comparison that a range is checked by
        raise SettingsError(f"{where}: must be a finite number, not {brief(value)}")
    return number


def _tuple(kind: Any, value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{where}: must be a list such as [{_EXAMPLES[kind]}], not {brief(value)}")
    return tuple(_converted(kind, item, where) for item in value)


_NAMES = {bool: "true or false", int: "a whole number", str: "text"}
_EXAMPLES = {int: "256, 256", float: "0.1, 0.2", str: "joints, object", bool: "true, false"}
