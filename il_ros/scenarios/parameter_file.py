"""A user's parameter file: which values are for which node, and what is wrong with them.

ROS takes a misspelt name or section silently, and a wrong type under `/**` only hurts the node that declares it.
Here each is an error with file and line before any node starts.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from il_ros.core import files, strict_yaml
from il_ros.core.strict_yaml import Section, YamlError, brief
from il_ros.scenarios.node_parameters import (
    DEVICE_NODE,
    EVERYWHERE,
    FIXED_PREFIXES,
    FORMER,
    PER_SOURCE,
    Kind,
    all_names,
    expected,
    fits,
    known,
)

_NEAR = 0.8
"""Similarity (0..1) of two names from which one is taken for a misspelling of the other."""


_BOOLEANS = dict.fromkeys(("true", "yes", "on", "y"), True) | dict.fromkeys(
    ("false", "no", "off", "n"), False
)
_WHOLE = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_NUMBER = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|\.inf|\.nan)")


class ParameterFileError(ValueError):
    """A parameter file is wrong; the message names file, line, node and value, and what would be right."""


@dataclass(frozen=True)
class ParameterEntry:
    """One value: `section` as written, such as '/**' or 'recorder'; `name` dotted; `where`: 'file:line'."""

    section: str
    name: str
    value: Any
    where: str


@dataclass(frozen=True)
class Started:
    """A node to which a file may apply: its executable and its name with namespace, such as '/left/recorder'."""

    executable: str
    full_name: str


def read(path: str | Path) -> tuple[ParameterEntry, ...]:
    """Return the values of a parameter file in their order; raises ParameterFileError."""
    try:
        text = files.read_bytes(Path(path), strict_yaml.MOST_CHARACTERS).decode("utf-8")
    except FileNotFoundError:
        raise ParameterFileError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise ParameterFileError(f"{path}: {error}") from None
    return parse(text, str(path))


def parse(text: str, source: str) -> tuple[ParameterEntry, ...]:
    """Return the values of a parameter file's text; `source` names it in errors. Raises ParameterFileError."""
    try:
        top = strict_yaml.parse(text, source)
        return tuple(entry for section in top.keys for entry in _section(top, section))
    except ParameterFileError:
        raise
    except ValueError as error:
        raise ParameterFileError(
            str(error) if isinstance(error, YamlError) else f"{source}: {error}"
        ) from None


def values_for(entries: Iterable[ParameterEntry], full_name: str) -> dict[str, ParameterEntry]:
    """Return the entries for one node by parameter; of several, the last in the file counts, as in ROS."""
    return {entry.name: entry for entry in entries if applies(entry.section, full_name)}


def applies(section: str, full_name: str) -> bool:
    """Return whether a section's name is that of a node: '*' is one word of it, '**' any number of words."""
    parts = section.strip("/").split("/")
    # a second ** behind one matches nothing else, and each multiplies the ways in which the name can be matched
    kept = [part for before, part in zip(["", *parts], parts, strict=False) if not before == part == "**"]
    pattern = ["(/[^/]+)*" if part == "**" else f"/{_word(part)}" for part in kept]
    return re.fullmatch("".join(pattern), full_name) is not None


def check(entries: Sequence[ParameterEntry], nodes: Sequence[Started]) -> tuple[str, ...]:
    """Return warnings: names that no node of this package has.

    Raises ParameterFileError for a value of a wrong type, for a name or a section near one of ours that is not
    one, and for a node's name whose section does not apply because of the node's namespace.
    """
    _check_sections(entries, nodes)
    for entry in entries:
        for node in nodes:
            kind = _kinds(node, entries).get(entry.name) if applies(entry.section, node.full_name) else None
            if kind is not None and not fits(entry.value, kind):
                raise ParameterFileError(
                    f"{entry.where}: node {node.full_name}: {entry.name} is {brief(entry.value)}; it must be "
                    f"{expected(kind)}"
                )
    return check_names(entries, nodes)


