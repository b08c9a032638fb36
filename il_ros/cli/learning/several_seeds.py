"""`il-ros train --seeds`: one training for each seed, side by side, each as if it were started alone."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.cli import next_steps
from il_ros.cli.long_runs import stop_signals
from il_ros.core.tables import counted, percent, percent_range, say, say_json, table, worded
from il_ros.training.metrics.seeds import CHOICES, SUCCESS, VALIDATION
from il_ros.training.trainer.plans import TrainingPlan

if TYPE_CHECKING:
    from il_ros.training.metrics.seeds import SeedResult
    from il_ros.training.recipe import Training
    from il_ros.training.trainer.job import Event, Job

MOST_SEEDS = 100
_POLL_S = 0.1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--seeds` and `--choose`."""
    parser.add_argument(
        "--seeds",
        type=_seeds,
        default=(),
        metavar="N,N,...",
        help="train with each of these seeds, such as 0,1,2, side by side on all cores, into --out/seed0 and so on, "
        "with a table and a plot of all",
    )
    parser.add_argument(
        "--choose",
        default="",
        choices=CHOICES,
        help="with --seeds: name the best by the simulator or by validation",
    )


def require_possible(args: argparse.Namespace, *, own_steps: bool) -> None:
    """Raise ValueError where the options contradict each other."""
    if not args.seeds:
        if args.choose:
            raise ValueError("--choose needs --seeds, such as --seeds 0,1,2")
        return
    if own_steps:
        raise ValueError(
            "--seeds has no meaning for a recipe with own steps, which has the key 'seeds' itself"
        )
    if args.out is None:
        raise ValueError("--seeds needs --out: the folder of the trainings, one in each seed's own")
    for option, given in (("--race", args.race), ("--version", args.version)):
        if given:
            raise ValueError(f"{option} is for one training; leave out it or --seeds")
    for change in args.set:
        if change.partition("=")[0].strip() in ("seed", "training.seed"):
            raise ValueError(f"--set {change}: --seeds sets the seeds; leave out one of them")


def carry_out(plan: TrainingPlan, seeds: Sequence[int], choose: str, *, for_programs: bool) -> int:
    """Train by a plan with each seed; return the exit status of `il-ros train`."""
    from il_ros.training.metrics import seeds as metrics
    from il_ros.training.processes import started_by_torchrun
    from il_ros.training.trainer.opening import opened, require_free

    plans = {seed: _plan_of(plan, seed) for seed in seeds}
    try:
        if started_by_torchrun():
            raise ValueError("--seeds starts processes of its own; type it without torchrun")
        for each in plans.values():
            require_free(each)
        metrics.require_writable(plan.out)
        reporter = _SeedsEvents() if for_programs else _SeedsBar(len(plans))
        dataset, recipe = opened(plans[seeds[0]], reporter.reading)
        if choose == SUCCESS and not recipe.training.test_every:
            raise ValueError(
                "--choose success needs tests in the simulator: --set test_every=20 --set keep=success"
            )
        if choose == VALIDATION and not dataset.validation:
            raise ValueError(
                "--choose validation: no episode is held out; record more, or set validation above 0"
            )
        if not for_programs:
            say("\n".join(dataset.summary.lines()))
        del dataset
        reporter.start(recipe.training)
        with stop_signals() as stopped:
            results, faults = _all_trained(
                plans, _side_by_side(len(plans), recipe.training), reporter, stopped
            )
    except (ValueError, OSError) as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 2
    reporter.end()
    for fault in faults:
        say(f"il-ros train: {fault}", file=sys.stderr)
    if stopped():
        reporter.stopped(len(results), shlex.join(_words(plan, seeds, choose)))
        return 130
    if results:
        best = None if not choose or faults else metrics.best_of(results, choose)
        metrics.write_table(plan.out, results, best)
        runs = {each.seed: plans[each.seed].out for each in results}
        metrics.write_picture(plan.out, runs, None if best is None else best.seed)
        reporter.done(plan.out, results, best)
    return 1 if faults else 0


def _plan_of(plan: TrainingPlan, seed: int) -> TrainingPlan:
    """Return the plan of one seed: what `il-ros train --set seed=...` into the seed's folder would do."""
    from il_ros.training import saved

    out = plan.out / f"seed{seed}"
    resume = plan.resume and saved.exists(out)
    return replace(plan, out=out, changes=(*plan.changes, f"seed={seed}"), resume=resume)


def _words(plan: TrainingPlan, seeds: Sequence[int], choose: str) -> list[str]:
    """Return the command that continues."""
    words = shlex.split(plan.by_hand(plan.out, resume=True))
    return [*words, "--seeds", ",".join(map(str, seeds)), *(["--choose", choose] if choose else [])]


