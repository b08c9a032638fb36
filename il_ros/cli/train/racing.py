"""`il-ros train --race`: the option, and where the recipes are judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from il_ros.core.progress import with_progress

if TYPE_CHECKING:
    import argparse

    from il_ros.cli.train.report import Reporter
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.training.recipe import Recipe
    from il_ros.training.trainer.plans import TrainingPlan

RACE_S = 120.0
"""Seconds of training for all recipes of a race together."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--race`."""
    parser.add_argument(
        "--race",
        type=float,
        nargs="?",
        const=RACE_S,
        metavar="S",
        help="first train the recipes that auto may choose, S seconds in all (default: "
        f"{RACE_S:.0f}; the trials come on top), and take the one that does best in the simulator, or on held-out "
        "episodes where there is none",
    )


def require_possible(args: argparse.Namespace) -> None:
    """Raise ValueError on seconds that are none, or where another option says which recipe is used."""
    from il_ros.training.trainer.recipe_file import AUTO

    if args.race is None:
        return
    if not 0 < args.race < math.inf:
        raise ValueError(f"--race is {args.race:g}; it must be a finite number of seconds above 0")
    if args.recipe not in ("", AUTO):
        raise ValueError(f"--race chooses the recipe; leave out --recipe {args.recipe}, or --race")
    for option, given in (("--resume", args.resume), ("--from", args.start)):
        if given:
            raise ValueError(f"--race chooses the recipe, which {option} keeps; leave out one of them")


def _shown(seeds: Sequence[int]) -> Iterable[int]:
    return with_progress(seeds, "race", "start")


def raced(plan: TrainingPlan, dataset: Dataset, reporter: Reporter) -> Recipe:
    """Return the recipe that wins the race; raises ValueError when there is nothing to judge by."""
    from il_ros.training.auto import race, rules
    from il_ros.training.simulator.policy_tests import NoSimulatorError, simulated_task

    entrants = rules.entrants(dataset.contract, dataset.train, plan.changes)
    if len(entrants) == 1:
        reporter.raced(f"no race: auto has one recipe for such data, {next(iter(entrants))}")
        return next(iter(entrants.values()))
    try:
        _, task = simulated_task([episode.task for episode in dataset.train], dataset.contract)
        with closing(task):
            judge = race.in_simulator(task, dataset.contract, race.STARTS, _shown)
            return race.race(entrants, dataset, judge, plan.race, reporter.raced)
    except NoSimulatorError as error:
        why = str(error)
    first = next(iter(entrants.values()))
    if first.family == "moe":  # a policy that draws another way than the episode's is not wrong
        reporter.raced(
            f"no race: {why}, and an error on held-out episodes says nothing where there are several ways"
        )
        return first
    if not dataset.validation:
        raise ValueError(f"--race: {why}, and no episode is held out; record more, or set validation above 0")
    reporter.raced(f"race on held-out episodes: {why}")
    judge = race.on_held_out(dataset.train, dataset.validation)
    return race.race(entrants, dataset, judge, plan.race, reporter.raced)
