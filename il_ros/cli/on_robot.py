"""`il-ros home` and `il-ros replay`: lead a robot to a position, or play recorded commands on it again."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.cli import options
from il_ros.cli import run as runner
from il_ros.cli.episodes import command as episodes
from il_ros.cli.episodes.choice import contract_for, entry_of
from il_ros.control.playback import PlaybackError, TargetSeries
from il_ros.core import contract as contracts
from il_ros.core.contract import Contract
from il_ros.core.tables import say, worded
from il_ros.episodes.bag.reader import BagError, open_bag
from il_ros.episodes.decisions import read_decisions
from il_ros.scenarios import arguments as arg
from il_ros.scenarios import domain
from il_ros.scenarios.given import contract as contract_of
from il_ros.scenarios.graph import Arguments, Scenario, as_flags
from il_ros.scenarios.playback import playback_nodes
from il_ros.sim.tasks.task import task_names

_TASK = replace(
    arg.TASK,
    description="task, simulated ones: `il-ros plugins`; an episode's own task comes before the default; "
    "with sim:=false any name is accepted",
)
_WORLD = Scenario(
    "world",
    "",
    (_TASK, arg.CONTRACT, arg.SIM, arg.SIM_TIME, arg.NAMESPACE, arg.PARAMS_FILE, arg.ACTION_CLIENTS),
    lambda _: (),
)
_DEFAULTS = {"simulator": "mujoco", "speed": "1", "seed": "0", "cameras": "false", "episodes": "0"}


def add_home(subparsers: Any) -> None:
    """Add `home`."""
    parser = subparsers.add_parser(
        "home",
        help="lead the robot to its home position, through the limiter",
        description="Lead the robot in a straight line to the contract's home position (key home of its actions), to "
        "--position, or to the start of an episode, through supervisor and limiter. It moves after you press g.",
    )
    parser.add_argument(
        "--position", action="append", default=[], metavar="ACTION=VALUE",
        help="such as arm/joint1=0.3; may be repeated; the other actions keep their home",
    )  # fmt: skip
    parser.add_argument("--episode", metavar="EPISODE", help="go where this episode began")
    _add_common(parser, "0.25")
    parser.set_defaults(run=lambda args: _run("home", args))


def add_replay(subparsers: Any) -> None:
    """Add `replay`."""
    parser = subparsers.add_parser(
        "replay",
        help="play an episode's commands again on the robot (--on-robot)",
        description="With --on-robot: lead the robot to the episode's start and play its commands again, through "
        "supervisor and limiter, after you press g. Without it: as `il-ros episodes replay`.",
    )
    options.add_episode(parser)
    parser.add_argument("--on-robot", action="store_true", help="drive the robot (or the simulator)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="without --on-robot: also write the frames")
    _add_common(parser, "0.5")
    parser.set_defaults(run=lambda args: _run("replay", args))


def _add_common(parser: argparse.ArgumentParser, speed: str) -> None:
    parser.add_argument(
        "--speed",
        type=float,
        default=float(speed),
        help=f"share of the full speed, at most 1 (default: {speed})",
    )
    options.add_root(parser)
    parser.add_argument("--attach", action="store_true", help="use the supervisor that runs already")
    parser.add_argument("--yes", action="store_true", help="move at once, without key g (for scripts)")
    runner.add_arguments(parser, _WORLD)


def _run(verb: str, args: argparse.Namespace) -> int:
    """Play; return 0 when the end was reached or a person ended it, 1 when not, 2 on an invalid request."""
    if verb == "replay" and not args.on_robot:
        words = argparse.Namespace(**{**vars(args), "verb": "replay", "contract": args.contract or ""})
        from il_ros.cli.episodes.play import replay

        words.act = replay
        return episodes.run(words)
    defaults = {argument.name: argument.default for argument in _WORLD.arguments} | _DEFAULTS
    try:
        entry = entry_of(args.episode, args.root) if args.episode else None
        if entry is not None and entry.info is not None and entry.info.task in task_names():
            defaults["task"] = entry.info.task
        explicit = runner.given_of(args, _WORLD)
        given = Arguments(defaults | explicit, frozenset(explicit))
        if (
            entry is not None
            and not given["contract"]
            and (given["sim"] == "false" or given["task"] not in task_names())
        ):
            raise ValueError("contract:= is needed: the robot's own")
        terms = contracts.find(contract_of(given))
        series = _home(terms, args.position) if entry is None else recorded(entry, terms)
        if verb == "home" and entry is not None:
            series = TargetSeries(series.names, series.times_s[:1], series.targets[:1])
        with tempfile.TemporaryDirectory(prefix="il_ros_") as folder:
            path = Path(folder) / "targets.json"
            series.save(path)
            specs = playback_nodes(given, path, args.speed, go=args.yes, attach=args.attach)
            if given["sim"] == "true" and not args.attach:
                domain.isolate()  # a simulated robot's commands must not reach a real one
                os.environ.setdefault("MUJOCO_GL", "egl")
            return runner.run_nodes(specs, args.logs)
    except (ValueError, OSError, BagError) as error:
        say(f"il-ros {verb}: {as_flags(worded(error), _WORLD.arguments)}", file=sys.stderr)
        return 2


def recorded(entry: Any, terms: Contract) -> TargetSeries:
    """Return the commands that were sent in an episode; raises PlaybackError without decisions or for another robot."""
    info = entry.info
    if info is None or not info.decision_topic:
        raise PlaybackError(
            f"{entry.folder}: holds no decisions of a supervisor, so its commands can't be played"
        )
    own = contract_for(entry, "")
    messages = open_bag(entry.folder).messages({info.decision_topic})
    span = (info.started_ns, info.stopped_ns or 1 << 62)
    read, _ = read_decisions(message for message in messages if span[0] <= message.log_ns <= span[1])
    sent = [
        (each.decision.stamp_ns, each.decision.sent)
        for each in read
        if each.decision.sent is not None and np.isfinite(each.decision.sent).all()
    ]  # not before every action group has a command
    kept = [sent[0]] if sent else []
    for stamp_ns, command in sent[1:]:
        if stamp_ns > kept[-1][0]:
            kept.append((stamp_ns, command))
    if not kept:
        raise PlaybackError(f"{entry.folder}: no command to all actions was sent in it")
    times_s = np.array([(stamp_ns - kept[0][0]) / 1e9 for stamp_ns, _ in kept])
    series = TargetSeries(
        own.action_names, times_s, np.array([command for _, command in kept], dtype=np.float64)
    )
    if own.action_names != terms.action_names:
        raise PlaybackError(
            f"{entry.folder}: commands {', '.join(own.action_names)}; contract '{terms.name}' has "
            f"{', '.join(terms.action_names)}"
        )
    return series


def _home(terms: Contract, given: Sequence[str]) -> TargetSeries:
    """Return the home position; raises PlaybackError naming an action without one."""
    home = {
        f"{spec.key}/{name}": 0.0 if not spec.is_position else (spec.home[place] if spec.home else None)
        for spec in terms.actions
        for place, name in enumerate(spec.names)
    }
    for word in given:
        name, equals, text = word.partition("=")
        if name not in home or not equals:
            raise PlaybackError(f"--position {word}: must be ACTION=VALUE; actions: {', '.join(home)}")
        try:
            home[name] = float(text)
        except ValueError:
            raise PlaybackError(f"--position {word}: '{text}' is not a number") from None
    missing = [name for name, value in home.items() if value is None]
    if missing:
        raise PlaybackError(
            f"contract '{terms.name}' has no home position of {', '.join(missing)}: add `home: [...]` to the action, "
            "or give --position ACTION=VALUE or --episode EPISODE"
        )
    return TargetSeries(tuple(home), np.zeros(1), np.array([list(home.values())], dtype=np.float64))
