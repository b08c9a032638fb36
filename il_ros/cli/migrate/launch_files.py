"""Former launch arguments and module names in a user's own programs: they are named, not changed.

A launch file is a program, or an include of several packages' files: which of them an argument is for cannot be
settled here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from il_ros.cli.migrate.unsettled import Unsettled
from il_ros.scenarios import SCENARIOS

FORMER_MODULES = {"il_ros.nodes.ros_env": "il_ros.nodes.env.ros_env"}
"""Public modules that moved, and where they are."""


def former_words(text: str, path: str) -> list[Unsettled]:
    """Return what a launch file or program uses by an earlier name; empty for one that does not use il_ros."""
    if "il_ros" not in text:
        return []
    former = _former_arguments(text)
    found = list(_modules(text, path))
    if former:
        pairs = _in_python(text) if path.endswith(".py") else _in_markup(text, tuple(former))
        found += [
            Unsettled(
                path,
                line,
                name,
                f"the launch argument {name}:= of {' and '.join(former[name][1])} is called {former[name][0]}:= now; "
                f"change it where it is given to a launch file of il_ros",
            )
            for line, name in pairs
            if name in former
        ]
    return sorted(found, key=lambda each: each.line)


def _former_arguments(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the former arguments of the il_ros launch files that a text names: name -> (name now, files)."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for scenario in SCENARIOS.values():
        file = f"{scenario.name}.launch.py"
        if not re.search(rf"(?<![\w.]){re.escape(file)}", text):
            continue
        present = {argument.name for argument in scenario.arguments}
        for argument in scenario.arguments:
            if argument.formerly and argument.formerly not in present:
                files = found.get(argument.formerly, ("", ()))[1]
                found[argument.formerly] = (argument.name, (*files, file))
    return found


def _modules(text: str, path: str) -> Iterator[Unsettled]:
    for number, line in enumerate(text.splitlines(), 1):
        for old, now in FORMER_MODULES.items():
            if re.search(rf"\b{re.escape(old)}\b", line):
                yield Unsettled(path, number, old, f"this module is {now} now")


def _in_python(text: str) -> list[tuple[int, str]]:
    """Return the line and text of every key of a dictionary, and first part of a pair, that is a text."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        keys: list[ast.expr | None] = list(node.keys) if isinstance(node, ast.Dict) else []
        keys += node.elts[:1] if isinstance(node, ast.Tuple) and len(node.elts) == 2 else []
        for key in keys:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found.append((key.lineno, key.value))
    return found


def _in_markup(text: str, names: tuple[str, ...]) -> list[tuple[int, str]]:
    """Return the line and name of every argument in XML (`name="..."`) or YAML (`name: ...`)."""
    word = re.compile(rf"""\bname\s*[=:]\s*["']?({"|".join(map(re.escape, names))})["']?(?![\w.])""")
    return [
        (number, match[1])
        for number, line in enumerate(text.splitlines(), 1)
        for match in word.finditer(line)
    ]