def check_names(entries: Sequence[ParameterEntry], nodes: Sequence[Started]) -> tuple[str, ...]:
    """Return warnings as `check`; raises ParameterFileError for an earlier name, and for one near ours that is none."""
    warnings: dict[str, None] = {}
    for entry in entries:
        meant = [node for node in nodes if applies(entry.section, node.full_name)]
        for node in meant:
            if now := FORMER.get(node.executable, {}).get(entry.name):
                raise ParameterFileError(
                    f"{entry.where}: node {node.full_name}: {entry.name} is called {now} now; `il-ros migrate` "
                    "changes it in files"
                )
        own = {name for node in meant for name in _kinds(node, entries)}
        shared = "*" in entry.section
        if not meant or entry.name in own or _of_ros(entry.name) or (shared and entry.name in all_names()):
            continue  # not for these nodes, or for one that another scenario starts
        if any(node.executable == DEVICE_NODE for node in meant):
            continue  # perhaps the device's own
        names = sorted(own | (all_names() if shared else frozenset()))
        near = difflib.get_close_matches(entry.name, names, n=1, cutoff=_NEAR)
        whose = f"section {entry.section}" if shared else f"node {meant[0].full_name}"
        if near:
            raise ParameterFileError(
                f"{entry.where}: {whose}: there is no parameter {entry.name}; is {near[0]} meant?"
            )
        warnings[f"{entry.where}: {whose}: no node of il_ros has a parameter {entry.name}"] = None
    return tuple(warnings)


def _section(top: Section, name: str) -> list[ParameterEntry]:
    """Return the values of a section, and of those below it: 'left: {recorder: ...}' is /left/recorder."""
    parts = top.section(name)
    assert parts is not None
    found: list[ParameterEntry] = []
    for key in parts.keys:
        if key == "ros__parameters":
            values = parts.section(key)
            assert values is not None
            found += [ParameterEntry(name, *each) for each in _values(values, "")]
        elif parts.is_section(key):
            found += [
                ParameterEntry(f"{name}/{each.section.lstrip('/')}", each.name, each.value, each.where)
                for each in _section(parts, key)
            ]
        else:
            raise parts.error(
                key, "parameters stand under ros__parameters: 'NODE: {ros__parameters: {NAME: VALUE}}'"
            )
    return found


def _values(section: Section, before: str) -> list[tuple[str, Any, str]]:
    found: list[tuple[str, Any, str]] = []
    for key in section.keys:
        if section.is_section(key):
            inner = section.section(key)
            assert inner is not None
            found += _values(inner, f"{before}{key}.")
        else:
            where = section.where(key)
            found.append((before + key, _value(section.tree(key), where), where))
    return found


def _value(node: yaml.Node, where: str) -> Any:
    """Return the value that ROS reads; its rules for unquoted words differ from YAML's."""
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, where) for each in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ParameterFileError(
            f"{where}: a parameter is a value or a list of values, not a mapping in a list"
        )
    text = str(node.value)
    if node.style in ("'", '"') or node.tag == "!!str":
        return text
    if not text:
        raise ParameterFileError(f"{where}: has no value")
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if _WHOLE.fullmatch(text):
        return int(text, 16 if "x" in text.lower() else 8 if re.match("[-+]?0", text) else 10)
    return float(text.replace(".inf", "inf").replace(".nan", "nan")) if _NUMBER.fullmatch(text) else text


def _kinds(node: Started, entries: Sequence[ParameterEntry]) -> dict[str, Kind]:
    own = dict(known(node.executable))
    if node.executable == "dagger_supervisor":
        sources = values_for(entries, node.full_name).get("sources")
        if sources is not None and isinstance(sources.value, list):
            own |= {f"{each}.{name}": kind for each in sources.value for name, kind in PER_SOURCE.items()}
    return own


def _check_sections(entries: Sequence[ParameterEntry], nodes: Sequence[Started]) -> None:
    names = {node.full_name.rsplit("/", 1)[1]: node.full_name for node in nodes}
    for entry in entries:
        word = entry.section.rsplit("/", 1)[-1]
        if "*" in word or any(applies(entry.section, node.full_name) for node in nodes):
            continue
        if word in names:
            raise ParameterFileError(
                f"{entry.where}: section {entry.section} is not for node {names[word]}: write {names[word]}, "
                f"or /**/{word} for any namespace"
            )
        near = difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
        if near and word not in _NODE_NAMES:
            raise ParameterFileError(
                f"{entry.where}: section {entry.section}: there is no node {word}; is {near[0]} meant?"
            )


def _of_ros(name: str) -> bool:
    return name in EVERYWHERE or name.startswith(FIXED_PREFIXES)


def named(namespace: str, node: str) -> str:
    """Return a node's full name; `namespace` may have wildcards, which stand for no namespace."""
    return "/" + "/".join(part for part in (*namespace.split("/"), node) if part and "*" not in part)


def _word(part: str) -> str:
    return "[^/]+" if part == "*" else re.escape(part)


_NODE_NAMES = frozenset(
    ("conductor", "dagger_supervisor", "expert", "policy_server", "recorder", "session", "sim", "trainer")
)
"""Names of our nodes, some of which a scenario does not start."""
