"""Which message types are known, and where their definitions come from.

The types of the common packages are known at once. Others are looked up when they are first needed: in the schemas
of a bag that was opened (`register`), or among the message files that are installed, `share/PACKAGE/msg/NAME.msg` on
AMENT_PREFIX_PATH and beside Python. A type that is known is never replaced: `difference` says whether another
definition of it means other fields.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from il_ros.core import files

store = get_typestore(Stores.ROS2_JAZZY)

_STANDARD = frozenset(store.types)
MOST_DEFINITION = 200_000
"""Characters of a type's definition."""
MOST_FIXED = 1_000_000
"""Values of fixed size in one message."""
DEEPEST_TYPE = 30
LONGEST_NAME = 200
"""Characters of a type's name."""

IDL = "ros2idl"
"""The language of a schema in MCAP whose definitions are IDL; others are ros2msg."""
_TYPE_NAME = re.compile(r"([a-z][a-z0-9_]*)/(msg)/([A-Za-z][A-Za-z0-9_]*)")
_SECTION = re.compile(r"^={80}\n", re.MULTILINE)
_Types = dict[str, Any]
"""Type name -> constants and fields, as the parsers of `rosbags` return them."""


def every_type() -> tuple[str, ...]:
    """Return the names of all types that are known so far."""
    return tuple(store.types)


def standard(type_name: str) -> bool:
    """Return whether a type is one of ROS's common packages, which are known everywhere."""
    return type_name in _STANDARD


def known(type_name: str) -> bool:
    """Return whether the definition of `type_name` was read already."""
    return type_name in store.types


def require_known(type_name: str) -> None:
    """Look up the definition of a type if it is not known yet; raises ValueError that says where it was looked for."""
    if type_name in store.types:
        return
    if _TYPE_NAME.fullmatch(type_name) is None or len(type_name) > LONGEST_NAME:
        package, _, name = type_name.rpartition("/")
        guess = f"{package}/msg/{name}"
        hint = f"; did you mean '{guess}'?" if guess in store.types else "; write it as 'package/msg/Name'"
        shown = type_name if len(type_name) <= LONGEST_NAME else f"{type_name[:LONGEST_NAME]}..."
        raise ValueError(f"unknown message type '{shown}'{hint}")
    found: _Types = {}
    missing = _collect(type_name, found)
    if missing:
        package, _, name = missing.split("/")
        needed = "" if missing == type_name else f", which {type_name} contains,"
        raise ValueError(
            f"unknown message type '{missing}'{needed}: none of {_shown_prefixes()} has "
            f"share/{package}/msg/{name}.msg; source the workspace that provides {package}"
        )
    _add(type_name, found)


def register(definitions: str, type_name: str, language: str = "ros2msg") -> None:
    """Add a type from its definition, as in a bag's schema; known types are kept.

    `language`: 'ros2msg', or 'ros2idl' (IDL). Raises ValueError when the text is not a message definition, names a
    type that it does not define, contains itself, or has too many numbers in arrays of fixed size.
    """
    if not known(type_name):
        _add(type_name, _parsed(definitions, type_name, language))


def difference(definitions: str, type_name: str, language: str = "ros2msg") -> str:
    """Return how the known definition of a type differs from another one in its fields, "" if it does not.

    A definition that is empty or cannot be read says nothing; comments and constants do not count.
    """
    return _difference(definitions, type_name, language) if definitions else ""


@lru_cache(256)
def variant(definitions: str, type_name: str, language: str = "ros2msg") -> str:
    """Add another definition of a known type under a name of its own, and return that name.

    It is for messages of a bag that was recorded with another version of the robot's package. Raises ValueError as
    `register` does, and when a standard type inside it is another one.
    """
    types = _parsed(definitions, type_name, language)
    mark = f"_{hashlib.sha256(definitions.encode()).hexdigest()[:12]}"
    changed = {name for name in types if not standard(name)}
    for name in types.keys() - changed:
        if list(store.get_msgdef(name).fields) != list(types[name][1]):
            raise ValueError(f"{name}, a type of ROS, has other fields in it")
    renamed: _Types = {}
    for name in changed:
        constants, fields = types[name]
        renamed[name + mark] = (constants, [(field, _marked(kind, changed, mark)) for field, kind in fields])
    if not known(type_name + mark):
        _add(type_name + mark, renamed)
    return type_name + mark


def _marked(kind: Any, changed: set[str], mark: str) -> Any:
    """Return a field's type with `mark` behind the names of the changed types."""
    node, detail = kind
    if node is Nodetype.NAME:
        return (node, detail + mark if detail in changed else detail)
    if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        return (node, (_marked(detail[0], changed, mark), detail[1]))
    return kind


@lru_cache
def definition(type_name: str) -> str:
    """Return the ros2msg text of the type and all nested types, as in an MCAP schema.

    Raises ValueError when the type is not known and not installed.
    """
    require_known(type_name)
    text: str = store.generate_msgdef(type_name, ros_version=2)[0]
    return text


