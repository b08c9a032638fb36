"""Strict JSON: a text or a value of another kind raises one error, which names field, value and remedy.

`loads` reads a text. A check is a function of a value and its field's name; it returns the value that the
field gets or raises JsonError. `record` combines the checks of an object's fields:

    read = record("a trial", {"seed": whole(), "outcome": one_of("success", "failure"), "wall_s": number(0.0)})
    read(loads(text), "")

Records are untrusted: bags and result files come from other machines and other programs.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from il_ros.core.tables import counted
from il_ros.core.tables import shown as printable

MOST_NS = 2**63 - 1
"""The latest time and the largest whole number in ROS messages and arrays."""

Check = Callable[[Any, str], Any]


class JsonError(ValueError):
    """A text that is not strict JSON, or a value that its field may not have."""


def loads(text: str, *, nan_is_null: bool = False) -> Any:
    """Return the value of a JSON text; `nan_is_null`: NaN and Infinity, which Python writes, become null.

    Otherwise they are an error. Raises JsonError on other text, on a key that is given twice, and on a text
    that is nested too deeply or has a number of too many digits.
    """
    try:
        return json.loads(
            text, parse_constant=_null if nan_is_null else _no_constant, object_pairs_hook=_object
        )
    except JsonError:
        raise
    except RecursionError:
        raise JsonError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise JsonError(f"not JSON: {error}") from None


def shown(value: Any) -> str:
    """Return a value as text for an error, shortened."""
    try:
        return _SHORT.repr(value)
    except (ValueError, RecursionError):  # Python refuses to print numbers of thousands of digits
        return f"a {type(value).__name__}"


def text(value: Any, name: str) -> str:
    """Check a text. A text that cannot be encoded could not be printed or published."""
    if not isinstance(value, str):
        raise _wrong(name, value, "a text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _wrong(name, value, "a text of whole characters, without lone surrogates") from None
    return value


def name_text(value: Any, name: str) -> str:
    """Check a text that is not empty."""
    if not text(value, name):
        raise _wrong(name, value, "a text that is not empty")
    return str(value)


def flag(value: Any, name: str) -> bool:
    """Check true or false."""
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def whole(least: int = 0, most: int = MOST_NS) -> Check:
    """Return the check of a whole number from `least` to `most`; true and 1.0 are none."""
    words = f"a whole number from {least} to {'2^63 - 1' if most == MOST_NS else most}"

    def check(value: Any, name: str) -> int:
        if type(value) is not int or not least <= value <= most:
            raise _wrong(name, value, words)
        return value

    return check


def number(least: float = -math.inf, most: float = math.inf) -> Check:
    """Return the check of a finite number from `least` to `most`; it becomes a float."""
    bounds = [f"at least {least:g}"] * math.isfinite(least) + [f"at most {most:g}"] * math.isfinite(most)
    words = " and ".join(["a finite number", *bounds]).replace("number and", "number of", 1)

    def check(value: Any, name: str) -> float:
        if type(value) is float or type(value) is int:
            try:
                if least <= value <= most and math.isfinite(value):
                    return float(value)
            except OverflowError:  # a whole number beyond the range of a float
                pass
        raise _wrong(name, value, words)

    return check


def one_of(*known: str) -> Check:
    """Return the check of a text that is one of the `known` ones."""

    def check(value: Any, name: str) -> str:
        if not isinstance(value, str) or value not in known:
            raise _wrong(name, value, f"one of: {', '.join(repr(each) for each in known)}")
        return value

    return check


def or_null(inner: Check) -> Check:
    """Return the check of null or a value of the `inner` check."""
    return lambda value, name: None if value is None else inner(value, name)


def several(inner: Check, least: int = 0) -> Check:
    """Return the check of a list of at least `least` values; it becomes a tuple."""

    def check(value: Any, name: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _wrong(name, value, "a list")
        if len(value) < least:
            raise _wrong(name, value, f"a list of at least {counted(least, 'value')}")
        return tuple([inner(item, f"{name}[{place}]") for place, item in enumerate(value)])

    return check


def numbers(value: Any, name: str) -> tuple[float, ...]:
    """Check a list of at least one finite number."""
    floats = type(value) is list and value and all(type(item) is float for item in value)
    if floats and all(map(math.isfinite, value)):  # the usual case, at every tick
        return tuple(value)
    return _NUMBERS(value, name)  # type: ignore[no-any-return]


def mapping(inner: Check) -> Check:
    """Return the check of an object whose keys are free and whose values pass the `inner` check."""

    def check(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(name, value, "an object")
        return {
            text(key, f"a key of {name}"): inner(item, f"{name}[{key[:60]}]") for key, item in value.items()
        }

    return check


def record(
    what: str, checks: Mapping[str, Check], optional: Collection[str] = (), *, others: bool = False
) -> Check:
    """Return the check of an object with the fields of `checks`, all present except `optional` ones.

    `what`: the object in an error, such as 'a decision'. `others`: fields without a check are ignored;
    otherwise they are an error.
    """

    def check(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(name, value, "an object")
        prefix = f"{name}." if name else ""
        missing = [field for field in checks if field not in value and field not in optional]
        if missing:
            raise JsonError(f"{name or what} without '{missing[0]}'; its fields: {shown(list(value))}")
        unknown = [] if others else [field for field in value if field not in checks]
        if unknown:
            field = printable(unknown[0][:60])
            raise JsonError(f"{prefix}{field} is not a field of {what}; known: {', '.join(checks)}")
        return {name: inner(value[name], prefix + name) for name, inner in checks.items() if name in value}

    return check


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise JsonError(f"the key {shown(twice)} is given twice in one object")
    return made


def _null(_constant: str) -> None:
    return None


def _no_constant(constant: str) -> Any:
    raise JsonError(f"{constant} is not a number in JSON; an unknown value is null")


def _wrong(name: str, value: Any, right: str) -> JsonError:
    return JsonError(f"{printable(name) or 'it'} is {shown(value)}; it must be {right}")


_NUMBERS = several(number(), least=1)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
