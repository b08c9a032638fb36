"""`il-ros evaluate`: the success of a policy, or of several from the same starts, in a simulator."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.cli import next_steps, options
from il_ros.cli.long_runs import lower_priority
from il_ros.core import atomic
from il_ros.core.progress import progress
from il_ros.core.tables import percent, percent_range, say, say_json, table, worded
from il_ros.envs.tasks import is_environment, require_task
from il_ros.policies.lineage import find_policy
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.installed import why_missing
from il_ros.sim.tasks.task import SIMULATORS
from il_ros.training.trainer.plans import EvaluationPlan

if TYPE_CHECKING:
    from il_ros.core.contract import Contract
    from il_ros.policies.loading import AnyPolicy
    from il_ros.sim.tasks.task import Task
    from il_ros.training.evaluate import Evaluation

RESULT_SIGNS = ('"task": ', '"successes": ', '"interval_95": ')
"""What a result file of this command holds: only such a file is replaced."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure policies' success in simulation",
        description="Run a policy in held-out episodes, in one process, as fast as possible. Several policies run from "
        "the same starts, and each is compared with the first one.",
    )
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CHECKPOINT",
        help="folder of a checkpoint, or of a training run",
    )
    parser.add_argument(
        "--task",
        default="",
        help="simulated task, or Gymnasium environment such as Pendulum-v1 (default: the one it was trained on)",
    )
    options.add_success_return(parser)
    parser.add_argument(
        "--simulator", default="mujoco", help="mujoco (default), or gazebo_classic (`make gazebo`)"
    )
    parser.add_argument("--episodes", type=int, default=50, help="(default: 50)")
    parser.add_argument(
        "--seed", type=int, default=HELD_OUT_SEED, help=f"first seed (default: {HELD_OUT_SEED})"
    )
    parser.add_argument(
        "--hold", type=float, default=0.0, help="seconds for which success must hold (default: 0)"
    )
    parser.add_argument(
        "--execute",
        type=int,
        default=1,
        help="ticks from one computation to the next, which plays the chunk, as the policy server does (default: 1)",
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of the policy's computation (default: 1)"
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        metavar="EPISODES",
        help="also measure the error on those of these recorded episodes that a policy was not trained on",
    )
    parser.add_argument(
        "--until-sure",
        action="store_true",
        help="of two policies: stop as soon as one is better, by a test that allows looking after each pair",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also plot several policies (png or svg)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result to FILE")
    options.add_running(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate; return 0 when done, whatever the success rate, and 2 on an invalid request."""
    try:
        plans = [plan_of(args, checkpoint) for checkpoint in args.checkpoints]
        require_world(args.task, args.simulator)
        if args.json is not None:
            atomic.require_own(args.json, *RESULT_SIGNS)
        if len(plans) > 1 or args.held_out is not None:
            from il_ros.cli.evaluation import several

            wanted = several.EvaluationOptions.of(args)
            several.require_possible(plans, wanted)
            return several.run(plans, wanted)
        find_policy(plans[0].checkpoint)
        for name in ("until_sure", "plot"):
            if getattr(args, name):
                raise ValueError(
                    f"--{name.replace('_', '-')} is for several policies; name two checkpoints or more"
                )
    except (ValueError, OSError) as error:
        say(f"il-ros evaluate: {worded(error)}", file=sys.stderr)
        return 2
    return carry_out(plans[0], for_programs=args.progress == "json", file=args.json)


def require_world(task: str, simulator: str) -> None:
    """Raise ValueError on an unknown task or simulator, or one that is not installed."""
    if task:
        require_task(task, simulator)
    elif simulator not in SIMULATORS:
        raise ValueError(f"--simulator {simulator} is unknown; there are: {', '.join(SIMULATORS)}")
    elif missing := why_missing(simulator):
        raise ValueError(f"--simulator {simulator}: {missing}")


def plan_of(args: argparse.Namespace, checkpoint: Path) -> EvaluationPlan:
    """Return the plan that the options describe for one checkpoint; raises ValueError, which names the option."""
    with options.naming({"checkpoint": "CHECKPOINT", "hold_s": "--hold"}):
        return EvaluationPlan(
            checkpoint=checkpoint,
            episodes=args.episodes,
            task=args.task,
            simulator=args.simulator,
            seed=args.seed,
            hold_s=args.hold,
            threads=args.threads,
            background=args.background,
            success_return=args.success_return,
            execute=args.execute,
        )


def carry_out(plan: EvaluationPlan, *, for_programs: bool, file: Path | None = None) -> int:
    """Evaluate by a plan; return the exit status of `il-ros evaluate`.

    `for_programs`: print one JSON object per line. `file`: receives the result as JSON.
    """
    from il_ros.policies.loading import load_policy
    from il_ros.sim.lockstep import NoObservationError

    if plan.background:
        lower_priority()
    try:
        import torch

        torch.set_num_threads(plan.threads)
        policy = load_policy(plan.checkpoint, task=plan.task)
        task = make_task(
            plan.task or trained_on(policy), policy.contract, plan.simulator, plan.success_return
        )
        with closing(task):
            result = _evaluate(plan, policy, task, for_programs)
        if for_programs:
            say_json(event="done", **result.to_plain())
        else:
            say(summary(result))
        if file is not None:  # after the result was shown, which a full disk must not cost
            atomic.write_text(file, json.dumps(result.to_plain(), indent=1) + "\n")
    except (ValueError, OSError, NoObservationError) as error:
        say(f"il-ros evaluate: {worded(error)}", file=sys.stderr)
        return 2
    if not for_programs:
        next_steps.tell(next_steps.after_evaluation(plan.checkpoint, result.task))
    return 0


def summary(result: Evaluation) -> str:
    """Return the result as a table, with the seeds of failed episodes."""
    low, high = result.interval
    endings = Counter(episode.ending for episode in result.episodes)
    rows = [
        ("task", result.task),
        ("policy", result.version),
    ]
    if result.judged:
        rows += [
            ("success", f"{result.successes} of {len(result.episodes)}: {percent(result.rate)}"),
            ("95 % interval", percent_range(low, high)),
        ]
    if is_environment(result.task):
        least, most = result.return_interval
        rows.append(("mean return", f"{result.mean_return:.5g} (95 %: {least:.5g} to {most:.5g})"))
    if result.time_to_success_s is not None:
        rows.append(("time to success", f"{result.time_to_success_s:.1f} s (median)"))
    if result.jerk is not None:
        rows.append(("jerk", f"{result.jerk:.3g} units/s^3"))
    rows.append(("endings", ", ".join(f"{count} {ending}" for ending, count in endings.most_common())))
    missed = [str(episode.seed) for episode in result.episodes if not episode.success]
    if missed and result.judged:
        rows.append(("seeds failed", ", ".join(missed[:8]) + (", ..." if len(missed) > 8 else "")))
    errors = {episode.error for episode in result.episodes if episode.error}
    return "\n".join([table(("result", ""), rows), *(f"policy error: {error}" for error in sorted(errors))])


def trained_on(policy: AnyPolicy) -> str:
    """Return the simulated task of a policy's data; raises ValueError unless there is exactly one."""
    from il_ros.sim.tasks.task import task_names

    trained = [str(task) for task in policy.metrics.get("tasks", []) if task]
    known = [task for task in trained if task in task_names() or is_environment(task)]
    if len(known) == 1:
        return known[0]
    simulated = ", ".join(task_names())
    if trained and not known:
        raise ValueError(
            f"'{', '.join(trained)}' has no simulator (there is one for {simulated}); "
            "`il-ros session report episodes` shows the success in the recorded episodes"
        )
    named = f"names {len(known)} simulated tasks ({', '.join(known)})" if known else "does not name its task"
    raise ValueError(f"the checkpoint {named}; choose with --task: {simulated}")


def make_task(
    name: str, contract: Contract, simulator: str = "mujoco", success_return: float | None = None
) -> Task:
    """Return the task in a simulator, with the cameras that the contract observes, or the environment `name`."""
    from il_ros.envs.tasks import make_any_task

    try:
        return make_any_task(name, contract, simulator, success_return=success_return)[0]
    except RuntimeError as error:  # Gazebo is missing or does not start
        raise ValueError(f"--simulator {simulator}: {error}") from error


def _evaluate(plan: EvaluationPlan, policy: AnyPolicy, task: Task, quiet: bool) -> Evaluation:
    from il_ros.training.evaluate import Episode, evaluate

    bar = None if quiet else progress("evaluating", "episode", plan.episodes)
    successes = 0

    def on_episode(episode: Episode) -> None:
        nonlocal successes
        successes += episode.success
        if bar is None:
            say_json(event="episode", seed=episode.seed, ending=episode.ending)
        else:
            bar.set_postfix_str(f"{successes} succeeded", refresh=False)
            bar.update()

    seeds = range(plan.seed, plan.seed + plan.episodes)
    with nullcontext() if bar is None else closing(bar):
        return evaluate(
            policy,
            policy.contract,
            task,
            seeds,
            version=policy.version,
            hold_s=plan.hold_s,
            execute=plan.execute,
            on_episode=on_episode,
        )
