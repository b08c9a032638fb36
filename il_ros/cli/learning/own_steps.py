"""`il-ros train` by a recipe with own steps: adversarial imitation in an environment."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from il_ros.cli import next_steps
from il_ros.cli.long_runs import lower_priority, stop_signals
from il_ros.core.tables import counted, listed, percent, say, say_json, table, worded
from il_ros.records.outcomes import FAILURE, OUTCOMES
from il_ros.training.trainer.opening import contract_of, require_free
from il_ros.training.trainer.plans import TrainingPlan

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import Entry
    from il_ros.rl.curves import SeedScore
    from il_ros.rl.environments import OwnEnvironments
    from il_ros.rl.learner import Progress
    from il_ros.rl.recipe import ImitationRecipe
    from il_ros.rl.run import ImitationOutcome
    from il_ros.rl.world import Person
    from il_ros.sim.tasks.task import Task

GRAPH = "graph"
"""As the environment: the running graph of `il-ros run env --speed 0`."""


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
        reporter = _Programs() if for_programs else _People(plan, environment, expert)
        with claimed(plan.out), stop_signals() as stopped:
            outcome = _train(plan, environment, expert, reporter, stopped)
    except TrainingError as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 1
    except (DatasetError, ValueError, OSError, RuntimeError) as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 2
    reporter.done(plan, outcome)
    return 0 if outcome.finished else 130


def _train(
    plan: TrainingPlan,
    environment: str,
    expert: str,
    reporter: _People | _Programs,
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
    reporter.start(dataset, recipe, name)
    shown = sorted({episode.task for episode in dataset.train if episode.task})
    if shown and name.rpartition(":")[2] not in shown:
        reporter.warning(f"the demonstrations are of {listed(shown)}; the own steps are in {name}")
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
            on_step=lambda progress: reporter.step(progress) and not stopped(),
            on_scores=reporter.scores,
        )


def _in_process(name: str, dataset: Dataset, recipe: ImitationRecipe, expert: str) -> OwnEnvironments:
    from il_ros.envs.tasks import make_any_task
    from il_ros.episodes.jobs import cores
    from il_ros.rl.environments import Environments

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
    from il_ros.envs.tasks import make_any_task
    from il_ros.nodes.env.learning import GraphEnvironments
    from il_ros.nodes.env.ros_env import RosEnv
    from il_ros.sim.tasks.task import task_names

    if recipe.imitation.seeds != 1:
        raise ValueError(f"seeds is {recipe.imitation.seeds}; a running graph has one robot: 1 is needed")
    if expert:
        raise ValueError("--expert has no meaning on a running graph; the graph has an expert of its own")
    if name not in task_names():
        raise ValueError(f"the demonstrations are of '{name}'; a graph has one of: {', '.join(task_names())}")
    with closing(make_any_task(name, dataset.contract)[0]) as task:
        limit_s = task.time_limit_s
    return GraphEnvironments(RosEnv(dataset.contract, time_limit_s=limit_s), name)


def _person(word: str, dataset: Dataset) -> Callable[[Task], Person]:
    """Return what makes a simulated person with the expert that a word names, for the task that it acts in."""
    from il_ros.envs.experts import expert_of
    from il_ros.interactive.dagger.corrector import Corrector
    from il_ros.interactive.dagger.human import typical_motion

    contract = dataset.contract
    motion = typical_motion(dataset.train, contract)
    return lambda task: Corrector(contract, motion, lambda: expert_of(word, task, contract))


def _open(plan: TrainingPlan, reporter: _People | _Programs) -> Dataset:
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


class _People:
    """Output for people: a bar with the last evaluation, then a table and the next step."""

    def __init__(self, plan: TrainingPlan, environment: str, expert: str) -> None:
        self._plan, self._options = plan, {"--environment": environment, "--expert": expert}

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        from tqdm import tqdm

        bar: Iterable[Entry] = tqdm(entries, "reading", unit="episode", leave=False, disable=None)
        return bar

    def start(self, dataset: Dataset, recipe: ImitationRecipe, environment: str) -> None:
        from tqdm import tqdm

        say("\n".join(dataset.summary.lines()))
        seeds = counted(recipe.imitation.seeds, "seed")
        say(f"{recipe.family} in {environment}: {seeds}, {recipe.imitation.steps} own steps each")
        self._bar = tqdm(total=recipe.imitation.steps, desc="own steps", unit="step", disable=None)
        self._warned = ""

    def warning(self, sentence: str) -> None:
        say(f"  warning: {sentence}")

    def step(self, progress: Progress) -> bool:
        self._bar.update(progress.step - self._bar.n)
        self._progress = progress
        return True

    def scores(self, scores: Sequence[SeedScore]) -> None:
        from il_ros.training.metrics.seeds import interval

        judged = scores[0].success is not None
        mean, low, high = interval(
            [float(score.success or 0.0) if judged else score.mean_return for score in scores]
        )
        text = f"success {percent(mean)}" if judged else f"return {mean:.4g}"
        if low == low and not judged:
            text += f" ({low:.4g} to {high:.4g})"
        self._bar.set_postfix_str(text, False)
        warning = self._progress.warning if hasattr(self, "_progress") else ""
        if warning and warning != self._warned:
            self._bar.clear()
            self.warning(f"step {scores[0].step}: {warning}")
        self._warned = warning

    def done(self, plan: TrainingPlan, outcome: ImitationOutcome) -> None:
        from il_ros.policies.versions import CHECKPOINT

        self._bar.close()
        if outcome.policy is not None:
            say(table(("result", ""), list(_rows(plan, outcome))))
        if not outcome.finished:
            command = plan.by_hand(plan.out, resume=True)
            given = {name: value for name, value in self._options.items() if value}
            command += "".join(f" {name} {shlex.quote(value)}" for name, value in given.items())
            say(f"stopped early; this continues: {command}")
        elif outcome.policy is not None:
            tasks = outcome.policy.metrics["tasks"]
            next_steps.tell(next_steps.after_training(plan.out, plan.out / CHECKPOINT, tasks))


class _Programs:
    """Output for programs: one JSON object per line."""

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        return entries

    def start(self, dataset: Dataset, recipe: ImitationRecipe, environment: str) -> None:
        say_json(
            event="start",
            environment=environment,
            steps=recipe.imitation.steps,
            seeds=recipe.imitation.seeds,
            episodes=len(dataset.train),
            warnings=list(dataset.summary.warnings),
        )

    def warning(self, sentence: str) -> None:
        say_json(event="fitted", warnings=[sentence])

    def step(self, progress: Progress) -> bool:
        self._warning = progress.warning
        return True

    def scores(self, scores: Sequence[SeedScore]) -> None:
        for score in scores:
            values = {"step": score.step, "seed": score.seed, "return": score.mean_return}
            say_json(
                event="evaluation", **values, success=score.success, kept=score.kept, warning=self._warning
            )

    def done(self, plan: TrainingPlan, outcome: ImitationOutcome) -> None:
        version = None if outcome.policy is None else outcome.policy.version
        say_json(event="done", finished=outcome.finished, version=version, out=str(plan.out.resolve()))


def _rows(plan: TrainingPlan, outcome: ImitationOutcome) -> list[tuple[str, str]]:
    from il_ros.rewards.checkpoint import FOLDER
    from il_ros.training.metrics.curves import PICTURE
    from il_ros.training.metrics.seeds import interval

    assert outcome.policy is not None
    last = [score for score in outcome.scores if score.step == outcome.scores[-1].step]
    metrics = outcome.policy.metrics
    kept = f"seed {metrics['seed']}, step {metrics['own_steps']}: return {metrics['mean_return']:.4g}"
    if metrics["success"] is not None:
        kept += f", success {percent(metrics['success'])}"
    mean, low, high = interval([score.mean_return for score in last])
    spread = f" (95 %: {low:.4g} to {high:.4g})" if low == low else ""
    rows = [
        ("policy", outcome.policy.version),
        ("kept", f"{kept}, {_why(metrics)}; `il-ros evaluate` has other episodes"),
        ("last return", f"{mean:.4g} over {counted(len(last), 'seed')}{spread}"),
    ]
    if (plan.out / FOLDER).is_dir():
        rows.append(("reward", str(plan.out / FOLDER)))
    return [*rows, ("curves", str(plan.out / PICTURE))]


def _why(metrics: Mapping[str, Any]) -> str:
    """Return why this policy is kept, see `il_ros.rl.selection`."""
    if not metrics["parent"]:
        return "the best evaluation"
    return "better than the clone" if metrics["own_steps"] else "the clone: no policy was shown to be better"
