"""A contract whose message types only the bags define, because the packages of the robot are not installed here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core.codecs import UnknownTypeError
from il_ros.core.contract import Contract
from il_ros.episodes.bag.reader import BagError, open_bag


def find_beside(name: str, folders: Callable[[], Iterable[Path]]) -> Contract:
    """Return the contract in file `name`, or the one shipped under that name; unknown message types are those of bags.

    `folders`: returns those of the bags, which are opened one by one until all types are known.
    Raises ContractError as `contract.find` does.
    """
    left: Iterator[Path] | None = None
    while True:
        try:
            return contracts.find(name)
        except UnknownTypeError:
            left = iter(folders()) if left is None else left
            if not _opens_one(left):
                raise


def _opens_one(folders: Iterable[Path]) -> bool:
    """Open the next readable bag, which makes its types known; return whether there was one."""
    for folder in folders:
        try:
            open_bag(folder)
        except BagError:
            continue
        return True
    return False
