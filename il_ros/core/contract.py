"""The contract: the observations and actions of a policy, in one YAML file.

Every bag and every checkpoint contains it, so that recording, training and control use the same numbers.
See config/contracts/ for commented examples.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from il_ros.core import contract_fields, files, messages, share
from il_ros.core.codecs import codec_types
from il_ros.core.derived import DerivedSpec
from il_ros.core.derived.reading import read_derived
from il_ros.core.safety import Safety, read_safety
from il_ros.core.specs import (
    BOUNDED,
    EXPIRED,
    EXPIRES_LEAST_S,
    EXPIRES_PERIODS,
    MOST_MEGAPIXELS,
    MOST_NUMBERS,
    ActionGroup,
    ActionSpec,
    ObservationSpec,
    ScanSpec,
    StreamSpec,
    Vector,
)
from il_ros.core.strict_yaml import MOST_CHARACTERS, Section, YamlError
from il_ros.core.strict_yaml import parse as parse_yaml
from il_ros.core.units import limit_warnings

Spec = TypeVar("Spec", bound=StreamSpec)

_ADDED = {"scan": dataclasses.asdict(ScanSpec()), "continuous": (), "frames": (), "static": "", "paths": ()}
"""Fields that specs of version 0.1.0 lacked, with their defaults: with these, a contract's hash stays the same."""

_FADING = ("velocity", BOUNDED)
"""Quantities whose commands expire by default."""

ContractError = YamlError
"""An invalid contract; the message names file, line, field, value and the expected value."""


@dataclass(frozen=True)
class Contract:
    """The observations and actions of a policy, and the control rate.

    `trigger`: the topic whose messages start a tick, with their stamp; None: a timer starts the ticks.
    `text`: the file as written, with the definitions of message types that are no standard ones. `safety`: further
    layers behind the limiter. `groups`: the actions by authority, in the file's order; one group of all actions unless
    the contract says otherwise. `derived`: numbers computed from the observations, further inputs of policies. All four
    are excluded from comparison and from the hash: recordings do not depend on them.
    """

    name: str
    rate_hz: float
    observations: tuple[ObservationSpec, ...]
    actions: tuple[ActionSpec, ...]
    trigger: str | None = None
    text: str = field(default="", compare=False, repr=False)
    safety: Safety = field(default=Safety(), compare=False)
    groups: tuple[ActionGroup, ...] = field(default=(), compare=False)
    derived: tuple[DerivedSpec, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", contract_fields.groups(None, self.action_slices))

    @property
    def grouped(self) -> bool:
        """Whether there is more than one group, so that authority, labels and takeovers are kept per group."""
        return len(self.groups) > 1

    @property
    def period_ns(self) -> int:
        """Time between ticks, in nanoseconds."""
        return round(1e9 / self.rate_hz)

    @property
    def action_size(self) -> int:
        """Count of numbers A in the flat action vector."""
        return sum(action.size for action in self.actions)

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """Name of each number of the flat action vector: 'arm/joint1', 'base/linear.x'."""
        return tuple(f"{action.key}/{name}" for action in self.actions for name in action.names)

    @cached_property
    def action_slices(self) -> dict[str, slice]:
        """Slice of each action key in the flat vector."""
        return action_slices(self.actions)

    @property
    def topics(self) -> dict[str, str]:
        """Message type of every observed and commanded topic."""
        specs: tuple[StreamSpec, ...] = (*self.observations, *self.actions)
        return {topic: spec.type for spec in specs for topic in spec.topics}

    def observation(self, key: str) -> ObservationSpec:
        """Return the observation `key`; raises KeyError that lists the known keys."""
        return _find(self.observations, key, self.name)

    def action(self, key: str) -> ActionSpec:
        """Return the action `key`; raises KeyError that lists the known keys."""
        return _find(self.actions, key, self.name)

    def expires_s(self, action: ActionSpec) -> float:
        """Return how long a command of `action` counts after its arrival, in seconds.

        Infinite: until it is superseded, the default of positions and choices. The default of velocities and bounded
        numbers is EXPIRES_PERIODS periods, and at least EXPIRES_LEAST_S.
        """
        return self._default_expiry_s(action) if action.expires_s is None else action.expires_s

    @property
    def expiry_warnings(self) -> tuple[str, ...]:
        """A sentence per velocity or bounded action that does not declare `expires_s`: the default that is used."""
        return tuple(
            f"contract '{self.name}', actions.{action.key}: expires_s is not declared; a {action.quantity} command "
            f"counts for {self.expires_s(action):g} s ({EXPIRES_PERIODS} periods, at least {EXPIRES_LEAST_S:g} s)"
            for action in self.actions
            if action.quantity in _FADING and action.expires_s is None
        )

    @property
    def unit_warnings(self) -> tuple[str, ...]:
        """A sentence per joint whose limits look like those of another unit, such as degrees."""
        found = [sentence for action in self.actions for sentence in limit_warnings(action)]
        return tuple(f"contract '{self.name}', {sentence}" for sentence in found)

    def _default_expiry_s(self, action: ActionSpec) -> float:
        return (
            max(EXPIRES_PERIODS / self.rate_hz, EXPIRES_LEAST_S) if action.quantity in _FADING else math.inf
        )

    @cached_property
    def turns(self) -> Vector:
        """The whole turn of each number of the flat action vector that is a continuous joint's; 0 for others (A,)."""
        return np.concatenate([action.turns for action in self.actions])

    @cached_property
    def hash(self) -> str:
        """Hash of the meaning, sixteen hex digits; comments, layout and name are excluded."""
        meaning = {key: value for key, value in self.meaning().items() if key != "name"}
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]

    def meaning(self) -> dict[str, Any]:
        """Return what two interchangeable contracts have in common, and their names."""
        values = dataclasses.asdict(dataclasses.replace(self, derived=()))
        for name in ("text", "safety", "groups", "derived"):
            del values[name]
        for action, fields in zip(self.actions, values["actions"], strict=True):
            # as hashed before these keys existed
            if self.expires_s(action) == self._default_expiry_s(action):
                del fields["expires_s"]
            if action.expired == EXPIRED[0]:
                del fields["expired"]
        for kind in ("observations", "actions"):
            for spec in values[kind]:
                spec.pop("home", None)  # a robot's resting position changes nothing that is learnt
                for key in [key for key, default in _ADDED.items() if spec.get(key) == default]:
                    del spec[key]
            values[kind] = {spec["key"]: spec for spec in values[kind]}
            values[f"order of {kind}"] = list(values[kind])
        return values


