"""`il-ros env`: record and correct in one process, without ROS, on a simulated task or a Gymnasium environment."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.cli import next_steps, options
from il_ros.cli.environment.options import add_rounds, add_world
from il_ros.cli.suggest import starts_of
from il_ros.core import atomic
from il_ros.core.tables import counted, percent, say, worded
from il_ros.envs.experts import require_file
from il_ros.envs.tasks import make_any_task, require_task
from il_ros.policies.lineage import CheckpointError, find_checkpoint
from il_ros.sim import HELD_OUT_SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from il_ros.core.contract import Contract
    from il_ros.envs.experts import EnvExpert
    from il_ros.interactive.dagger.in_process import TaskEpisodes
    from il_ros.interactive.dagger.learner import Learner
    from il_ros.interactive.dagger.rounds import Round
    from il_ros.policies.runner import LoadedPolicy
    from il_ros.sim.tasks.task import Task

_EXAMPLES = """\
examples:
  il-ros env record Pendulum-v1 --expert expert.py:act --episodes 10
  il-ros train episodes --out checkpoint/v1
  il-ros evaluate checkpoint/v1
  il-ros env dagger Pendulum-v1 --expert expert.py:act --rounds 10
  il-ros env record push --episodes 30                    a simulated task, by its script
"""
CORRECTIONS_SEED = 500_000


def add_parser(subparsers: Any) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser(
        "env",
        help="record and correct in one process, on a simulated task or a Gymnasium environment",
        description="Record demonstrations and correct policies in one process, as fast as possible, without ROS, "
        "on a simulated task or any Gymnasium environment. Every command passes the safety limiter.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    record = verbs.add_parser("record", help="record an expert's demonstrations")
    add_world(record, 0)
    record.add_argument("--episodes", type=int, default=10, metavar="N", help="(default: 10)")
    record.add_argument(
        "--starts",
        type=Path,
        metavar="FILE",
        help="one episode from each start that `il-ros suggest -o FILE` wrote",
    )
    record.set_defaults(run=run, act=_record)
    correct = verbs.add_parser(
        "dagger",
        help="correct a policy in rounds: drive, label, train, repeat",
        description="In each round let policy and expert drive by the mode, record the episodes, and train on all "
        "under --root. The first policy is --from, else the newest good version in --out, else trained on --root. Each "
        "round's policy is the next version in --out.",
    )
    add_world(correct, CORRECTIONS_SEED)
    add_rounds(correct)
    correct.set_defaults(run=run, act=_correct)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return 0, 1 when nothing was recorded, or 2 with the reason on stderr."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        _require_possible(args)
    except (ValueError, OSError) as error:
        say(f"il-ros env {args.verb}: {worded(error)}", file=sys.stderr)
        return 2
    # what follows imports torch
    from il_ros.episodes.recording.record import RecordError
    from il_ros.sim.lockstep import NoObservationError
    from il_ros.training.loop import TrainingError

    try:
        given = options.given_contract(args)
        task, contract = make_any_task(args.task, given, success_return=args.success_return)
        with closing(task):
            return int(args.act(args, task, contract))
    except (ValueError, OSError, RecordError, TrainingError, NoObservationError) as error:
        say(f"il-ros env {args.verb}: {worded(error)}", file=sys.stderr)
        return 2


def _require_possible(args: argparse.Namespace) -> None:
    """Raise ValueError or OSError, naming option and value, before anything slow is imported or begins."""
    for names, least in ((("episodes", "rounds", "per_round", "steps"), 1), (("hold", "seed", "tests"), 0)):
        for name in names:
            value = getattr(args, name, least)
            if not value >= least:
                raise ValueError(f"--{name.replace('_', '-')} is {value:g}; it must be {least} or more")
    require_task(args.task)
    require_file(args.expert.rpartition(":")[0])
    atomic.require_folder(args.root)
    if args.verb == "dagger":
        from il_ros.training.recipe import require_known, require_valid

        require_known(args.recipe, args.set)
        require_valid(args.recipe, args.set)
        atomic.require_folder(args.out)
        if args.start is not None:
            try:
                find_checkpoint(args.start)
            except CheckpointError as error:
                raise ValueError(f"--from {args.start}: {error}") from error
    elif args.starts is not None:
        starts_of(args.starts, args.task)


def _prepared(args: argparse.Namespace, task: Task, contract: Contract) -> tuple[EnvExpert, TaskEpisodes]:
    from il_ros.envs.experts import expert_of
    from il_ros.interactive.dagger.in_process import TaskEpisodes

    return expert_of(args.expert, task, contract), TaskEpisodes(
        task, contract, args.root, args.operator, args.hold
    )


def _record(args: argparse.Namespace, task: Task, contract: Contract) -> int:
    from il_ros.interactive.dagger.in_process import demonstrate

    expert, run = _prepared(args, task, contract)
    seeds: Sequence[int] = range(args.seed, args.seed + args.episodes)
    if args.starts is not None:
        seeds = starts_of(args.starts, args.task)
    for seed, done in zip(seeds, demonstrate(run, expert, seeds), strict=True):
        ended = "gave up" if done.gave_up else "success" if done.success else "failure"
        outcome = ended if done.judged or done.gave_up else "ended"
        say(f"seed {seed}: {outcome}, {counted(done.steps, 'step')}, return {done.total_reward:.4g}")
    if not run.folders:
        say("il-ros env record: no episode was recorded", file=sys.stderr)
        return 1
    say(f"{counted(len(run.folders), 'episode')} in {args.root}")
    next_steps.tell(next_steps.after_recording(args.root))
    return 0


def _correct(args: argparse.Namespace, task: Task, contract: Contract) -> int:
    from il_ros.interactive.dagger.in_process import correct, save_version
    from il_ros.interactive.modes.gate import GatedOptions
    from il_ros.interactive.modes.options import ModeOptions

    expert, run = _prepared(args, task, contract)
    learner = _learner(args, contract)
    shown = _shown(args, contract, learner.recipe.policy)
    start = _start(args, learner)
    modes = ModeOptions(
        args.mode,
        beta=args.beta,
        queried=args.queried,
        seed=args.seed,
        gated=GatedOptions(takeover="asked", per_hour=args.per_hour),
    )
    count, first = args.per_round, args.seed
    seeds = [range(first + count * index, first + count * (index + 1)) for index in range(args.rounds)]
    place = args.out
    parent = "" if start is None else start.version
    for done in correct(run, expert, learner, modes, seeds, shown, start):
        place = save_version(args.out, done.policy, run, done.labels, shown, parent)
        parent = place.name
        say(_line(args, task, contract, done, place))
    next_steps.tell(next_steps.after_training(place, place / "checkpoint", [task.name]))
    return 0


def _start(args: argparse.Namespace, learner: Learner) -> LoadedPolicy | None:
    """Return the policy that the first round begins with: of --from, else the newest good version in --out."""
    from il_ros.policies.lineage import newest_good
    from il_ros.training.trainer import warm_start

    place = args.start or newest_good(args.out)
    start, _, refusal = warm_start.begin(place, learner.contract, learner.recipe, 0, 0.0)
    if refusal and args.start is not None:
        reason = refusal.removeprefix("trained from scratch").lstrip(",: ")
        raise ValueError(f"--from {args.start}: {reason}")
    if start is not None:
        say(f"begins with policy {start.version} of {place}")
    elif refusal:
        say(f"{place}: {refusal}")
    return start


def _learner(args: argparse.Namespace, contract: Contract) -> Learner:
    from il_ros.interactive.dagger.learner import Learner
    from il_ros.training import recipe as recipes
    from il_ros.training.auto import rules

    by_name = args.recipe not in ("", recipes.AUTO)
    recipe = recipes.load(args.recipe, args.set) if by_name else rules.chosen(contract, changes=args.set)
    training = recipe.training
    return Learner(
        contract, replace(recipe, training=replace(training, seed=training.seed + args.seed)), args.steps
    )


def _shown(args: argparse.Namespace, contract: Contract, settings: Any) -> tuple[Any, ...]:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import scan
    from il_ros.policies.features import Inputs

    if not args.root.is_dir() or not scan(args.root).usable:
        return ()
    may_lack = Inputs.for_policy(contract, settings).may_lack
    dataset = Dataset.open(args.root, contract, validation=0.0, history=settings.history, optional=may_lack)
    say(f"begins with {counted(len(dataset.train), 'episode')} of {args.root}")
    return dataset.train


def _line(args: argparse.Namespace, task: Task, contract: Contract, done: Round, place: Path) -> str:
    from il_ros.sim.tasks.task import is_judged
    from il_ros.training.evaluate import evaluate

    parts = [
        f"round {done.index}: {place}",
        counted(done.labels, "label"),
        f"expert drove {counted(done.expert_ticks, 'tick')}",
    ]
    parts += [counted(done.takeovers, "takeover")] if args.mode in ("hg_dagger", "gated") else []
    parts += [f"{done.successes} of {done.episodes} succeeded"] if is_judged(task) else []
    parts += [f"the expert gave up in {done.given_up} of {done.episodes}"] if done.given_up else []
    if args.tests:
        score = evaluate(done.policy, contract, task, range(HELD_OUT_SEED, HELD_OUT_SEED + args.tests))
        parts.append(
            f"tested: {percent(score.rate)} success, return {score.mean_return:.4g}"
            if score.judged
            else f"tested: return {score.mean_return:.4g}"
        )
    return ", ".join(parts)
