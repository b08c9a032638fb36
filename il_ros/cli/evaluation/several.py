"""Several policies from the same starts: a table, a plot, and each one compared with the first."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.core.progress import progress
from il_ros.core.tables import counted, percent, percent_range, say, say_json, table, worded
from il_ros.envs.tasks import is_environment
from il_ros.episodes.catalogue import require_episodes
from il_ros.policies.lineage import find_policy
from il_ros.records.comparison import PairedComparison, corrected
from il_ros.training.trainer.plans import EvaluationPlan

if TYPE_CHECKING:
    from il_ros.policies.runner import LoadedPolicy
    from il_ros.sim.tasks.task import Task
    from il_ros.training.evaluate import Episode, Evaluation

PLOTS = (".png", ".svg", ".pdf")
MOST_FRAMES = 2000
"""Held-out frames on which the error is measured, evenly spread."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What to do besides running the episodes. `held_out`: a folder of recorded episodes.

    `until_sure`: stop when one of two policies is better. `plot`, `file`: receive the plot, and the result as JSON.
    `for_programs`: print one JSON object per line.
    """

    held_out: Path | None = None
    until_sure: bool = False
    plot: Path | None = None
    file: Path | None = None
    for_programs: bool = False

    @classmethod
    def of(cls, args: argparse.Namespace) -> EvaluationOptions:
        """Return what the options of `il-ros evaluate` say."""
        return cls(args.held_out, args.until_sure, args.plot, args.json, args.progress == "json")


@dataclass(frozen=True)
class PolicyResult:
    """One policy's `name` in the table, its evaluation, and its mean error on held-out frames in normalised actions."""

    name: str
    evaluation: Evaluation
    held_out_error: float | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary."""
        return {"name": self.name, **self.evaluation.to_plain(), "held_out_error": self.held_out_error}


def require_possible(plans: Sequence[EvaluationPlan], wanted: EvaluationOptions) -> None:
    """Raise ValueError or OSError, which name the option, where these policies cannot be compared as wanted."""
    from il_ros.core import atomic

    if wanted.until_sure and len(plans) != 2:
        raise ValueError(f"--until-sure compares two policies; there are {len(plans)}")
    if wanted.plot is not None:
        if wanted.plot.suffix.lower() not in PLOTS:
            raise ValueError(f"--plot {wanted.plot}: the name must end in {', '.join(PLOTS)}")
        atomic.require_own(wanted.plot)
    for plan in plans:
        find_policy(plan.checkpoint)
    if wanted.held_out is not None:
        require_episodes(wanted.held_out)


def run(plans: Sequence[EvaluationPlan], wanted: EvaluationOptions) -> int:
    """Evaluate the policies of these plans; return the exit status of `il-ros evaluate`."""
    import torch

    from il_ros.cli.evaluation import command
    from il_ros.cli.long_runs import lower_priority
    from il_ros.core import atomic
    from il_ros.policies.loading import load_driving
    from il_ros.sim.lockstep import NoObservationError

    try:
        if plans[0].background:
            lower_priority()
        torch.set_num_threads(plans[0].threads)
        policies = [load_driving(plan.checkpoint, task=plan.task) for plan in plans]
        _require_alike(plans, policies)
        first = policies[0]
        errors = [None if wanted.held_out is None else _held_out(wanted.held_out, each) for each in policies]
        task = command.make_task(
            plans[0].task or command.trained_on(first),
            first.contract,
            plans[0].simulator,
            plans[0].success_return,
        )
        with closing(task):
            evaluations = _evaluated(plans[0], policies, task, wanted)
        named = zip(_names(plans, policies), evaluations, errors, strict=True)
        results = [PolicyResult(*each) for each in named]
        plain = to_plain(results)
        if wanted.for_programs:
            say_json(event="done", **plain)
        else:
            say(summary(results), flush=True)
        if wanted.file is not None:
            atomic.write_text(wanted.file, json.dumps(plain, indent=1) + "\n")
        if wanted.plot is not None:
            draw(results, wanted.plot)
    except (ValueError, OSError, NoObservationError) as error:
        say(f"il-ros evaluate: {worded(error)}", file=sys.stderr)
        return 2
    return 0


def comparisons(results: Sequence[PolicyResult]) -> list[PairedComparison]:
    """Return each policy's comparison with the first one."""
    first, *others = results
    own = [episode.score for episode in first.evaluation.episodes]
    return [
        PairedComparison.of(
            first.name,
            each.name,
            zip(own, (episode.score for episode in each.evaluation.episodes), strict=True),
        )
        for each in others
    ]


