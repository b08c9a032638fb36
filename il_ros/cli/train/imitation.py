"""`il-ros train`: imitation of what recorded episodes show."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from il_ros.cli.long_runs import stop_signals
from il_ros.cli.train import racing
from il_ros.cli.train.report import QuietReporter, Reporter
from il_ros.core.tables import say, worded
from il_ros.training.trainer.plans import TrainingPlan

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.policies.runner import LoadedPolicy
    from il_ros.training.loop import EpochMetrics
    from il_ros.training.processes import Processes
    from il_ros.training.recipe import Recipe
    from il_ros.training.run import Outcome


def carry_out(plan: TrainingPlan, reporter: Reporter) -> int:
    """Train by a plan; return the exit status of `il-ros train`.

    Of several processes that torchrun started, the first one prints; each prints its own errors.
    """
    from il_ros.episodes.arrays.dataset import DatasetError
    from il_ros.training.loop import TrainingError
    from il_ros.training.processes import LostProcessError, joined, name_of_this

    try:
        with joined() as processes:
            shown = reporter if processes.first else QuietReporter()
            outcome = _carried_out(plan, shown, processes)
    except (TrainingError, LostProcessError) as error:
        say(f"il-ros train: {name_of_this()}{worded(error)}", file=sys.stderr)
        return 1
    except (DatasetError, ValueError, OSError) as error:
        say(f"il-ros train: {name_of_this()}{worded(error)}", file=sys.stderr)
        return 2
    shown.done(outcome)
    return 0 if outcome.finished else 130


def _carried_out(plan: TrainingPlan, reporter: Reporter, processes: Processes) -> Outcome:
    """Train by a plan; raises what `carry_out` prints."""
    from il_ros.policies.versions import claimed
    from il_ros.training import transfer
    from il_ros.training.trainer.opening import opened, require_free

    if plan.race and not processes.alone:
        raise ValueError(
            "--race has no meaning for several processes: run it alone, and give them its --recipe"
        )
    if processes.first:
        require_free(plan)
    with claimed(plan.out) if processes.first else nullcontext():
        with processes.one_at_first():
            dataset, recipe = opened(plan, reporter.reading)
        if plan.race:
            recipe = racing.raced(plan, dataset, reporter)
        warm = (plan.warm_epochs, plan.warm_s)
        start, recipe, refusal = transfer.begin(plan.start, dataset, recipe, *warm)
        notes = _notes(dataset, recipe, start)
        if not processes.alone:
            notes.append(f"{processes.part.of} processes train together, each on a part of every batch")
        reporter.start(dataset, recipe, start.version if start else "", refusal, notes)
        with stop_signals() as stopped:
            return _train(plan, dataset, recipe, start, reporter, stopped, processes)


def _notes(dataset: Dataset, recipe: Recipe, start: LoadedPolicy | None) -> list[str]:
    from il_ros.policies.features import Inputs
    from il_ros.training import thinning, weighting
    from il_ros.training.augmentation.mirror import Mirror

    inputs, every = Inputs.for_policy(dataset.contract, recipe.policy), recipe.training.still_every
    thinned = thinning.sentence(thinning.kept_frames(dataset.train, inputs, every, dataset.contract.turns))
    transferred = "" if start is None else start.metrics.get("transferred", "")
    mirror = recipe.training.mirror
    mirrored = Mirror.of(mirror, dataset.contract).sentence() if mirror else ""
    corrected = weighting.sentence(dataset.train, recipe.training.weighting)
    return [note for note in (recipe.reason, transferred, corrected, thinned, mirrored) if note]


def _train(
    plan: TrainingPlan,
    dataset: Dataset,
    recipe: Recipe,
    start: LoadedPolicy | None,
    reporter: Reporter,
    stopped: Callable[[], bool],
    processes: Processes,
) -> Outcome:
    from il_ros.episodes.jobs import cores
    from il_ros.policies.versions import named_by
    from il_ros.training.run import train

    def on_epoch(point: EpochMetrics) -> bool:
        reporter.epoch(point)
        return not stopped()

    return train(
        dataset,
        recipe,
        plan.out,
        version=plan.version or named_by(plan.out),
        resume=plan.resume,
        start=start,
        on_warning=reporter.warning,
        on_epoch=on_epoch,
        processes=processes,
        jobs=cores(),
        log=plan.log,
    )
