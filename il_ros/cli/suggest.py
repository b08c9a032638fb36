"""`il-ros suggest`: which starts, moments and episodes a person should show next."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.cli import options
from il_ros.core.progress import with_progress
from il_ros.core.tables import say, table, worded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from il_ros.episodes.arrays.episode import EpisodeArrays
    from il_ros.interactive.querying.suggest import Suggestion
    from il_ros.policies.runner import LoadedPolicy
    from il_ros.records.labelling import Rule

FIRST_SEED = 700_000
"""Of the candidates: demonstrations use seeds from 0, corrections from 500,000, evaluations from 1,000,000."""
_EXAMPLES = """\
examples:
  il-ros suggest episodes --policy checkpoint                       of the simulated task that was recorded
  il-ros suggest episodes --policy checkpoint -o starts.json
  il-ros env record push --starts starts.json                       the script demonstrates from these starts
  il-ros record --task push --seed 700017                           you do, from one of them
  il-ros suggest episodes --policy checkpoint --candidates 0        of a robot: moments and episodes only
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "suggest",
        help="say which starts, moments and episodes to show next",
        description="Rank what a person should show next: where the policy is uncertain, and far from what was shown "
        "(uncertainty times distance, and no two suggestions alike). In a task's simulator the policy drives from "
        "candidate starts; of recorded episodes, moments and starts are suggested. Changes nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_data(parser)
    parser.add_argument(
        "--policy", type=Path, required=True, metavar="CHECKPOINT", help="the policy trained on them"
    )
    parser.add_argument("--count", type=int, default=5, metavar="N", help="suggestions of each kind (5)")
    parser.add_argument(
        "--task",
        default="",
        help="simulated task or Gymnasium environment (default: the one recorded, if it has a simulator)",
    )
    parser.add_argument(
        "--candidates", type=int, default=50, metavar="N", help="starts to try in simulation (50); 0: none"
    )
    parser.add_argument(
        "--seed", type=int, default=FIRST_SEED, help=f"of the first candidate (default: {FIRST_SEED})"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="also write the suggestions as JSON"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the suggestions; return 2 with the reason on an invalid request."""
    os.environ.setdefault("MUJOCO_GL", "egl")
    from il_ros.core import atomic
    from il_ros.envs.tasks import require_task
    from il_ros.episodes.catalogue import require_episodes
    from il_ros.policies.lineage import find_policy
    from il_ros.sim.lockstep import NoObservationError

    try:
        if args.count < 1:
            raise ValueError(f"--count is {args.count}; it must be 1 or more")
        for name in ("candidates", "seed"):
            if getattr(args, name) < 0:
                raise ValueError(f"--{name} is {getattr(args, name)}; it must be 0 or more")
        if args.output is not None:
            atomic.require_own(args.output, '"task": ', '"moments": ', '"episodes": ')
        require_episodes(args.data)
        find_policy(args.policy)
        if args.task:
            require_task(args.task)
        from il_ros.policies.loading import load_driving  # imports torch

        policy = load_driving(args.policy, task=args.task)
        task = _task_of(args, policy)
        found = _suggestions(args, policy, task)
        for kind, some in found.items():
            rows = [(each.name, f"{each.score:.2f}", each.reason) for each in some]
            say(table((kind, "score", "why"), rows) if rows else f"{kind}: none")
        if args.output is not None:
            plain = {kind: [vars(each) for each in some] for kind, some in found.items()}
            atomic.write_text(args.output, json.dumps({"task": task, **plain}, indent=1) + "\n")
    except (ValueError, OSError, RuntimeError, NoObservationError) as error:
        say(f"il-ros suggest: {worded(error)}", file=sys.stderr)
        return 2
    if args.output is not None and found.get("starts"):
        say(f"next: il-ros env record {task} --starts {args.output}")
    return 0


def _task_of(args: argparse.Namespace, policy: LoadedPolicy) -> str:
    """Return the task whose simulator is used, "" for none; raises ValueError where that is not clear."""
    from il_ros.cli.evaluation.command import trained_on

    if not args.candidates or args.task:
        return str(args.task)
    try:
        return trained_on(policy)
    except ValueError as error:
        raise ValueError(f"{error}; --candidates 0 suggests recorded moments only") from error


def _suggestions(
    args: argparse.Namespace, policy: LoadedPolicy, task_name: str
) -> dict[str, Sequence[Suggestion]]:
    from il_ros.envs.tasks import make_any_task
    from il_ros.episodes.arrays.dataset import DatasetError
    from il_ros.interactive.querying.suggest import Querying
    from il_ros.records.labelling import BY_MODE, DRIVEN, POLICY

    querying = Querying(policy, _read(args.data, policy, BY_MODE))
    found: dict[str, Sequence[Suggestion]] = {}
    if args.candidates and task_name:
        task, _ = make_any_task(task_name, policy.contract)
        seeds = range(args.seed, args.seed + args.candidates)
        tried = with_progress(seeds, "trying", "start")
        with closing(task), closing(tried):
            found["starts"] = querying.suggested_starts(task, tried, args.count)
    try:
        driven = _read(args.data, policy, DRIVEN)
    except DatasetError:  # nothing drove: demonstrations without actions
        driven = ()
    new = [each for each in driven if POLICY in each.authority]
    found["moments"] = querying.suggested_moments(
        new, args.count, lambda episodes: with_progress(episodes, "looking for moments", "episode")
    )
    found["episodes"] = querying.suggested_episodes(
        new, args.count, lambda episodes: with_progress(episodes, "looking at starts", "episode")
    )
    return found


def _read(root: Path, policy: LoadedPolicy, rule: Rule) -> tuple[EpisodeArrays, ...]:
    from il_ros.episodes.arrays.dataset import Dataset

    dataset = Dataset.open(
        root,
        policy.contract,
        validation=0.0,
        rule=rule,
        history=policy.history,
        optional=policy.may_lack,
        progress=lambda entries: with_progress(entries, "reading", "episode"),
    )
    return dataset.train


def starts_of(file: Path, task: str) -> list[int]:
    """Return the seeds of the starts that `il-ros suggest -o` wrote; raises ValueError naming file and field."""
    from il_ros.core import files
    from il_ros.records import strict_json as check
    from il_ros.records.strict_json import JsonError

    read = check.record(
        "suggestions",
        {
            "task": check.text,
            "starts": check.several(check.record("a start", {"seed": check.whole()}, others=True), 1),
        },
        others=True,
    )
    try:
        values = read(check.loads(files.read_text(file, 1_000_000)), "")
    except (JsonError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: {error}") from error
    if values["task"] != task:
        raise ValueError(f"{file}: its starts are of task '{values['task']}', not of '{task}'")
    return [int(each["seed"]) for each in values["starts"]]
