"""Contracts joined for one policy of several tasks or robots.

Observations and actions are joined by key: one key is one input or output of the policy, and must mean the same in all
contracts that have it. One more observation, PART, says which contract is meant. What a robot lacks is masked where it
is observed, and has no label where it is commanded. A joined contract describes a policy; no robot is driven by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError, action_slices
from il_ros.core.contract_differences import differences
from il_ros.core.derived import DerivedSpec
from il_ros.core.specs import ARRAY, POSE, ActionGroup, ActionSpec, ObservationSpec
from il_ros.core.strict_yaml import parse as parse_yaml
from il_ros.core.tables import listed

PART = "part"
"""The observation that says which of the joined contracts is meant: 1 for it, 0 for the others."""
_PARTS = "parts"

Spec = TypeVar("Spec", ObservationSpec, ActionSpec, DerivedSpec)


@dataclass(frozen=True)
class JoinedContract(Contract):
    """The union of `parts`, contracts with different names and one rate.

    Topics, limits and ages are those of the first part that has a key; they have no meaning here. The actions are
    grouped by the parts that have them, so that those of others have no label.
    """

    parts: tuple[Contract, ...] = field(default=(), compare=False)

    @property
    def partial(self) -> tuple[str, ...]:
        """The keys of the observations, and derived ones, that not all parts have."""
        return tuple(
            key for key in _keys(self) if key != PART and not all(key in keys_of(part) for part in self.parts)
        )

    def part(self, wanted: Contract) -> Contract:
        """Return the part that is interchangeable with a contract; raises ContractError with the differences.

        Of several such parts, it is the one of the same name.
        """
        alike = [part for part in self.parts if not differences(wanted, part)]
        named = [part for part in alike if part.name == wanted.name]
        if len(named or alike) == 1:
            return (named or alike)[0]
        if alike:
            raise ContractError(
                f"contract '{wanted.name}' is that of several parts ({listed([each.name for each in alike])}), which "
                "only the name tells apart; use the contract of one of these names"
            )
        lines = [f"part '{part.name}': {line}" for part in self.parts for line in differences(wanted, part)]
        raise ContractError("\n  ".join(lines))

    def meaning(self) -> dict[str, Any]:
        """Return the meaning of a contract, with the hashes of its parts."""
        return {**super().meaning(), _PARTS: {part.name: part.hash for part in self.parts}}


def keys_of(part: Contract) -> frozenset[str]:
    """Return the keys of a contract's observations and derived ones."""
    return frozenset(_keys(part))


def _keys(own: Contract) -> list[str]:
    return [spec.key for spec in own.observations] + [spec.key for spec in own.derived]


def joined(parts: Sequence[Contract]) -> JoinedContract:
    """Return the union of contracts; raises ContractError naming the contracts, key and values that do not fit."""
    names = [part.name for part in parts]
    if len(parts) < 2:
        raise ContractError(f"there is one contract only ({listed(names)}); joining needs two or more")
    for part in parts:
        if isinstance(part, JoinedContract):
            raise ContractError(f"'{part.name}' is joined already; join its parts: {listed(_names(part))}")
        if names.count(part.name) > 1:
            raise ContractError(f"two different contracts are named '{part.name}'; rename one of them")
        if part.rate_hz != parts[0].rate_hz:
            raise ContractError(
                f"contracts '{parts[0].name}' and '{part.name}' cannot be joined: rate_hz is "
                f"{parts[0].rate_hz:g} and {part.rate_hz:g}; a policy has one rate"
            )
        if PART in keys_of(part):
            raise ContractError(
                f"contract '{part.name}' cannot be joined: its observation '{PART}' has the name of the one that says "
                "which contract is meant; give it another key"
            )
    observed = _union("observations", {part.name: part.observations for part in parts}, _seen)
    actions = tuple(
        replace(
            action, reference=None, reference_index=()
        )  # what measures it may be missing on another robot
        for action in _union("actions", {part.name: part.actions for part in parts}, _done)
    )
    derived = _union("derived", {part.name: part.derived for part in parts}, _computed)
    for part in parts:
        for spec in part.derived:
            if spec.key in {each.key for each in observed}:
                raise ContractError(
                    f"'{spec.key}' is derived in contract '{part.name}' and observed in another; give it another key"
                )
    chosen = ObservationSpec(PART, PART, ARRAY, 1.0, tuple(names), elements=tuple(names), stamp="arrival")
    return JoinedContract(
        "+".join(names),
        parts[0].rate_hz,
        (*observed, chosen),
        actions,
        text=_text(parts),
        groups=_groups(actions, parts),
        derived=derived,
        parts=tuple(parts),
    )