def to_plain(results: Sequence[PolicyResult]) -> dict[str, Any]:
    """Return the results and comparisons as a JSON-compatible dictionary."""
    return {
        "policies": [each.to_plain() for each in results],
        "comparisons": plain_comparisons(comparisons(results)),
    }


def plain_comparisons(compared: Sequence[PairedComparison]) -> list[dict[str, Any]]:
    """Return comparisons as JSON-compatible dictionaries; p-values are also corrected for their number (Holm)."""
    holm = corrected([each.p_value for each in compared])
    return [
        {
            "first": each.first,
            "second": each.second,
            "pairs": len(each.signs),
            "second_better": each.wins,
            "first_better": each.losses,
            "p_value": each.p_value,
            "p_value_corrected": p,
            "sequential_p_value": each.sequential_p_value,
            "decided_after": each.decided_after(),
        }
        for each, p in zip(compared, holm, strict=True)
    ]


def summary(results: Sequence[PolicyResult]) -> str:
    """Return the results as a table, and a sentence for each comparison."""
    evaluations = [each.evaluation for each in results]
    judged = any(each.judged for each in evaluations)
    columns: list[tuple[str, list[str]]] = [("policy", [each.name for each in results])]
    if judged:
        rates = [f"{each.successes} of {len(each.episodes)}: {percent(each.rate)}" for each in evaluations]
        columns += [
            ("success", rates),
            ("95 % interval", [percent_range(*each.interval) for each in evaluations]),
            ("time to success [s]", [_number(each.time_to_success_s, ".1f") for each in evaluations]),
        ]
    if is_environment(evaluations[0].task):
        columns += [
            ("mean return", [f"{each.mean_return:.5g}" for each in evaluations]),
            ("95 %", ["{:.5g} to {:.5g}".format(*each.return_interval) for each in evaluations]),
        ]
    columns.append(("jerk [units/s^3]", [_number(each.jerk, ".3g") for each in evaluations]))
    if any(each.held_out_error is not None for each in results):
        columns.append(("held-out error", [_number(each.held_out_error, ".4f") for each in results]))
    rows = [list(row) for row in zip(*(cells for _, cells in columns), strict=True)]
    text = [
        f"task {evaluations[0].task}, {counted(len(evaluations[0].episodes), 'episode')} each, from the same starts",
        table([name for name, _ in columns], rows),
    ]
    return "\n".join([*text, *sentences(comparisons(results))])


def sentences(compared: Sequence[PairedComparison]) -> list[str]:
    """Return what each comparison shows, in words."""
    found = []
    for each, p in zip(compared, corrected([each.p_value for each in compared]), strict=True):
        fixed = f"p = {each.p_value:.2g}"
        if len(compared) > 1:
            fixed += f", {p:.2g} corrected for {counted(len(compared), 'comparison')}"
        found.append(
            f"{each.sentence()} ({each.second} better in {each.wins}, {each.first} better in {each.losses}; with the "
            f"number of pairs fixed beforehand: {fixed})"
        )
    return found