def action_slices(actions: Iterable[ActionSpec]) -> dict[str, slice]:
    """Return the slice of each action key in the flat vector of these actions."""
    slices, start = {}, 0
    for action in actions:
        slices[action.key] = slice(start, start + action.size)
        start += action.size
    return slices


def load(path: str | Path) -> Contract:
    """Read a contract file.

    Raises ContractError when the file is missing, unreadable or invalid.
    """
    try:
        text = files.read_text(Path(path), 4 * MOST_CHARACTERS)  # a character has up to four bytes
    except FileNotFoundError:
        raise ContractError(f"{path}: there is no such contract file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{path}: cannot read the contract: {error}") from error
    return parse(text, str(path))


def find(name: str) -> Contract:
    """Return the contract in file `name`, or the one shipped under that name, which precedes a file without suffix.

    Raises ContractError as `load`, and when no shipped contract has that name.
    """
    if Path(name).suffix:
        return load(name)
    folder = share.path("config", "contracts")
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in known:
        if Path(name).is_file():
            return load(name)
        raise ContractError(
            f"contract '{name}' is neither a .yaml file nor one of {folder}: {', '.join(known)}"
        )
    return load(folder / f"{name}.yaml")


def parse(text: str, source: str) -> Contract:
    """Read a contract from its text; `source` names it in errors.

    Raises ContractError when anything in it is unknown, missing, of the wrong kind or inconsistent.
    """
    top = parse_yaml(text, source)
    if "parts" in top:
        raise top.error(
            "parts",
            "this describes a joint policy of several contracts; a robot has the contract of one part",
        )
    _learn_definitions(top)
    name, rate_hz = top.text("name"), top.number("rate_hz")
    if rate_hz > 1000:
        raise top.error("rate_hz", f"{rate_hz:g} is above the highest control rate, 1000 Hz")
    if rate_hz < 0.001:
        raise top.error("rate_hz", f"{rate_hz:g} is below the lowest control rate, 0.001 Hz")
    observations = _each(top, "observations", _bounded(contract_fields.observation))
    by_key = {spec.key: spec for spec in observations}
    actions = _each(top, "actions", lambda key, section: contract_fields.action(key, section, by_key))
    observations = contract_fields.with_continuous(observations, actions)
    trigger = top.text("trigger", "") or None
    observed = [spec.topic for spec in observations]
    if trigger is not None and trigger not in observed:
        raise top.error("trigger", f"'{trigger}' is not an observed topic; one of: {', '.join(observed)}")
    safety = read_safety(top.section("safety", required=False), by_key, actions)
    groups = contract_fields.groups(top.section("groups", required=False), action_slices(actions))
    derived = read_derived(top.section("derived", required=False), {spec.key: spec for spec in observations})
    top.done()
    _refuse_clashes(top, observations, actions)
    text = _with_definitions(text, "definitions" in top, (*observations, *actions))
    return Contract(name, rate_hz, observations, actions, trigger, text, safety, groups, derived)