def read(text: str, source: str) -> Contract:
    """Read the contract of a checkpoint, which may be a joined one; raises ContractError as `contract.parse`."""
    top = parse_yaml(text, source)
    if _PARTS not in top:
        return contracts.parse(text, source)
    top.text("name")
    section = top.section(_PARTS)
    assert section is not None
    parts = [contracts.parse(section.text(name), f"{source}, {_PARTS}.{name}") for name in section.keys]
    top.done()
    try:
        return joined(parts)
    except ContractError as error:
        raise ContractError(f"{source}: {error}") from error


def _names(own: JoinedContract) -> list[str]:
    return [part.name for part in own.parts]


def _union(
    kind: str, specs: dict[str, tuple[Spec, ...]], meaning: Callable[[Spec], dict[str, Any]]
) -> tuple[Spec, ...]:
    """Return the specs of all contracts, by key; those of one key must have one meaning."""
    found: dict[str, tuple[str, Spec]] = {}
    for name, own in specs.items():
        for spec in own:
            first, before = found.setdefault(spec.key, (name, spec))
            ours, theirs = meaning(before), meaning(spec)
            for what, value in ours.items():
                if theirs[what] != value:
                    raise ContractError(
                        f"contracts '{first}' and '{name}' cannot be joined: {kind}.{spec.key}: {what} is {value} and "
                        f"{theirs[what]}; what differs needs different keys"
                    )
    return tuple(spec for _, spec in found.values())


def _seen(spec: ObservationSpec) -> dict[str, Any]:
    image = None if spec.image is None else (spec.image.width, spec.image.height, spec.image.encoding)
    numbers = {"elements": list(spec.elements), "unit": spec.unit, "continuous": list(spec.continuous)}
    return {"kind": spec.kind, **numbers, "image": image}


def _done(spec: ActionSpec) -> dict[str, Any]:
    numbers = {"names": list(spec.names), "unit": spec.unit, "continuous": list(spec.continuous)}
    return {**numbers, "quantity": spec.quantity, "mode": spec.mode, "pose": spec.type == POSE}


def _computed(spec: DerivedSpec) -> dict[str, Any]:
    return {"formula": spec.formula, "elements": list(spec.elements)}


def _groups(actions: Sequence[ActionSpec], parts: Sequence[Contract]) -> tuple[ActionGroup, ...]:
    """Return the groups: actions that are in one group of each part that has them."""
    slices, members = action_slices(actions), dict[tuple[str, ...], list[str]]()
    for action in actions:
        held = tuple(
            next((group.name for group in part.groups if action.key in group.keys), "") for part in parts
        )
        members.setdefault(held, []).append(action.key)
    if len(members) == 1:
        return ()
    return tuple(
        ActionGroup(
            "_".join(keys),
            tuple(keys),
            tuple(i for key in keys for i in range(slices[key].start, slices[key].stop)),
        )
        for keys in members.values()
    )


def _text(parts: Sequence[Contract]) -> str:
    """Return the file of a joined contract: the parts as they were written."""
    lines = [f"name: {'+'.join(part.name for part in parts)!r}", f"{_PARTS}:"]
    for part in parts:
        lines += [f"  {part.name!r}: |2", *(f"    {line}" for line in part.text.rstrip().splitlines())]
    return "\n".join(lines) + "\n"
