"""The demo's results, shown by the table, the page and summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from il_ros.core import atomic
from il_ros.core.tables import percent, percent_range, table
from il_ros.records.trials import Trials

FILE = "summary.json"


@dataclass(frozen=True)
class Score:
    """Successes of a set of episodes, their rate, and its 95 % interval."""

    episodes: int
    successes: int
    rate: float
    interval: tuple[float, float]
    simulated_s: float

    @classmethod
    def of(cls, trials: Trials) -> Score:
        """Return the score of finished trials."""
        count = len(trials.done)
        simulated_s = sum(trial.simulated_s for trial in trials.done)
        return cls(count, trials.successes, trials.successes / count, trials.interval, simulated_s)

    @property
    def words(self) -> str:
        """'19 of 20, 95 % (76–99 %)'."""
        return f"{self.successes} of {self.episodes}, {percent(self.rate)} ({percent_range(*self.interval)})"


@dataclass(frozen=True)
class DemoSummary:
    """The demo's results. `phases_s`: wall time of each phase, in order."""

    task: str
    contract: str
    expert: Score
    policy: Score
    phases_s: Mapping[str, float]

    @property
    def total_s(self) -> float:
        """Wall time of all phases."""
        return sum(self.phases_s.values())

    def save(self, folder: Path) -> None:
        """Write summary.json."""
        record = {**asdict(self), "total_s": self.total_s}
        atomic.write_text(folder / FILE, json.dumps(record, indent=2) + "\n")

    def text(self) -> str:
        """Return the table for the console."""
        header = ("", "episodes", "succeeded", "rate", "95 % interval")
        rows = [
            (
                name,
                str(score.episodes),
                str(score.successes),
                percent(score.rate),
                percent_range(*score.interval),
            )
            for name, score in (("expert", self.expert), ("policy, held-out starts", self.policy))
        ]
        phases = "   ".join(f"{name} {seconds:.0f} s" for name, seconds in self.phases_s.items())
        return f"{table(header, rows, header[1:])}\n\n{phases}   total {self.total_s:.0f} s"
