"""`il-ros train`: train a policy from recorded episodes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from il_ros.cli import options
from il_ros.cli.long_runs import lower_priority
from il_ros.cli.train import racing, several_seeds
from il_ros.cli.train.report import BarReporter, JsonReporter, Reporter
from il_ros.core import atomic
from il_ros.core.tables import say, worded
from il_ros.envs.tasks import require_task
from il_ros.episodes.catalogue import require_episodes
from il_ros.policies.lineage import find_checkpoint
from il_ros.records.outcomes import OUTCOMES
from il_ros.training.metrics.writers import PROGRAMS, require_installed
from il_ros.training.trainer.plans import TrainingPlan

GRAPH = "graph"
"""As --environment: the running graph of `il-ros run env --speed 0`."""
VERSIONS = "checkpoint"
"""The folder that holds the versions v1, v2, ... unless --out names another."""

_EXAMPLES = """\
examples:
  il-ros train episodes                               into checkpoint/v1, the next time checkpoint/v2
  il-ros train episodes --out checkpoint/v1           the folder that deploy and dagger use
  il-ros train episodes --out trained --set epochs=50 --set policy.hidden=[64,64]
  il-ros train episodes --out trained --resume        after Ctrl-C
  torchrun --nproc-per-node 2 -m il_ros train episodes      on two GPUs (docs/training.md)
  il-ros train reach_episodes push_episodes --joint   one policy for several tasks or robots
  il-ros train episodes --out study --seeds 0,1,2      three seeds side by side, with mean and interval
  il-ros train episodes --recipe gail                 with own steps in the environment that was shown (docs/rewards.md)
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train a policy from episodes",
        description="Train a policy from recorded episodes. Ctrl-C stops after the current epoch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "data",
        type=Path,
        nargs="+",
        metavar="EPISODES",
        help="folder of the recorded episodes; with --joint, several",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        help=f"folder for the result (default: the next version in ./{VERSIONS}, such as {VERSIONS}/v1; "
        "with --resume the newest interrupted one)",
    )
    options.add_contract(parser)
    parser.add_argument(
        "--recipe",
        default="",
        help="file, or name in config/training (default: auto, which chooses by the episodes and says why)",
    )
    racing.add_option(parser)
    several_seeds.add_options(parser)
    options.add_changes(parser)
    parser.add_argument(
        "--outcome",
        action="append",
        choices=OUTCOMES,
        help="train on episodes with this outcome; may be repeated (default: all; labels depend on "
        "the source in authority, so corrections in failed episodes are learnt)",
    )
    parser.add_argument(
        "--poor", action="store_true", help="also train on episodes that the recorder graded poor"
    )
    parser.add_argument("--task", action="append", default=[], help="only this task; may be repeated")
    parser.add_argument(
        "--joint",
        action="store_true",
        help="train one policy for the contracts of all episodes: several tasks, or robots (docs/policies.md)",
    )
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="CONTRACT=NUMBER",
        help="with --joint: the weight of this contract's frames (default: 1); may be repeated",
    )
    parser.add_argument("--resume", action="store_true", help="continue the interrupted run in --out")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the policy that an earlier training wrote to --out",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="CHECKPOINT",
        help="initial weights; with other inputs or actions, of what is shared; if they don't fit, none, and why",
    )
    parser.add_argument(
        "--warm-epochs", type=int, default=0, metavar="N", help="epochs with --from (default: the recipe's)"
    )
    parser.add_argument(
        "--warm-seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="time limit of training with --from (default: the recipe's); when it is too short for all "
        "frames, each epoch uses all new frames and part of the old ones",
    )
    parser.add_argument(
        "--version",
        default="",
        help="the policy's version (default: --out's name if it is v1, v2, ..., else a hash of the weights)",
    )
    parser.add_argument(
        "--environment",
        default="",
        metavar="TASK",
        help="recipes with own steps (gail, bc_rl and others): the simulated task, or Gymnasium environment, to act in "
        "(default: the recorded one); graph: that of a running `il-ros run env --speed 0`, Gazebo too",
    )
    parser.add_argument(
        "--expert", default="", help="own steps: a simulated person corrects with this expert (scripted)"
    )
    parser.add_argument(
        "--recorded",
        action="store_true",
        help="recipes with own steps: learn from what policy and person did in the episodes, instead of acting; needs "
        "--from, or begins with a clone",
    )
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        choices=PROGRAMS,
        help="also write the metrics for this program, beside curves.csv; may be repeated (docs/training.md)",
    )
    options.add_running(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; return 0 when done, 130 when stopped, 1 when training failed, 2 on an invalid request."""
    from il_ros.training.recipe import require_known, require_valid

    try:
        require_installed(args.log)
        plan = plan_of(args)
        has_own_steps = _has_own_steps(args)
        _require_start(args)
        several_seeds.require_possible(args, own_steps=has_own_steps)
        require_known(plan.recipe, plan.changes)
        if not plan.resume:  # whose recipe is the interrupted one
            require_valid(plan.recipe, plan.changes)
        if args.environment and args.environment != GRAPH:
            require_task(args.environment)
        # what can be found without torch is found at once
        for folder in args.data:
            require_episodes(folder)
        if args.start is not None:  # a trainer goes on without it; a person named it
            find_checkpoint(args.start)
        atomic.require_folder(plan.out)
        if args.start is not None:
            from il_ros.policies import checkpoint  # imports torch

            checkpoint.load(args.start)  # a damaged one; whether its weights fit is said with the data
    except (ValueError, OSError) as error:
        say(f"il-ros train: {worded(error)}", file=sys.stderr)
        return 2
    for_programs = args.progress == "json"
    if has_own_steps:
        from il_ros.cli.train import own_steps
        from il_ros.training.processes import name_of_this

        if name_of_this():
            say(
                f"il-ros train: {name_of_this()}a recipe with own steps trains in one process, without torchrun",
                file=sys.stderr,
            )
            return 2
        if not plan.recorded:
            return own_steps.carry_out(plan, args.environment, args.expert, for_programs=for_programs)
    if args.seeds:
        return several_seeds.carry_out(plan, args.seeds, args.choose, for_programs=for_programs)
    return carry_out(plan, JsonReporter() if for_programs else BarReporter(plan))


def carry_out(plan: TrainingPlan, reporter: Reporter) -> int:
    """Train by a plan, not with own steps in an environment; return the exit status of `il-ros train`."""
    from il_ros.cli.train import imitation, recorded

    if plan.background:
        lower_priority()
    if plan.recorded:
        return recorded.carry_out(plan, reporter)
    return imitation.carry_out(plan, reporter)


def plan_of(args: argparse.Namespace) -> TrainingPlan:
    """Return the plan that the options describe; raises ValueError when they contradict each other."""
    racing.require_possible(args)
    data, *further = args.data
    with options.naming(_OPTIONS):
        return TrainingPlan(
            data=data,
            out=_default_out(args.resume, args.overwrite) if args.out is None else args.out,
            version=args.version,
            contract=args.contract,
            recipe=args.recipe,
            race=args.race or 0.0,
            changes=tuple(args.set),
            outcomes=tuple(args.outcome or OUTCOMES),
            tasks=tuple(args.task),
            poor=args.poor,
            joint=_is_joint(args),
            further=tuple(further),
            weights=tuple(args.weight),
            recorded=args.recorded,
            resume=args.resume,
            overwrite=args.overwrite,
            start=args.start,
            warm_epochs=args.warm_epochs,
            warm_s=args.warm_seconds,
            background=args.background,
            log=tuple(args.log),
        )


_OPTIONS = {
    "data": "EPISODES",
    "further": "EPISODES",
    "changes": "--set",
    "outcomes": "--outcome",
    "tasks": "--task",
    "weights": "--weight",
    "start": "--from",
    "warm_s": "--warm-seconds",
}
"""The options whose names differ from those of the plan's fields."""


def _require_start(args: argparse.Namespace) -> None:
    """Raise ValueError on an option of the initial weights without these."""
    if args.start is not None:
        return
    if args.warm_epochs > 0:
        raise ValueError(
            "--warm-epochs has a meaning with --from only; `--set epochs=N` sets those of any training"
        )
    if args.warm_seconds > 0 and not args.recorded:
        raise ValueError(
            "--warm-seconds has a meaning with --from only; `--set seconds=S` limits any training"
        )


def _has_own_steps(args: argparse.Namespace) -> bool:
    """Return whether the recipe trains with own steps; raises ValueError on options that do not fit it."""
    from il_ros.training.trainer.recipe_file import AUTO, has_own_steps

    own_steps = args.recipe not in ("", AUTO) and has_own_steps(args.recipe)
    if own_steps and args.joint:
        raise ValueError("--joint has no meaning for a recipe with own steps")
    acting = {"--environment": args.environment, "--expert": args.expert}
    if own_steps and args.recorded:
        given = {**acting, "--warm-epochs": args.warm_epochs, "--resume": args.resume, "--log": args.log}
        kind = "whose own steps are the recorded ones"
    elif own_steps:
        given = {"--warm-epochs": args.warm_epochs, "--warm-seconds": args.warm_seconds, "--log": args.log}
        kind = "with own steps"
    else:
        given = {**acting, "--recorded": args.recorded}
        kind = "without own steps (gail, rlpd and others have them)"
    if wrong := [name for name, value in given.items() if value]:
        raise ValueError(f"{wrong[0]} has no meaning for a recipe {kind}")
    return own_steps


def _is_joint(args: argparse.Namespace) -> bool:
    """Return whether one policy is trained for several contracts; raises ValueError on options that do not fit."""
    if args.joint:
        wrong = {"--contract": args.contract, "--race": args.race, "--recorded": args.recorded}
        if given := [name for name, value in wrong.items() if value]:
            raise ValueError(
                f"{given[0]} has no meaning with --joint, which uses the contracts of the episodes"
            )
        return True
    if len(args.data) > 1:
        raise ValueError(f"{args.data[1]} is a second folder: training on several needs --joint")
    if args.weight:
        raise ValueError("--weight has a meaning with --joint only")
    return False


def _default_out(resume: bool, overwrite: bool) -> Path:
    """Return the next version's folder, or with --resume the newest interrupted one; raises ValueError."""
    from il_ros.policies.versions import next_version

    folder = Path(VERSIONS)
    if overwrite:
        raise ValueError(f"--overwrite needs --out: the folder whose policy is replaced, such as {folder}/v1")
    if not resume:
        return folder / next_version(folder)
    from il_ros.training import outputs  # imports torch

    run = outputs.newest_saved(folder)
    if run is None:
        raise ValueError(f"{folder} holds no training to resume; give its folder with --out")
    return run
