"""What an import did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from il_ros.core.contract import Contract
from il_ros.core.tables import counted


@dataclass(frozen=True)
class ImportReport:
    """What was imported: the new folders, the episodes that were there already, and sentences about the rest.

    `labelled`: whether a policy can be trained on what was imported.
    """

    contract: Contract
    folders: tuple[Path, ...]
    before: int
    frames: int
    notes: tuple[str, ...] = ()
    labelled: bool = True

    def lines(self) -> list[str]:
        """Return the report as printable lines."""
        first = f"{counted(len(self.folders), 'episode')}, {counted(self.frames, 'frame')}"
        if self.folders:
            first += f": {self.folders[0].name} to {self.folders[-1].name}"
        out = [f"{first}, under contract '{self.contract.name}'"]
        out += [f"  {counted(self.before, 'episode')} had been imported before"] if self.before else []
        return out + [f"  {note}" for note in self.notes]
