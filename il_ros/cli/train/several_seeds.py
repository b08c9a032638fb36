"""`il-ros train --seeds`: one training for each seed, side by side, each as if it were started alone."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

from il_ros.cli.long_runs import stop_signals
from il_ros.core.tables import counted, say, worded
from il_ros.training.metrics.seeds import CHOICES, SUCCESS, VALIDATION
from il_ros.training.trainer.plans import TrainingPlan

MOST_SEEDS = 100


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


def carry_out(plan: TrainingPlan, seeds: Sequence[int], choose: str, *, for_programs: bool) -> int:
    """Train by a plan with each seed; return the exit status of `il-ros train`."""
    from il_ros.cli.train.seeds_report import reporter_of
    from il_ros.cli.train.side_by_side import all_trained, at_once
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
        reporter = reporter_of(len(plans), for_programs=for_programs)
        dataset, recipe = opened(plans[seeds[0]], reporter.reading)
        if choose == SUCCESS and not recipe.training.test_every:
            raise ValueError(
                "--choose success needs tests in the simulator: --set test_every=20 --set keep=success"
            )
        if choose == VALIDATION and not dataset.validation:
            raise ValueError(
                "--choose validation: no episode is held out; record more, or set validation above 0"
            )
        most = at_once(len(plans), recipe.training)
        reporter.start(dataset.summary, recipe, most)
        del dataset  # each training opens its own
        with stop_signals() as stopped:
            results, faults = all_trained(plans, most, reporter.event, reporter.failed, stopped)
    except (ValueError, OSError) as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 2
    reporter.end()
    for fault in faults:  # again, below all other output
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
    """Return the words of the command that continues."""
    words = shlex.split(plan.by_hand(plan.out, resume=True))
    return [*words, "--seeds", ",".join(map(str, seeds)), *(["--choose", choose] if choose else [])]
