"""What one file is, and its text in today's words.

Only names that have another name now are changed. The result is read as the package reads it, and what a reader
refuses is a problem to settle; nothing that a file says is dropped or filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from il_ros.cli.migrate.launch_files import former_words
from il_ros.cli.migrate.unsettled import Unsettled
from il_ros.cli.migrate.yaml_edits import Edit, Leaf, edited, leaves
from il_ros.core import contract, strict_yaml
from il_ros.core.processes.executables import NAMES, NODES
from il_ros.core.settings import SettingsError
from il_ros.core.strict_yaml import YamlError
from il_ros.scenarios import parameter_file
from il_ros.scenarios.node_parameters import FORMER
from il_ros.scenarios.parameter_file import ParameterFileError, Started

PARAMETERS = "ros__parameters"
RECIPE_SECTIONS = frozenset(("family", "policy", "training", "reward", "agent", "imitation"))


class Kind(str, Enum):
    """What a file is; the value is its name in messages."""

    CONTRACT = "contract"
    PARAMETERS = "parameter file"
    RECIPE = "recipe"
    LAUNCH = "launch file or program"


@dataclass(frozen=True)
class Migration:
    """A file as it is (`before`) and in today's words (`after`), what is left to settle, and remarks."""

    path: Path
    kind: Kind
    before: str
    after: str
    problems: tuple[Unsettled, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the file has former words that can be changed."""
        return self.after != self.before


@dataclass
class _Found:
    """The edits of a file, and its problems so far."""

    edits: list[Edit] = field(default_factory=list)
    problems: list[Unsettled] = field(default_factory=list)


def migrate_text(text: str, path: Path) -> Migration | None:
    """Return the migration of a file's text; None if it is no file of this package."""
    name = str(path)
    if path.suffix in (".py", ".xml") or path.name.endswith((".launch.yaml", ".launch.yml")):
        if "il_ros" not in text:
            return None
        return Migration(path, Kind.LAUNCH, text, text, tuple(former_words(text, name)))
    top = strict_yaml.compose(text, name)
    kind = kind_of(top)
    if kind is None:
        return None
    found = _Found()
    if kind is Kind.PARAMETERS:
        _parameters(top, name, found)
    elif kind is Kind.RECIPE:
        _recipe(top, name, found)
    after = edited(text, found.edits)
    if not _is_sound(after, name):
        first, after = found.edits[0], text
        sentence = f"is called {first.word} now, and a section {first.word} stands beside it; join the two"
        found.problems.append(Unsettled(name, first.line, str(first.scalar.value), sentence))
    remarks: tuple[str, ...] = ()
    try:
        if not found.problems:  # else the reader would say the same again
            remarks = _READERS[kind](after, path)
    except (YamlError, ParameterFileError, SettingsError) as error:
        found.problems.append(Unsettled("", 0, "", str(error)))
    problems = tuple(sorted(found.problems, key=lambda each: each.line))
    return Migration(path, kind, text, after, problems, remarks)


def kind_of(top: yaml.MappingNode) -> Kind | None:
    """Return what a YAML file is, by its keys; None if none of ours."""
    names = {str(key.value) for key, _ in top.value}
    if {"observations", "actions"} <= names:
        return Kind.CONTRACT
    if any(PARAMETERS in leaf.names for leaf in leaves(top)):
        return Kind.PARAMETERS
    if names and names <= RECIPE_SECTIONS and names & {"policy", "training", "imitation"}:
        return Kind.RECIPE
    return None


# ---- parameter files -------------------------------------------------------------------------------------


def _parameters(top: yaml.MappingNode, path: str, found: _Found) -> None:
    """Find parameters by former names, and former words in the trainer's changes of a recipe."""
    grouped: dict[tuple[str, ...], dict[str, Leaf]] = {}
    for leaf in leaves(top):
        if PARAMETERS in leaf.names:
            place = leaf.names.index(PARAMETERS)
            inner = Leaf(leaf.keys[place + 1 :], leaf.value)
            if inner.keys:
                grouped.setdefault(leaf.names[:place], {})[".".join(inner.names)] = inner
    for names, values in grouped.items():
        section = "/".join(each.strip("/") for each in names)
        _section(section, values, path, found)
    _announced_elsewhere(grouped, path, found)


def _section(section: str, values: Mapping[str, Leaf], path: str, found: _Found) -> None:
    node = section.rsplit("/", 1)[-1]
    renamed: dict[int, dict[str, list[Leaf]]] = {}
    words: dict[int, yaml.ScalarNode] = {}
    for name, leaf in values.items():
        executable, now = _now(name)
        word_by_key = leaf.names
        if now and "*" not in node and node != executable:
            sentence = f"is called {now} now if {node} is a {executable}; nothing in the file says so"
            found.problems.append(Unsettled(path, leaf.line, f"{section}: {name}", sentence))
        elif now in values:
            sentence = (
                f"is called {now} now, which is given in line {values[now].line}, too; remove one of them"
            )
            found.problems.append(Unsettled(path, leaf.line, f"{section}: {name}", sentence))
        elif now:
            word_by_key = _split(now, leaf.names)
        for key, word in zip(leaf.keys, word_by_key, strict=True):
            words[key.start_mark.index] = key
            renamed.setdefault(key.start_mark.index, {}).setdefault(word, []).append(leaf)
        if name == "changes" and ("*" in node or node == "trainer"):
            found.edits += _recipe_changes(leaf)
    for place, by_word in renamed.items():
        key, (word, *others) = words[place], by_word
        if others:  # one key above several parameters, of which only some have another name
            kept = ", ".join(".".join(leaf.names) for leaf in by_word.get(str(key.value), []))
            sentence = f"'{key.value}' stands above {kept}, too, so it stays; write the parameters by their whole names"
            found.problems.append(
                Unsettled(path, int(key.start_mark.line) + 1, f"{section}: {key.value}", sentence)
            )
        elif word != key.value:
            found.edits.append(Edit(key, word))


def _now(name: str) -> tuple[str, str]:
    """Return the executable and the present name of a parameter's former name; ("", "") for any other name."""
    for executable, names in FORMER.items():
        if name in names:
            return executable, names[name]
    return "", ""


def _split(now: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parts of a dotted name, divided as the keys are; former names have as many parts as present ones."""
    parts, out = now.split("."), []
    for name in names:
        count = name.count(".") + 1
        out.append(".".join(parts[:count]))
        parts = parts[count:]
    return tuple(out)


def _recipe_changes(leaf: Leaf) -> list[Edit]:
    """Return the edits of a list of changes of a recipe, such as [doubt=own]."""
    items = leaf.value.value if isinstance(leaf.value, yaml.SequenceNode) else []
    found = []
    for item in items:
        if isinstance(item, yaml.ScalarNode):
            key, equals, rest = str(item.value).partition("=")
            section, dot, name = key.strip().rpartition(".")
            if section in ("", "training") and (now := _renamed_keys().get(name)):
                found.append(Edit(item, f"{section}{dot}{now}{equals}{rest}"))
    return found


def _announced_elsewhere(
    grouped: Mapping[tuple[str, ...], Mapping[str, Leaf]], path: str, found: _Found
) -> None:
    """Find a trainer whose folder of versions the policy server does not take checkpoints from."""
    given = {name: leaf for values in grouped.values() for name, leaf in values.items()}
    trainer = next((values for names, values in grouped.items() if names[-1].endswith("trainer")), {})
    folder = trainer.get("checkpoint")
    if folder is None or "versions" in given or not isinstance(folder.value, yaml.ScalarNode):
        return
    if str(folder.value.value) not in ("checkpoint", ""):
        found.problems.append(
            Unsettled(
                path,
                folder.line,
                "trainer: checkpoint",
                f"is {folder.value.value}, but policy_server takes announced checkpoints only from below its new "
                f"parameter versions (default: checkpoint); give policy_server 'versions: {folder.value.value}', too",
            )
        )


def _read_parameters(text: str, path: Path) -> tuple[str, ...]:
    """Check the names of parameters in every section that is named after a node of this package, or after all nodes."""
    entries = parameter_file.parse(text, str(path))
    nodes = []
    for section in dict.fromkeys(entry.section for entry in entries):
        before, _, word = section.strip("/").rpartition("/")
        fitting = [name for name in NODES if "*" in word or word in (name, NAMES.get(name))]
        nodes += [
            Started(name, parameter_file.named(before, NAMES.get(name, name) if "*" in word else word))
            for name in fitting
        ]
    return parameter_file.check_names(entries, nodes)


# ---- recipes ---------------------------------------------------------------------------------------------


def _recipe(top: yaml.MappingNode, path: str, found: _Found) -> None:
    """Find keys of the section 'training' by former names."""
    training = {
        leaf.names[1]: leaf for leaf in leaves(top) if len(leaf.names) == 2 and leaf.names[0] == "training"
    }
    for name, leaf in training.items():
        now = _renamed_keys().get(name)
        if now in training:
            sentence = (
                f"is called {now} now, which is given in line {training[now].line}, too; remove one of them"
            )
            found.problems.append(Unsettled(path, leaf.line, f"training: {name}", sentence))
        elif now:
            found.edits.append(Edit(leaf.keys[-1], now))


def _renamed_keys() -> Mapping[str, str]:
    from il_ros.training.recipe import RENAMED

    return RENAMED


def _read_recipe(text: str, path: Path) -> tuple[str, ...]:
    from il_ros.rl.recipe import ImitationRecipe  # imports torch
    from il_ros.training.recipe import Recipe
    from il_ros.training.trainer.recipe_file import OWN_STEPS

    values: dict[str, Any] = strict_yaml.load(text, str(path))
    (ImitationRecipe if OWN_STEPS in values else Recipe).from_plain(values, str(path))
    return ()


# ---- contracts -------------------------------------------------------------------------------------------


def _read_contract(text: str, path: Path) -> tuple[str, ...]:
    return contract.parse(text, str(path)).expiry_warnings


_READERS: Mapping[Kind, Callable[[str, Path], tuple[str, ...]]] = {
    Kind.CONTRACT: _read_contract,
    Kind.PARAMETERS: _read_parameters,
    Kind.RECIPE: _read_recipe,
}
"""What reads each kind; it returns remarks, or raises the error of its reader."""


def _is_sound(text: str, path: str) -> bool:
    """Return whether a text can be read, and no key stands twice in a mapping."""

    def once(node: yaml.Node) -> bool:
        if not isinstance(node, yaml.MappingNode):
            return True
        names = [str(key.value) for key, _ in node.value]
        return len(set(names)) == len(names) and all(once(value) for _, value in node.value)

    try:
        return once(strict_yaml.compose(text, path))
    except YamlError:
        return False
