"""What lies beside a bag and changes the frames that it gives: amendments, and labels that a model inferred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from il_ros.core.contract import Contract
from il_ros.episodes import amendments, inferred_labels
from il_ros.episodes.amendments import Amendments
from il_ros.episodes.arrays.tick_labels import TickLabel
from il_ros.episodes.bag.reader import Bag
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.inferred_labels import UNCOMMANDED, InferredLabels
from il_ros.episodes.layout import LayoutError


def amended(bag: Bag, contract: Contract) -> Amendments:
    """Return the amendments beside the bag; raises MismatchError when they can't be read or don't fit."""
    try:
        found = amendments.read(_folder(bag))
        found.offset_of(contract)
        found.shifts_ns(contract)
    except LayoutError as error:
        raise MismatchError(f"{bag.path}: {error}") from error
    return found


def inferred(bag: Bag) -> InferredLabels | None:
    """Return the inferred labels beside the bag; raises MismatchError when they can't be read."""
    try:
        return inferred_labels.read(_folder(bag))
    except LayoutError as error:
        raise MismatchError(str(error)) from error


def with_inferred(
    ticks: Sequence[TickLabel], labels: InferredLabels, contract: Contract, bag: Bag
) -> list[TickLabel]:
    """Return the ticks with the inferred labels of those that nothing drove; raises MismatchError if they don't fit."""
    try:
        commands = labels.of(contract)
    except LayoutError as error:
        raise MismatchError(f"{bag.path}: {error}") from error
    groups = dict.fromkeys((group.name for group in contract.groups), labels.source)
    return [
        replace(tick, command=commands[tick.tick_ns], authority=labels.source, authorities=groups)
        if tick.command is None and tick.missing in UNCOMMANDED and tick.tick_ns in commands
        else tick
        for tick in ticks
    ]


def _folder(bag: Bag) -> Path:
    """Return the episode's folder."""
    return bag.path if bag.path.is_dir() else bag.path.parent