def _side_by_side(count: int, training: Training) -> int:
    """Return how many trainings run at once."""
    from il_ros.episodes.jobs import cores

    return max(1, min(count, cores() // training.threads))


def _all_trained(
    plans: Mapping[int, TrainingPlan], most: int, reporter: _SeedsBar | _SeedsEvents, stopped: Any
) -> tuple[list[SeedResult], list[str]]:
    """Carry out all plans, `most` at a time; return the results of those that end well, and why others did not."""
    from il_ros.training.metrics.seeds import SeedResult
    from il_ros.training.trainer import job as jobs

    waiting, results, faults = list(plans), list[SeedResult](), list[str]()
    running: dict[int, Job] = {}
    interrupted = False
    try:
        while running or (waiting and not stopped()):
            while waiting and len(running) < most and not stopped():
                seed = waiting.pop(0)
                running[seed] = jobs.begin(plans[seed])
            if stopped() and not interrupted:
                interrupted = True
                for job in running.values():
                    job.interrupt()
            for seed, job in list(running.items()):
                events, status = job.poll()
                for event in events:
                    reporter.event(seed, event)
                    if event["event"] == "done" and event["finished"]:
                        results.append(SeedResult.of(seed, str(plans[seed].out), event))
                if status is not None:
                    if status not in (0, *jobs.STOPPED):
                        faults.append(f"seed {seed}: {jobs.reason_of(status, _told(job.last_line))}")
                    running.pop(seed).close()
            time.sleep(_POLL_S)
    finally:
        for job in running.values():
            job.close()
    return sorted(results, key=lambda each: list(plans).index(each.seed)), faults


def _told(line: str) -> str:
    return line.removeprefix("il-ros train: ")


class _SeedsBar:
    """Output for people: one bar for all seeds, a line when one ends, then a table."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._warned: set[str] = set()
        self._epoch: dict[int, int] = {}
        self._left_s: dict[int, float] = {}
        self._took_s: dict[int, float] = {}
        self._began_s: dict[int, float] = {}

    def reading(self, entries: Sequence[Any]) -> Iterator[Any]:
        from tqdm import tqdm

        yield from tqdm(entries, "reading", unit="episode", leave=False, disable=None)

    def start(self, training: Training) -> None:
        from tqdm import tqdm

        self._at_once = _side_by_side(self._count, training)
        say(f"{counted(self._count, 'training')}, {self._at_once} at a time")
        self._bar = tqdm(
            total=self._count * training.epochs,
            desc="training",
            unit="epoch",
            bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]",
            disable=None,
        )
        self._epochs = training.epochs

    def event(self, seed: int, event: Event) -> None:
        kind = event["event"]
        for sentence in event.get("warnings", ()):
            if sentence not in self._warned:
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
            self._epoch[seed], self._left_s[seed] = self._epochs, 0.0
            self._took_s[seed] = time.monotonic() - self._began_s[seed]
            self._show()
            ended = "trained" if event["finished"] else "stopped early"
            self._say(f"seed {seed}: {ended}, {event['checkpoint']}")

    def _show(self) -> None:
        left_s = self._remaining_s()
        left = "?" if left_s is None else self._bar.format_interval(left_s)
        self._bar.set_postfix_str(f"{left} left", False)
        self._bar.update(sum(self._epoch.values()) - self._bar.n)

    def _remaining_s(self) -> float | None:
        """Return the time until all are done: what runs and what waits, shared out among those that run at once."""
        running = [seed for seed in self._began_s if seed not in self._took_s]
        if any(seed not in self._left_s for seed in running):
            return None
        left = [self._left_s[seed] for seed in running]
        now_s = time.monotonic()
        whole = [
            *self._took_s.values(),
            *(now_s - self._began_s[seed] + self._left_s[seed] for seed in running),
        ]
        waiting = self._count - len(self._began_s)
        coming_s = waiting * sum(whole) / len(whole) if whole else 0.0
        return max([(sum(left) + coming_s) / self._at_once, *left])

    def _say(self, sentence: str) -> None:
        self._bar.clear()
        say(sentence, flush=True)

    def end(self) -> None:
        self._bar.close()

    def stopped(self, complete: int, command: str) -> None:
        say(f"stopped: {complete} of {counted(self._count, 'training')} complete; this continues: {command}")

    def done(self, out: Path, results: Sequence[SeedResult], best: SeedResult | None) -> None:
        from il_ros.training.metrics.seeds import PICTURE, TABLE

        say(results_table(results))
        say(f"table and plot: {out / TABLE}, {out / PICTURE}")
        folders = [each.folder for each in results]
        if best is not None:
            say(f"the best: seed {best.seed}, policy {best.version}")
            folders = [best.folder]
        next_steps.tell(shlex.join(["il-ros", "evaluate", *folders]))


def results_table(results: Sequence[SeedResult]) -> str:
    """Return the text table of several seeds, with the mean and its 95 % interval below; successes in per cent."""
    from il_ros.training.metrics.seeds import interval

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
    means = {name: interval(values, share=name == "success") for name, values in shown.items()}
    if len(results) > 1:
        rows.append(("mean", *(_shown(name, mean) for name, (mean, _, _) in means.items()), ""))
        rows.append(("95 %", *(_range(name, low, high) for name, (_, low, high) in means.items()), ""))
    return table(("seed", *shown, "time"), rows)


def _shown(name: str, value: float) -> str:
    return percent(value) if name == "success" else f"{value:.3g}"


def _range(name: str, low: float, high: float) -> str:
    return percent_range(low, high) if name == "success" else f"{low:.3g} to {high:.3g}"


class _SeedsEvents:
    """Output for programs: the events of each training, with its seed, and one at the end."""

    def reading(self, entries: Sequence[Any]) -> Iterator[Any]:
        yield from entries

    def start(self, training: Training) -> None:
        """Print nothing: each training prints its start."""

    def event(self, seed: int, event: Event) -> None:
        say_json(**{**event, "seed": seed})

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


def _seeds(text: str) -> tuple[int, ...]:
    """Return the seeds in "0,1,2"."""
    words = text.split(",")
    if not all(word.strip().isdecimal() and len(word.strip()) < 19 for word in words):
        raise argparse.ArgumentTypeError(f"'{text}' is no list of seeds such as 0,1,2")
    seeds = tuple(map(int, words))
    if len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"'{text}' has a seed twice")
    if len(seeds) > MOST_SEEDS:
        raise argparse.ArgumentTypeError(
            f"there are {counted(len(seeds), 'seed')}; at most {MOST_SEEDS} are possible"
        )
    return seeds
