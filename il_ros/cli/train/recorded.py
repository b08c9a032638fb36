"""`il-ros train --recorded`, and the trainer's process: reinforcement learning from recorded episodes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from il_ros.cli import next_steps
from il_ros.cli.long_runs import stop_signals
from il_ros.cli.train import imitation
from il_ros.cli.train.report import JsonReporter, Reporter
from il_ros.core import settings
from il_ros.core.progress import ProgressView, progress
from il_ros.core.tables import counted, say, say_json, table, worded
from il_ros.training.trainer.opening import contract_of, require_free
from il_ros.training.trainer.plans import TrainingPlan

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.policies.runner import LoadedPolicy
    from il_ros.rl.recipe import ImitationRecipe
    from il_ros.rl.recorded import RecordedOutcome


def carry_out(plan: TrainingPlan, reporter: Reporter) -> int:
    """Train by a plan; return the exit status of `il-ros train`. Without a policy to go on from, a clone is trained."""
    from il_ros.episodes.arrays.dataset import DatasetError
    from il_ros.policies.versions import claimed
    from il_ros.rl import recipe as recipes
    from il_ros.training.loop import TrainingError

    try:
        recipe = recipes.load(plan.recipe, plan.changes)
        start, recipe, why = _start(plan, recipe)
        if start is None:
            if why:
                reporter.warning(f"a clone is trained from scratch: {why}")
            return imitation.carry_out(_cloning(plan, recipe), reporter)
        require_free(plan)
        report = _Report(plan, for_programs=isinstance(reporter, JsonReporter))
        with claimed(plan.out), stop_signals() as stopped:
            dataset = _open(plan, reporter)
            report.start(dataset, start)
            outcome = _train(plan, recipe, dataset, start, lambda *at: report.update(*at) and not stopped())
    except TrainingError as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 1
    except (DatasetError, ValueError, OSError) as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 2
    report.done(outcome)
    return 0 if outcome.finished else 130


def _start(plan: TrainingPlan, recipe: ImitationRecipe) -> tuple[LoadedPolicy | None, ImitationRecipe, str]:
    """Return the policy to go on from, the recipe with its network, and ""; or None, the recipe, and why not."""
    from il_ros.policies import checkpoint
    from il_ros.rl.recorded import unusable

    if plan.start is None:
        return None, recipe, ""
    try:
        start = checkpoint.load(plan.start)
    except checkpoint.CheckpointError as error:
        return None, recipe, str(error)
    going_on = recipe.going_on_from(start, plan.changes)
    why = unusable(start, contract_of(plan.contract, plan.data), going_on)
    return (None, recipe, f"{start.version}: {why}") if why else (start, going_on, "")


def _cloning(plan: TrainingPlan, recipe: ImitationRecipe) -> TrainingPlan:
    """Return the plan that trains the clone which a recipe goes on from."""
    from il_ros.rl.recipe import OF_CLONE

    network = settings.plain(recipe.policy)
    changes = [f"policy.{name}={json.dumps(network[name])}" for name in OF_CLONE]
    changes.append(f"seed={recipe.imitation.seed}")
    return replace(plan, recipe="actor", changes=tuple(changes), recorded=False, start=None)


def _open(plan: TrainingPlan, reporter: Reporter) -> Dataset:
    """Return what was driven in the episodes, by whomever."""
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import Selection
    from il_ros.records.labelling import DRIVEN

    return Dataset.open(
        *(plan.data, contract_of(plan.contract, plan.data)),
        Selection(plan.outcomes, plan.tasks, poor=plan.poor),
        validation=0.0,
        rule=DRIVEN,
        progress=reporter.reading,
        jobs=0,
    )


def _train(
    plan: TrainingPlan,
    recipe: ImitationRecipe,
    dataset: Dataset,
    start: LoadedPolicy,
    on_update: Callable[[int, int, Mapping[str, float]], bool],
) -> RecordedOutcome:
    from il_ros.policies.lineage import find_checkpoint
    from il_ros.policies.versions import named_by
    from il_ros.rl.recorded import earlier_state, train_recorded

    assert plan.start is not None
    return train_recorded(
        dataset,
        recipe,
        plan.out,
        start,
        earlier_state(find_checkpoint(plan.start).parent),
        version=plan.version or named_by(plan.out),
        seconds=plan.warm_s,
        on_update=on_update,
    )


class _Report:
    """Output for people, a bar and a table, or for programs: one JSON object per line, as of every training."""

    def __init__(self, plan: TrainingPlan, *, for_programs: bool) -> None:
        self._plan, self._for_programs = plan, for_programs
        self._bar: ProgressView | None = None
        self._share = -1

    def start(self, dataset: Dataset, start: LoadedPolicy) -> None:
        """Print the data, and what the training goes on from."""
        summary = dataset.summary
        if self._for_programs:
            say_json(
                event="start",
                parent=start.version,
                episodes=len(summary.train),
                frames=summary.frames,
                left_out=dict(summary.left_out),
                omissions=dict(summary.omissions),
                notes=list(summary.notes),
                warnings=list(summary.warnings),
            )
            return
        say("\n".join([*summary.lines(), f"goes on from {start.version}"]))

    def update(self, done: int, wanted: int, measured: Mapping[str, float]) -> bool:
        """Show the progress, in hundredths."""
        share = 100 * done // wanted
        if self._for_programs:
            if share > self._share:
                say_json(event="epoch", epoch=share, epochs=100, **measured)
        else:
            if self._bar is None:
                self._bar = progress("updates", "update", wanted)
            self._bar.update(done - self._bar.n)
        self._share = share
        return True

    def done(self, outcome: RecordedOutcome) -> None:
        """Print the result."""
        from il_ros.policies.versions import CHECKPOINT

        policy, place = outcome.policy, self._plan.out / CHECKPOINT
        if self._for_programs:
            found = {
                "version": policy.version,
                "checkpoint": str(place.resolve()),
                "updates": outcome.updates,
            }
            say_json(event="done", finished=outcome.finished, **found)
            return
        if self._bar is not None:
            self._bar.close()
        new, outcomes = policy.metrics["new_steps"], policy.metrics["outcomes"]
        rows = [
            ("policy", policy.version),
            ("goes on from", policy.metrics["parent"]),
            ("episodes", ", ".join(f"{count} {name}" for name, count in outcomes.items() if count)),
            ("updates", f"{outcome.updates}, for {counted(new, 'new step')}"),
            ("checkpoint", str(place)),
        ]
        say(table(("result", ""), rows))
        next_steps.tell(next_steps.after_training(self._plan.out, place, policy.metrics["tasks"]))