def draw(results: Sequence[PolicyResult], file: Path) -> None:
    """Plot success (or return), time to success, jerk and held-out error of the policies, with intervals."""
    import matplotlib
    from matplotlib.figure import Figure

    from il_ros.core.plot_style import POLICY, STYLE, save

    evaluations = [each.evaluation for each in results]
    judged = any(each.judged for each in evaluations)
    middle = [each.rate if judged else each.mean_return for each in evaluations]
    spread = [each.interval if judged else each.return_interval for each in evaluations]
    panels: list[tuple[str, list[float | None], Any]] = [
        ("success, 95 % interval" if judged else "mean return, 95 % interval", list(middle), spread),
        ("time to success, median [s]", [each.time_to_success_s for each in evaluations], None),
        ("jerk [units/s^3]", [each.jerk for each in evaluations], None),
        ("error on held-out episodes", [each.held_out_error for each in results], None),
    ]
    panels = [panel for panel in panels if any(value is not None for value in panel[1])]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.2 * len(panels), 0.6 + 0.45 * len(results)), layout="constrained")
        places = range(len(results))
        for axes, (title, values, bounds) in zip(
            figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
        ):
            heights = [0.0 if value is None else value for value in values]
            errors = None
            if bounds is not None:
                pairs = zip(heights, bounds, strict=True)
                sides = [(max(0.0, value - low), max(0.0, high - value)) for value, (low, high) in pairs]
                errors = list(zip(*sides, strict=True))
            axes.barh(list(places), heights, xerr=errors, color=POLICY, height=0.6, capsize=3)
            axes.set(title=title, yticks=list(places), yticklabels=[each.name for each in results])
        figure.axes[0].invert_yaxis()
        save(figure, file, dpi=110)


def _evaluated(
    plan: EvaluationPlan, policies: Sequence[LoadedPolicy], task: Task, wanted: EvaluationOptions
) -> list[Evaluation]:
    """Run all policies from each start, start after start, so that the trials may be stopped between two starts."""
    from il_ros.training.evaluate import Evaluation, evaluate

    episodes: list[list[Episode]] = [[] for _ in policies]
    bar = None if wanted.for_programs else progress("evaluating", "start", plan.episodes)
    with nullcontext() if bar is None else closing(bar):
        for seed in range(plan.seed, plan.seed + plan.episodes):
            for policy, own in zip(policies, episodes, strict=True):
                done = evaluate(
                    policy, policy.contract, task, [seed], hold_s=plan.hold_s, execute=plan.execute
                )
                own += done.episodes
            if bar is None:
                endings = [own[-1].ending for own in episodes]
                say_json(event="start", seed=seed, endings=endings)
            else:
                bar.update()
            if wanted.until_sure:
                first, second = ([episode.score for episode in own] for own in episodes)
                if PairedComparison.of("", "", zip(first, second, strict=True)).decided_after() is not None:
                    break
    return [
        Evaluation(task.name, policy.version, tuple(own))
        for policy, own in zip(policies, episodes, strict=True)
    ]


def _held_out(folder: Path, policy: LoadedPolicy) -> float:
    """Return a policy's mean absolute error on recorded episodes that it was not trained on, in normalised actions.

    Raises ValueError when there is none.
    """
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.interactive.promotion.criteria import frames, replay_error

    names = set(policy.metrics.get("data", {}).get("train", ()))
    hashes = policy.metrics.get("hashes", {})
    learnt = {hashes.get(name) for name in names}
    episodes = Dataset.open(folder, policy.contract, validation=0.0).train
    # checkpoints from before hashes were kept name their episodes only
    others = [each for each in episodes if (each.digest not in learnt if hashes else each.name not in names)]
    if not others:
        raise ValueError(f"--held-out {folder}: policy {policy.version} was trained on all of its episodes")
    replay = list(frames(others, MOST_FRAMES, policy.history))
    return replay_error(policy.act, replay, policy.difference)


def _require_alike(plans: Sequence[EvaluationPlan], policies: Sequence[LoadedPolicy]) -> None:
    """Raise ValueError unless all policies are of one contract."""
    from il_ros.core.contract_differences import differences

    for plan, policy in zip(plans, policies, strict=True):
        different = differences(policies[0].contract, policy.contract)
        if different:
            raise ValueError(
                f"{plan.checkpoint} is for another contract than {plans[0].checkpoint}: {'; '.join(different[:3])}"
            )


def _names(plans: Sequence[EvaluationPlan], policies: Sequence[LoadedPolicy]) -> list[str]:
    """Return the versions, or the folders where two policies have one version."""
    versions = [policy.version for policy in policies]
    return versions if len(set(versions)) == len(versions) else [str(plan.checkpoint) for plan in plans]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
