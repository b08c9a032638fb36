"""How the meaning of two contracts differs, in words."""

from __future__ import annotations

from typing import Any

from il_ros.core.contract import Contract


def differences(first: Contract, second: Contract) -> list[str]:
    """Return one line per difference in meaning; empty when the contracts are interchangeable.

    The name is not part of the meaning. An observation or action that one of them lacks is one difference.
    """
    return [line for _, _, line in _different(first, second)]


def difference_lines(first: Contract, second: Contract) -> list[str]:
    """Return `differences` in few lines, for contracts of different robots: one line for what only one of them has."""
    found = _different(first, second)
    alone = [
        f"only {has}: {', '.join(path for path, owner, _ in found if owner == has)}"
        for has in dict.fromkeys(owner for _, owner, _ in found if owner)
    ]
    # where one has more than the other, their order says nothing
    orders = {f"order of {path.partition('.')[0]}" for path, owner, _ in found if owner}
    return alone + [line for path, owner, line in found if not owner and path not in orders]


def another_contract(here: Contract, there: Contract, version: str = "") -> str:
    """Return in lines how the contract of a policy, perhaps a `version`, differs; "" if both are interchangeable."""
    changes = difference_lines(here, there)
    of = f" of {version}" if version else ""
    names = f"another contract (here: '{here.name}', there: '{there.name}'{of})"
    return "\n".join([names, *changes]) if changes else ""


def _different(first: Contract, second: Contract) -> list[tuple[str, str, str]]:
    """Return of each difference its path, which one alone has it ("here", "there", or "": both), and its line."""
    left, right = _flat(first.meaning()), _flat(second.meaning())
    found = []
    for path in dict.fromkeys((*left, *right)):
        part = ".".join(path.split(".")[:2])
        if (f"{part}.key" in left) != (f"{part}.key" in right):
            has, lacks = ("here", "there") if f"{part}.key" in left else ("there", "here")
            found.append((part, has, f"{part}: absent {lacks}, {(left | right)[f'{part}.type']} {has}"))
        elif path != "name" and left.get(path) != right.get(path):
            line = f"{path}: {left.get(path, 'absent')} here, {right.get(path, 'absent')} there"
            found.append((path, "", line))
    return list(dict.fromkeys(found))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    parts = [_flat(part, f"{path}.{key}" if path else key) for key, part in value.items()]
    return {key: item for part in parts for key, item in part.items()}
