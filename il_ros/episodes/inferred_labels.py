"""Labels that an inverse model inferred for a demonstration without actions: `inferred_labels.json` beside the bag.

The bag itself never changes. Readers that make labelled frames for policies use the file, name its source, and count
the source as the one in authority; a recorded command always counts before an inferred one. Removing the file reverts
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core import atomic, files
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.layout import LayoutError
from il_ros.records import strict_json as check
from il_ros.records.labelling import NoLabel
from il_ros.records.strict_json import JsonError

INFERRED = "inferred_labels.json"
_MOST_BYTES = 256_000_000

UNCOMMANDED = (NoLabel.NO_COMMAND, NoLabel.NO_AUTHORITY)
"""The kinds of reason for which a tick may get an inferred label: nothing drove the robot."""


@dataclass(frozen=True)
class InferredLabels:
    """The labels of N ticks. `ticks_ns` (N,): strictly increasing; `commands` (N, A): absolute, in contract units.

    `source`: the model that inferred them, with its version. `actions` (A): the names of the action elements, such as
    'arm/joint1'. Raises LayoutError on arrays that do not fit each other or are not finite.
    """

    source: str
    actions: tuple[str, ...]
    ticks_ns: NDArray[np.int64]
    commands: Vector

    def __post_init__(self) -> None:
        wanted = (len(self.ticks_ns), len(self.actions))
        if self.commands.shape != wanted:
            raise LayoutError(f"commands are {self.commands.shape}; {wanted} are required")
        if not np.isfinite(self.commands).all():
            raise LayoutError("a command is not finite")
        if len(self.ticks_ns) > 1 and np.diff(self.ticks_ns).min() <= 0:
            raise LayoutError("ticks_ns are not strictly increasing")

    def __len__(self) -> int:
        return len(self.ticks_ns)

    def of(self, contract: Contract) -> Mapping[int, Vector]:
        """Return the command (A,) of each tick, in the contract's order.

        Raises LayoutError naming an action element that has no inferred label.
        """
        place = {name: index for index, name in enumerate(self.actions)}
        missing = [name for name in contract.action_names if name not in place]
        if missing:
            raise LayoutError(
                f"{INFERRED}: has no label of {missing[0]}, which contract '{contract.name}' commands; it has: "
                f"{', '.join(self.actions)}"
            )
        columns = [place[name] for name in contract.action_names]
        return dict(zip(self.ticks_ns.tolist(), self.commands[:, columns], strict=True))

    def sentence(self) -> str:
        """Return what was inferred, and how to revert it."""
        return f"its actions were not recorded: {counted(len(self), 'label')} by {self.source} ({INFERRED})"


_READ = check.record(
    "inferred labels",
    {
        "source": check.name_text,
        "actions": check.several(check.name_text, 1),
        "ticks_ns": check.several(check.whole()),
        "commands": check.several(check.numbers),
    },
)


def read(folder: Path) -> InferredLabels | None:
    """Return the inferred labels of the episode in `folder`; None without the file.

    Raises LayoutError when the file cannot be read or holds invalid values.
    """
    path = folder / INFERRED
    try:
        values = _READ(check.loads(files.read_text(path, _MOST_BYTES)), "")
        lengths = {len(row) for row in values["commands"]} - {len(values["actions"])}
        if lengths:
            raise LayoutError(
                f"a command has {counted(min(lengths), 'number')}; {len(values['actions'])} are required"
            )
        commands = np.array(values["commands"], dtype=np.float64).reshape(-1, len(values["actions"]))
        ticks_ns = np.array(values["ticks_ns"], dtype=np.int64)
        return InferredLabels(values["source"], tuple(values["actions"]), ticks_ns, commands)
    except FileNotFoundError:
        return None
    except (OSError, JsonError, LayoutError, UnicodeDecodeError) as error:
        raise LayoutError(f"{path}: {error}") from error


def write(folder: Path, labels: InferredLabels | None) -> None:
    """Save the inferred labels of the episode in `folder`; None removes the file. Raises OSError."""
    path = folder / INFERRED
    if labels is None:
        path.unlink(missing_ok=True)
        return
    atomic.write_text(path, json.dumps(_plain(labels)) + "\n")


def _plain(labels: InferredLabels) -> dict[str, Any]:
    return {
        "source": labels.source,
        "actions": list(labels.actions),
        "ticks_ns": labels.ticks_ns.tolist(),
        "commands": labels.commands.tolist(),
    }