@lru_cache
def type_hash(type_name: str) -> str:
    """Return the type's RIHS01 hash (REP 2011), which identifies versions of a type in bags."""
    require_known(type_name)
    return str(store.hash_rihs01(type_name))


@lru_cache(256)
def _difference(definitions: str, type_name: str, language: str) -> str:
    try:
        types = _parsed(definitions, type_name, language)
    except ValueError:
        return ""
    for name, (_, fields) in types.items():
        if known(name) and list(store.get_msgdef(name).fields) != list(fields):
            ours = ", ".join(field for field, _ in store.get_msgdef(name).fields)
            theirs = ", ".join(field for field, _ in fields)
            return (
                f"{name} has the fields {theirs} there and {ours} here"
                if ours != theirs
                else f"the fields of {name} ({ours}) have other types there than here"
            )
    return ""


def _parsed(definitions: str, type_name: str, language: str) -> _Types:
    if len(definitions) > MOST_DEFINITION:
        raise ValueError(f"the definition of {type_name} has more than {MOST_DEFINITION} characters")
    try:
        if language != IDL:
            return dict(get_types_from_msg(definitions, type_name))
        types: _Types = {}
        for part in _SECTION.split(definitions):
            kept = [line for line in part.splitlines() if not line.startswith(("#", "IDL:"))]
            if any(kept):
                types |= get_types_from_idl("\n".join(kept))
        return types
    except Exception as error:  # the parser raises different errors
        why = _wide(type_name) if _BOUNDED_WIDE.search(definitions) else str(error)
        raise ValueError(f"cannot read the definition of {type_name}: {why}") from error


_BOUNDED_WIDE = re.compile(r"^\s*wstring\s*<=", re.MULTILINE)


def _wide(type_name: str) -> str:
    return (
        f"{type_name} has a field of type wstring, and texts of wide characters are not read; what fits: messages of "
        "numbers, string and other messages of these"
    )


def _add(type_name: str, types: Mapping[str, Any]) -> None:
    try:
        fresh = {name: kind for name, kind in types.items() if not known(name)}
        sizes: dict[str, int] = {}
        for name in fresh:
            _fixed_size(name, fresh, sizes, ())
        if type_name not in fresh:
            raise ValueError(f"it defines {', '.join(types) or 'nothing'}")
        store.register(fresh)
    except Exception as error:  # the store raises different errors
        raise ValueError(f"cannot read the definition of {type_name}: {error}") from error


def _fixed_size(name: str, fresh: Mapping[str, Any], sizes: dict[str, int], inside: tuple[str, ...]) -> int:
    """Return how many values of fixed size a type has, and store it; raises ValueError if it cannot be made."""
    if name in sizes:
        return sizes[name]
    if name in inside or len(inside) > DEEPEST_TYPE:
        raise ValueError(f"{name} contains itself, or is nested too deeply")
    if name not in fresh:
        if not known(name):
            if name.endswith("/wstring"):
                raise ValueError(_wide(inside[-1]))
            raise ValueError(f"{name} is not defined")
        return 1
    total = 1
    for _, (node, detail) in fresh[name][1]:
        count = 1
        if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            (node, detail), count = detail[0], detail[1] if node is Nodetype.ARRAY else 1
        named = node is Nodetype.NAME
        total += count * (_fixed_size(detail, fresh, sizes, (*inside, name)) if named else 1)
    if total > MOST_FIXED:
        raise ValueError(f"{name} has more than {MOST_FIXED} values of fixed size")
    sizes[name] = total
    return total


# ---- installed message files -------------------------------------------------------------------------------


def _collect(type_name: str, found: _Types) -> str:
    """Read the installed definition of a type and of those in it into `found`; return one that is not installed."""
    if known(type_name) or type_name in found or type_name.endswith("/wstring"):
        return ""
    file = _installed(type_name)
    if file is None:
        return type_name
    try:
        text = files.read_text(file, 4 * MOST_DEFINITION)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the definition of {type_name}: {error}") from error
    types = _parsed(text, type_name, IDL if file.suffix == ".idl" else "ros2msg")
    found |= types
    for name in [name for _, fields in types.values() for name in _named(fields)]:
        if missing := _collect(name, found):
            return missing
    return ""


def _named(fields: Any) -> Iterator[str]:
    for _, (node, detail) in fields:
        if node in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            node, detail = detail[0]
        if node is Nodetype.NAME:
            yield detail


def _installed(type_name: str) -> Path | None:
    match = _TYPE_NAME.fullmatch(type_name)
    if match is None:
        return None
    package, folder, name = match.groups()
    for suffix in (".msg", ".idl"):
        for prefix in _prefixes():
            file = Path(prefix) / "share" / package / folder / (name + suffix)
            if file.is_file():
                return file
    return None


def _prefixes() -> list[str]:
    """Return the folders in which packages are installed: those of ROS, then that of Python."""
    paths = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    return list(dict.fromkeys(path for path in paths if path))


def _shown_prefixes() -> str:
    every = _prefixes()
    return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")
