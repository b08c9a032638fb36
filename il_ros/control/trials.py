"""Episodes run one after another, unattended: what became of each, and of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

OUTCOMES = ("success", "failure")


@dataclass(frozen=True)
class Trial:
    """One episode, and in a few words why it ended.

    `simulated_s` is the task's time, `wall_s` what it took; `episode` is the recorded one's name.
    """

    seed: int
    outcome: str
    reason: str
    simulated_s: float
    wall_s: float
    episode: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome is {self.outcome!r}; one of: {', '.join(OUTCOMES)}")


@dataclass(frozen=True)
class Trials:
    """The trials so far, of `planned` ones with seeds `first_seed`, `first_seed` + 1, ..."""

    planned: int
    first_seed: int
    done: tuple[Trial, ...] = ()

    def __post_init__(self) -> None:
        if self.planned < 1:
            raise ValueError(f"episodes is {self.planned}; at least 1 is needed")
        if len(self.done) > self.planned:
            raise ValueError(f"{len(self.done)} trials done, but {self.planned} planned")

    @property
    def next_seed(self) -> int | None:
        """Seed of the next trial, None when all are done."""
        return None if len(self.done) == self.planned else self.first_seed + len(self.done)

    @property
    def successes(self) -> int:
        """Count of trials that succeeded."""
        return sum(trial.outcome == "success" for trial in self.done)

    def after(self, trial: Trial) -> Trials:
        """Return these trials and one more."""
        return replace(self, done=(*self.done, trial))

    def progress(self) -> str:
        """Return one line of JSON: planned, done, successes and the last trial."""
        last = asdict(self.done[-1]) if self.done else None
        record = {"planned": self.planned, "done": len(self.done), "successes": self.successes, "last": last}
        return json.dumps(record)

    def to_json(self) -> str:
        """Return everything, as the result file holds it."""
        record = {"planned": self.planned, "first_seed": self.first_seed, "successes": self.successes}
        return json.dumps({**record, "trials": [asdict(trial) for trial in self.done]}, indent=2) + "\n"


def from_json(text: str) -> Trials:
    """Return what `to_json` wrote. Raises ValueError when it is something else."""
    try:
        record: Mapping[str, Any] = json.loads(text)
        trials: Sequence[Mapping[str, Any]] = record["trials"]
        return Trials(record["planned"], record["first_seed"], tuple(Trial(**trial) for trial in trials))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"no result file of unattended episodes: {error!r}") from error
