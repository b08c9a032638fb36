"""Progress output of `il-ros train --seeds`: for people, or for programs."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from il_ros.cli import next_steps
from il_ros.cli.train.report import epoch_bar, reading_bar
from il_ros.core.progress import duration
from il_ros.core.tables import counted, percent, percent_range, say, say_json, table
from il_ros.training.metrics.remaining import remaining_of_all_s
from il_ros.training.metrics.seeds import PICTURE, TABLE, SeedResult, interval

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import DatasetSummary
    from il_ros.episodes.catalogue import Entry
    from il_ros.training.recipe import Recipe
    from il_ros.training.trainer.job import Event


class SeedsReporter(Protocol):
    """Prints the progress of trainings that run side by side."""

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        """Return the entries, showing the progress as they are decoded."""

    def start(self, summary: DatasetSummary, recipe: Recipe, at_once: int) -> None:
        """Print the data, why the recipe was chosen, and how many trainings run at a time."""

    def event(self, seed: int, event: Event) -> None:
        """Show an event of one training."""

    def failed(self, seed: int, why: str) -> None:
        """Show that a training failed."""

    def end(self) -> None:
        """Leave the screen to other output."""

    def stopped(self, complete: int, command: str) -> None:
        """Print how many trainings are complete, and the command that continues."""

    def done(self, out: Path, results: Sequence[SeedResult], best: SeedResult | None) -> None:
        """Print the results, whose table and plot are in `out`."""


def reporter_of(count: int, *, for_programs: bool) -> SeedsReporter:
    """Return the reporter of `count` trainings."""
    return _SeedsEvents() if for_programs else _SeedsBar(count)


class _SeedsBar:
    """Output for people: one bar for all seeds, a line when one ends, then a table."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._warned: set[str] = set()
        self._epoch: dict[int, int] = {}
        self._left_s: dict[int, float] = {}
        self._took_s: dict[int, float] = {}
        self._began_s: dict[int, float] = {}
        self._failed: set[int] = set()

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        return reading_bar(entries)

    def start(self, summary: DatasetSummary, recipe: Recipe, at_once: int) -> None:
        say("\n".join([*summary.lines(), *([recipe.reason] if recipe.reason else [])]))
        say(f"{counted(self._count, 'training')}, {at_once} at a time")
        self._epochs, self._at_once = recipe.training.epochs, at_once
        self._bar = epoch_bar(self._count * self._epochs)

    def event(self, seed: int, event: Event) -> None:
        kind = event["event"]
        for sentence in event.get("warnings", ()):
            if sentence not in self._warned:  # each training has the same
                self._warned.add(sentence)
                self._say(f"  warning: {sentence}")
        if kind == "start":
            self._began_s[seed] = time.monotonic()
        elif kind == "epoch":
            self._epoch[seed] = event["epoch"]
            if event["left_s"] is not None:
                self._left_s[seed] = event["left_s"]
            self._show()
        elif kind == "done":
            self._epoch[seed] = self._epochs
            self._took_s[seed] = time.monotonic() - self._began_s[seed]
            self._show()
            ended = "trained" if event["finished"] else "stopped early"
            self._say(f"seed {seed}: {ended}, {event['checkpoint']}")

    def failed(self, seed: int, why: str) -> None:
        self._failed.add(seed)
        self._epoch[seed] = self._epochs  # nothing of it is left
        self._show()
        self._say(f"seed {seed}: failed: {why}")

    def _show(self) -> None:
        left_s = self._remaining_s()
        left = "?" if left_s is None else duration(left_s)
        self._bar.set_postfix_str(f"{left} left", False)
        self._bar.update(sum(self._epoch.values()) - self._bar.n)

    def _remaining_s(self) -> float | None:
        """Return the time until all are done; None until each that runs has said how long it will take."""
        ended = self._failed | self._took_s.keys()
        running = [seed for seed in self._began_s if seed not in ended]
        if any(seed not in self._left_s for seed in running):
            return None
        now_s = time.monotonic()
        return remaining_of_all_s(
            passed_s=[now_s - self._began_s[seed] for seed in running],
            left_s=[self._left_s[seed] for seed in running],
            took_s=list(self._took_s.values()),
            waiting=self._count - len(self._failed | self._began_s.keys()),
            at_once=self._at_once,
        )

    def _say(self, sentence: str) -> None:
        self._bar.clear()
        say(sentence, flush=True)

    def end(self) -> None:
        self._bar.close()

    def stopped(self, complete: int, command: str) -> None:
        say(f"stopped: {complete} of {counted(self._count, 'training')} complete; this continues: {command}")

    def done(self, out: Path, results: Sequence[SeedResult], best: SeedResult | None) -> None:
        say(results_table(results))
        say(f"table and plot: {out / TABLE}, {out / PICTURE}")
        folders = [each.folder for each in results]
        if best is not None:
            say(f"the best: seed {best.seed}, policy {best.version}")
            folders = [best.folder]
        next_steps.tell(shlex.join(["il-ros", "evaluate", *folders]))


def results_table(results: Sequence[SeedResult]) -> str:
    """Return a row per seed, then mean and 95 % interval, successes in per cent.

    A column that was not measured for each seed is left out.
    """
    judged = any(not math.isnan(each.success) for each in results)
    columns = {
        "training loss": [each.train_loss for each in results],
        "validation loss": [each.validation_loss for each in results],
        "success" if judged else "return": [each.score for each in results],
    }
    shown = {name: values for name, values in columns.items() if not any(map(math.isnan, values))}
    rows = [
        (
            str(each.seed),
            *(_shown(name, values[place]) for name, values in shown.items()),
            f"{each.duration_s:.1f} s",
        )
        for place, each in enumerate(results)
    ]
    if len(results) > 1:
        means = {name: interval(values, share=name == "success") for name, values in shown.items()}
        rows.append(("mean", *(_shown(name, mean) for name, (mean, _, _) in means.items()), ""))
        rows.append(("95 %", *(_range(name, low, high) for name, (_, low, high) in means.items()), ""))
    return table(("seed", *shown, "time"), rows)


def _shown(name: str, value: float) -> str:
    return percent(value) if name == "success" else f"{value:.3g}"


def _range(name: str, low: float, high: float) -> str:
    return percent_range(low, high) if name == "success" else f"{low:.3g} to {high:.3g}"


class _SeedsEvents:
    """Output for programs: the events of each training, with its seed, and one at the end."""

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        return entries

    def start(self, summary: DatasetSummary, recipe: Recipe, at_once: int) -> None:
        """Print nothing: each training prints its start."""

    def event(self, seed: int, event: Event) -> None:
        say_json(**{**event, "seed": seed})

    def failed(self, seed: int, why: str) -> None:
        say_json(event="failed", seed=seed, reason=why)

    def end(self) -> None:
        """Print nothing."""

    def stopped(self, complete: int, command: str) -> None:
        say_json(event="stopped", complete=complete, continued_by=command)

    def done(self, out: Path, results: Sequence[SeedResult], best: SeedResult | None) -> None:
        say_json(
            event="seeds",
            seeds=[each.seed for each in results],
            folders=[each.folder for each in results],
            best=None if best is None else best.seed,
        )
