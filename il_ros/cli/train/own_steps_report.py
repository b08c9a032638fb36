"""Progress output of a training with own steps: for people, or for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from il_ros.cli import next_steps
from il_ros.cli.train.report import reading_bar
from il_ros.core.progress import progress
from il_ros.core.tables import counted, percent, say, say_json, table
from il_ros.policies.versions import CHECKPOINT
from il_ros.training.metrics.seeds import interval
from il_ros.training.trainer.plans import TrainingPlan

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import Entry
    from il_ros.rl.curves import SeedScore
    from il_ros.rl.learner import Progress
    from il_ros.rl.recipe import ImitationRecipe
    from il_ros.rl.run import ImitationOutcome


class OwnStepsReporter(Protocol):
    """Prints the progress of a training with own steps."""

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        """Return the entries, showing the progress as they are decoded."""

    def start(self, dataset: Dataset, recipe: ImitationRecipe, environment: str) -> None:
        """Print the data, and the environment to act in."""

    def warning(self, sentence: str) -> None:
        """Print a warning."""

    def step(self, reached: Progress) -> None:
        """Show a step, which all seeds have done."""

    def scores(self, scores: Sequence[SeedScore]) -> None:
        """Show an evaluation, a score for each seed, and what the training warns of."""

    def done(self, outcome: ImitationOutcome) -> None:
        """Print the result."""


def reporter_of(plan: TrainingPlan, environment: str, expert: str, *, for_programs: bool) -> OwnStepsReporter:
    """Return the reporter of a training. The command that continues a stopped one repeats its options."""
    return _Programs(plan) if for_programs else _People(plan, environment, expert)


class _People:
    """Output for people: a bar with the last evaluation, then a table and the next step."""

    def __init__(self, plan: TrainingPlan, environment: str, expert: str) -> None:
        self._plan, self._options = plan, {"--environment": environment, "--expert": expert}

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        return reading_bar(entries)

    def start(self, dataset: Dataset, recipe: ImitationRecipe, environment: str) -> None:
        say("\n".join(dataset.summary.lines()))
        seeds = counted(recipe.imitation.seeds, "seed")
        say(f"{recipe.family} in {environment}: {seeds}, {recipe.imitation.steps} own steps each")
        self._bar = progress("own steps", "step", recipe.imitation.steps)
        self._warning = self._warned = ""

    def warning(self, sentence: str) -> None:
        say(f"  warning: {sentence}")

    def step(self, reached: Progress) -> None:
        self._bar.update(reached.step - self._bar.n)
        self._warning = reached.warning

    def scores(self, scores: Sequence[SeedScore]) -> None:
        judged = scores[0].success is not None
        mean, low, high = interval(
            [float(score.success or 0.0) if judged else score.mean_return for score in scores]
        )
        text = f"success {percent(mean)}" if judged else f"return {mean:.4g}"
        if low == low and not judged:
            text += f" ({low:.4g} to {high:.4g})"
        self._bar.set_postfix_str(text, False)
        if self._warning and self._warning != self._warned:
            self._bar.clear()
            self.warning(f"step {scores[0].step}: {self._warning}")
        self._warned = self._warning

    def done(self, outcome: ImitationOutcome) -> None:
        plan = self._plan
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

    def __init__(self, plan: TrainingPlan) -> None:
        self._out = plan.out
        self._warning = ""

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

    def step(self, reached: Progress) -> None:
        self._warning = reached.warning

    def scores(self, scores: Sequence[SeedScore]) -> None:
        for score in scores:
            values = {"step": score.step, "seed": score.seed, "return": score.mean_return}
            say_json(
                event="evaluation", **values, success=score.success, kept=score.kept, warning=self._warning
            )

    def done(self, outcome: ImitationOutcome) -> None:
        version = None if outcome.policy is None else outcome.policy.version
        say_json(event="done", finished=outcome.finished, version=version, out=str(self._out.resolve()))


def _rows(plan: TrainingPlan, outcome: ImitationOutcome) -> list[tuple[str, str]]:
    from il_ros.rewards.checkpoint import FOLDER
    from il_ros.training.metrics.curves import PICTURE

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
