"""`il-ros train` by a recipe with own steps: adversarial imitation in an environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from il_ros.cli.long_runs import lower_priority, stop_signals
from il_ros.cli.train.command import GRAPH
from il_ros.cli.train.own_steps_report import OwnStepsReporter, reporter_of
from il_ros.core.tables import counted, listed, say, worded
from il_ros.records.outcomes import FAILURE, OUTCOMES
from il_ros.training.trainer.opening import contract_of, require_free
from il_ros.training.trainer.plans import TrainingPlan

if TYPE_CHECKING:
    from il_ros.core.contract import Contract
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.rl.learner import Progress
    from il_ros.rl.recipe import ImitationRecipe
    from il_ros.rl.run import ImitationOutcome
    from il_ros.rl.steps.environments import OwnEnvironments
    from il_ros.rl.steps.world import Person
    from il_ros.sim.tasks.task import Task


def carry_out(plan: TrainingPlan, environment: str, expert: str, *, for_programs: bool) -> int:
    """Train by a plan; return the exit status of `il-ros train`.

    `environment`: "": the recorded task; GRAPH: a running graph of it. `expert`: with whose commands a simulated person
    corrects; "": nobody does.
    """
    if plan.background:
        lower_priority()
    os.environ.setdefault("MUJOCO_GL", "egl")
    from il_ros.episodes.arrays.dataset import DatasetError
    from il_ros.policies.versions import claimed
    from il_ros.training.loop import TrainingError

    try:
        require_free(plan)
        reporter = reporter_of(plan, environment, expert, for_programs=for_programs)
        with claimed(plan.out), stop_signals() as stopped:
            outcome = _train(plan, environment, expert, reporter, stopped)
    except TrainingError as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 1
    except (DatasetError, ValueError, OSError, RuntimeError) as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 2
    reporter.done(outcome)
    return 0 if outcome.finished else 130


def _train(
    plan: TrainingPlan,
    environment: str,
    expert: str,
    reporter: OwnStepsReporter,
    stopped: Callable[[], bool],
) -> ImitationOutcome:
    from il_ros.policies import checkpoint
    from il_ros.policies.versions import named_by
    from il_ros.rl import recipe as recipes
    from il_ros.rl.run import train

    recipe = recipes.load(plan.recipe, plan.changes)
    dataset = _open(plan, reporter)
    graph = environment == GRAPH
    name = environment if environment and not graph else _recorded_task(dataset)
    start = None if plan.start is None else checkpoint.load(plan.start, dataset.contract)
    recipe = recipe.going_on_from(start, plan.changes)
    reporter.start(dataset, recipe, name)
    shown = sorted({episode.task for episode in dataset.train if episode.task})
    if shown and name.rpartition(":")[2] not in shown:
        reporter.warning(f"the demonstrations are of {listed(shown)}; the own steps are in {name}")
    if advice := advised(dataset.contract):
        reporter.warning(advice)

    def on_step(progress: Progress) -> bool:
        reporter.step(progress)
        return not stopped()

    made = _graph if graph else _in_process
    with closing(made(name, dataset, recipe, expert)) as environments:
        return train(
            dataset,
            recipe,
            plan.out,
            environments,
            version=plan.version or named_by(plan.out),
            resume=plan.resume,
            start=start,
            on_warning=reporter.warning,
            on_step=on_step,
            on_scores=reporter.scores,
        )


def advised(contract: Contract) -> str:
    """Return how the contract could make own steps learn better, "" if nothing is known."""
    joints = [spec for spec in contract.actions if spec.reference is not None and spec.quantity == "position"]
    if not joints or any(spec.mode == "delta" for spec in joints):
        return ""
    keys = listed([spec.key for spec in joints])
    return (
        f"the actions {keys} are absolute positions, of whose range one step changes little; own steps learn better "
        "with 'mode: delta' in a copy of the contract (--contract; see docs/reinforcement.md)"
    )


def _in_process(name: str, dataset: Dataset, recipe: ImitationRecipe, expert: str) -> OwnEnvironments:
    from il_ros.envs.tasks import make_any_task
    from il_ros.episodes.jobs import cores
    from il_ros.rl.steps.environments import Environments

    return Environments(
        name,
        dataset.contract,
        lambda: make_any_task(name, dataset.contract)[0],
        recipe.imitation.seeds,
        _person(expert, dataset) if expert else None,
        cores(),
    )


def _graph(name: str, dataset: Dataset, recipe: ImitationRecipe, expert: str) -> OwnEnvironments:
    """Return the running graph; raises ValueError on what it cannot do, RosEnvError when there is none."""
    from il_ros.envs.experts import SCRIPTED, unobserved
    from il_ros.envs.tasks import make_any_task
    from il_ros.nodes.env.learning import GraphEnvironments
    from il_ros.nodes.env.ros_env import RosEnv
    from il_ros.sim.tasks.task import task_names

    if recipe.imitation.seeds != 1:
        raise ValueError(f"seeds is {recipe.imitation.seeds}; a running graph has one robot: 1 is needed")
    if expert and Path(expert).is_dir():
        raise ValueError(
            f"--expert {expert}: on a running graph the simulated person has the task's expert (scripted) or a function"
        )
    if name not in task_names():
        raise ValueError(f"the demonstrations are of '{name}'; a graph has one of: {', '.join(task_names())}")
    if expert == SCRIPTED and (lacking := unobserved(name, dataset.contract)):
        raise ValueError(
            f"--expert {expert}: on a running graph it observes what contract {dataset.contract.name} does, which "
            f"lacks {listed(lacking)}; give a function, such as --expert my_expert.py:act"
        )
    with closing(make_any_task(name, dataset.contract)[0]) as task:
        limit_s = task.time_limit_s
        person = _person(expert, dataset)(task) if expert else None
    return GraphEnvironments(RosEnv(dataset.contract, time_limit_s=limit_s), name, person)


def _person(word: str, dataset: Dataset) -> Callable[[Task], Person]:
    """Return what makes a simulated person with the expert that a word names, for the task that it acts in."""
    from il_ros.envs.experts import expert_of
    from il_ros.interactive.dagger.corrector import Corrector
    from il_ros.interactive.dagger.human import typical_motion

    contract = dataset.contract
    motion = typical_motion(dataset.train, contract)
    return lambda task: Corrector(contract, motion, lambda: expert_of(word, task, contract))


def _open(plan: TrainingPlan, reporter: OwnStepsReporter) -> Dataset:
    """Return the demonstrations: failures are none, unless they are asked for."""
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import Selection
    from il_ros.training import saved

    outcomes = plan.outcomes
    if outcomes == OUTCOMES:
        outcomes = tuple(outcome for outcome in OUTCOMES if outcome != FAILURE)
    select = Selection(outcomes, plan.tasks, poor=plan.poor)
    if plan.resume:
        select = Selection(names=tuple(saved.data(plan.out)["train"]), poor=True)
    own = contract_of(plan.contract, plan.data)
    return Dataset.open(plan.data, own, select, validation=0.0, progress=reporter.reading)


def _recorded_task(dataset: Dataset) -> str:
    from il_ros.envs.tasks import is_environment
    from il_ros.sim.tasks.task import task_names

    tasks = sorted({episode.task for episode in dataset.train if episode.task})
    known = [task for task in tasks if task in task_names() or is_environment(task)]
    if len(tasks) == len(known) == 1:
        return known[0]
    there = f"of {counted(len(tasks), 'task')} ({', '.join(tasks)})" if tasks else "of no named task"
    raise ValueError(
        f"the demonstrations are {there}; own steps need one environment: choose with --environment, such as push or "
        "Pendulum-v1"
    )
