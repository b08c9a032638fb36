"""Unattended episodes: the outcome of each trial, and their statistics."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from il_ros.core import files
from il_ros.core.tables import counted
from il_ros.records import strict_json as check
from il_ros.records.outcomes import FAILURE, SUCCESS

OUTCOMES = (SUCCESS, FAILURE)
"""A trial always ends with one of these outcomes."""
SIGNS = ('"planned": ', '"first_seed": ')
"""What a result file holds: only such a file is replaced."""


class TrialsError(ValueError):
    """A text that is not a result file, or trials that cannot be; the error names the field and its value."""


@dataclass(frozen=True)
class Trial:
    """One episode, with its outcome and the reason of its end.

    `simulated_s`: duration in simulated time; `wall_s`: in wall time. `episode`: name of the recording.
    Raises TrialsError on an unknown outcome.
    """

    seed: int
    outcome: str
    reason: str
    simulated_s: float
    wall_s: float
    episode: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise TrialsError(f"outcome is {self.outcome!r}; one of: {', '.join(OUTCOMES)}")


@dataclass(frozen=True)
class Trials:
    """The completed trials out of `planned`, with seeds `first_seed`, `first_seed` + 1, ...

    Raises TrialsError when nothing is planned, or less than is done.
    """

    planned: int
    first_seed: int
    done: tuple[Trial, ...] = ()

    def __post_init__(self) -> None:
        if self.planned < 1:
            raise TrialsError(f"episodes is {self.planned}; at least 1 is needed")
        if len(self.done) > self.planned:
            raise TrialsError(f"{counted(len(self.done), 'trial')} done, but {self.planned} planned")

    @property
    def next_seed(self) -> int | None:
        """Seed of the next trial, None after the last."""
        return None if len(self.done) == self.planned else self.first_seed + len(self.done)

    @property
    def successes(self) -> int:
        """Count of successful trials."""
        return sum(trial.outcome == SUCCESS for trial in self.done)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the success rate."""
        return success_interval(self.successes, len(self.done))

    def after(self, trial: Trial) -> Trials:
        """Return the trials with `trial` appended."""
        return replace(self, done=(*self.done, trial))

    def progress(self) -> str:
        """Return one line of JSON: planned, done, successes and the last trial."""
        last = asdict(self.done[-1]) if self.done else None
        record = {"planned": self.planned, "done": len(self.done), "successes": self.successes, "last": last}
        return json.dumps(record)

    def words(self) -> str:
        """Return the last trial and the count in one line; there must be one."""
        last = self.done[-1]
        why = "" if last.outcome == SUCCESS else f", {last.reason}"
        return (
            f"{len(self.done)} of {self.planned}: {last.outcome} after {last.simulated_s:.1f} s{why} "
            f"(seed {last.seed}); {self.successes} succeeded"
        )

    def to_json(self) -> str:
        """Return the JSON text of the result file."""
        record = {"planned": self.planned, "first_seed": self.first_seed, "successes": self.successes}
        return json.dumps({**record, "trials": [asdict(trial) for trial in self.done]}, indent=2) + "\n"


def from_json(text: str) -> Trials:
    """Return the trials in the text that `to_json` wrote; raises TrialsError on any other text."""
    try:
        values = _CHECK(check.loads(text), "")
        done = tuple(Trial(**trial) for trial in values["trials"])
        made = Trials(values["planned"], values["first_seed"], done)
    except (check.JsonError, TrialsError) as error:
        raise TrialsError(f"not a result file of unattended episodes: {error}") from None
    if values.get("successes", made.successes) != made.successes:
        raise TrialsError(
            f"not a result file of unattended episodes: successes is {values['successes']}, "
            f"but {made.successes} of the trials succeeded"
        )
    return made


def so_far(file: Path) -> Trials | None:
    """Return the trials that a running conductor has written to its result file, None before the first one.

    It writes the file before it prints the trial, so each line that it prints is a time to look. Raises TrialsError.
    """
    return from_json(files.read_text(file, _MOST)) if file.exists() else None


_MOST = 256 << 20
_SEED = check.whole(-check.MOST_NS - 1)
_CHECK = check.record(
    "the file",
    {
        "planned": check.whole(1),
        "first_seed": _SEED,
        "successes": check.whole(),
        "trials": check.several(
            check.record(
                "a trial",
                {
                    "seed": _SEED,
                    "outcome": check.one_of(*OUTCOMES),
                    "reason": check.text,
                    "simulated_s": check.number(0.0),
                    "wall_s": check.number(0.0),
                    "episode": check.text,
                },
                optional=("episode",),
            )
        ),
    },
    optional=("successes",),
    others=True,
)


def success_interval(successes: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's score interval of a rate (Wilson 1927, eq. 5); the default `z` is for 95 %.

    Raises ValueError unless 0 <= successes <= count and count > 0.
    """
    if not 0 <= successes <= count or count == 0:
        raise ValueError(f"no success rate of {successes} successes in {counted(count, 'trial')}")
    rate = successes / count
    middle = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    # exact at the ends, without rounding error
    return (middle - half if successes else 0.0), (middle + half if successes < count else 1.0)


def rate_interval(events: int, minutes: float, z: float = 1.959964) -> tuple[float, float]:
    """Return the score interval of a Poisson rate, per minute; the default `z` is for 95 %.

    The Poisson analogue of Wilson's interval: (m - k)^2 = z^2 m, solved for the mean count m.
    Raises ValueError unless events >= 0 and minutes > 0.
    """
    if events < 0 or not minutes > 0:
        raise ValueError(f"{events} events in {minutes} minutes give no rate")
    middle, half = events + z**2 / 2, z * math.sqrt(events + z**2 / 4)
    return (middle - half) / minutes if events else 0.0, (middle + half) / minutes