def _learn_definitions(top: Section) -> None:
    """Read the definitions of message types that a contract brings along; types that are known stay as they are.

    What a contract means are the paths of its numbers: if they do not exist in the type as it is known here, or an
    array has another length, reading it fails or gives another hash.
    """
    section = top.section("definitions", required=False)
    for name in () if section is None else section.keys:
        assert section is not None
        text = section.text(name)
        try:
            messages.register(text, name)
        except ValueError as error:
            raise section.error(name, str(error)) from None
    if section is not None:
        section.done()


def _with_definitions(text: str, has_some: bool, specs: Sequence[StreamSpec]) -> str:
    """Return a contract's text with the definitions that reading it needs, so that it can be read anywhere.

    Types with a codec of their own need none.
    """
    needed = sorted(
        {spec.type for spec in specs if spec.type not in codec_types() and not messages.standard(spec.type)}
    )
    if not needed or has_some:
        return text
    lines = [
        "",
        "# The message types above that are not among ROS's common ones, as this computer has them",
        "definitions:",
    ]
    for name in needed:
        lines += [
            f"  {name}: |2",
            *(f"    {line}" for line in messages.definition(name).rstrip().splitlines()),
        ]
    whole = text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"
    try:
        readable = set(needed) <= set(getattr(parse_yaml(whole, "").section("definitions"), "keys", ()))
    except YamlError:
        readable = False  # written as {...}, or with an end mark: nothing can be added
    return whole if readable else text


def _each(top: Section, kind: str, read: Any) -> tuple[Any, ...]:
    section = top.section(kind)
    assert section is not None
    if not section.keys:
        raise top.error(kind, "is empty; at least one is needed")
    specs = []
    for key in section.keys:
        if not key.replace("_", "").isalnum():
            raise section.error(
                key,
                "a key may contain letters, digits and underscores only: it is used in names of files and arrays",
            )
        part = section.section(key)
        assert part is not None
        specs.append(read(key, part))
        part.done()
    section.done()
    return tuple(specs)


def _bounded(read: Callable[[str, Section], ObservationSpec]) -> Callable[[str, Section], ObservationSpec]:
    """Return `read` with a bound on what all observations have together."""
    numbers = pixels = 0

    def reading(key: str, section: Section) -> ObservationSpec:
        nonlocal numbers, pixels
        spec = read(key, section)
        numbers += spec.size
        pixels += spec.image.width * spec.image.height if spec.image is not None else 0
        if numbers > MOST_NUMBERS:
            raise section.error("type", f"the observations have more than {MOST_NUMBERS} numbers together")
        if pixels > MOST_MEGAPIXELS * 1_000_000:
            raise section.error(
                "type", f"the images have more than {MOST_MEGAPIXELS} million pixels together"
            )
        return spec

    return reading


def _refuse_clashes(
    top: Section, observations: tuple[ObservationSpec, ...], actions: tuple[ActionSpec, ...]
) -> None:
    types: dict[str, str] = {}
    specs: tuple[StreamSpec, ...] = (*observations, *actions)
    for topic, type_name in ((topic, spec.type) for spec in specs for topic in spec.topics):
        if types.setdefault(topic, type_name) != type_name:
            raise top.error(
                "observations", f"topic '{topic}' is declared as {types[topic]} and as {type_name}"
            )
    static: dict[str, tuple[str, str]] = {}
    for spec in observations:
        declared = (spec.static, spec.stamp)
        if spec.frames and static.setdefault(spec.topic, declared) != declared:
            raise top.error(
                "observations",
                f"the observations of '{spec.topic}' differ in static or stamp: {static[spec.topic]}, {declared}",
            )
    commanded = Counter(action.topic for action in actions)
    for topic, count in commanded.items():
        if count > 1:
            raise top.error("actions", f"topic '{topic}' is commanded by two actions; join them in one")


def _find(specs: tuple[Spec, ...], key: str, name: str) -> Spec:
    for spec in specs:
        if spec.key == key:
            return spec
    raise KeyError(f"contract '{name}' has no '{key}'; it has: {', '.join(spec.key for spec in specs)}")
