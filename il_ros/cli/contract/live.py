"""`il-ros contract from-graph | check`: a contract and the running robot. The only verbs that need ROS."""

from __future__ import annotations

import argparse
from typing import Any

from il_ros.core import contract as contracts
from il_ros.core.contract import ContractError
from il_ros.core.tables import counted, say, table
from il_ros.episodes.recording.options import AHEAD_S, AHEAD_SIMULATED_S
from il_ros.episodes.survey.check import CheckState, Row, check_contract

SECONDS = 4.0
MOST_SECONDS = 600.0


def add_from_graph(sources: Any, add_out: Any) -> None:
    """Add `from-graph`."""
    parser = sources.add_parser(
        "from-graph",
        help="from the topics of the running robot",
        description="Look at the running robot's topics and draft a contract: joints from its joint states, limits "
        "from "
        "/robot_description, measured rates, cameras, command topics. What the graph does not tell is a cautious guess "
        "with the comment CHECK. Nothing is published.",
    )
    _add_look(parser)
    parser.add_argument("--name", default="robot", help="the contract's name (default: robot)")
    parser.add_argument(
        "--joints",
        action="append",
        default=[],
        metavar="TOPIC=NAME,NAME",
        help="joints that commands on a topic move, in their order, where the graph does not tell; may be repeated",
    )
    add_out(parser)
    parser.set_defaults(draft=_from_graph)


def add_check(verbs: Any) -> None:
    """Add `check`."""
    parser = verbs.add_parser(
        "check",
        help="compare a contract with the running robot, line by line",
        description="Compare a contract with the running robot: is every topic live, of the right type, fast and young "
        "enough, are joints and sizes as declared, is one picture of each camera decoded, who receives and who "
        "publishes commands. Exit status 1 if a line fails. Nothing is published.",
    )
    parser.add_argument("contract", metavar="CONTRACT", help="file, or name of a shipped contract")
    _add_look(parser)
    parser.set_defaults(act=_check)


def _add_look(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=SECONDS,
        help=f"time in which topics are watched (default: {SECONDS:g})",
    )
    parser.add_argument("--namespace", default="", help="namespace of the contract's relative topics")
    parser.add_argument(
        "--use-sim-time", action="store_true", help="time is simulated: the robot publishes /clock"
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds") from None
    if not 0.5 <= value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{value:g} is not from 0.5 to {MOST_SECONDS:g} seconds")
    return value


def _from_graph(args: argparse.Namespace) -> str:
    from il_ros.core.specs import TRANSFORMS
    from il_ros.episodes.survey.draft import COMMANDED, OBSERVED, draft_contract

    look = _ros()
    joints = dict(map(_joints, args.joints))
    numeric = ("sensor_msgs/", "geometry_msgs/", "nav_msgs/", "std_msgs/msg/Float", "control_msgs/")
    survey = look(
        args.seconds,
        lambda name, kind: kind in (*OBSERVED, TRANSFORMS) or kind.startswith(numeric),
        namespace=args.namespace,
        controllers=lambda name, kind: kind in COMMANDED,
    )
    return draft_contract(survey, args.name, joints).text


def _joints(text: str) -> tuple[str, tuple[str, ...]]:
    topic, equals, names = text.partition("=")
    found = tuple(filter(None, names.split(",")))
    if not (topic and equals and found):
        raise ContractError(
            f"--joints {text}: it must be TOPIC=NAME,NAME, such as /arm/commands=joint1,joint2"
        )
    return topic, found


def _check(args: argparse.Namespace) -> int:
    contract = contracts.find(args.contract)
    look = _ros()
    from il_ros.nodes.survey.look import resolver

    survey = look(
        args.seconds,
        lambda name, kind: False,
        contract=contract,
        namespace=args.namespace,
    )
    ahead_s = AHEAD_SIMULATED_S if survey.simulated else AHEAD_S
    rows = check_contract(contract, survey, ahead_s, resolver(args.namespace))
    say(text_of(rows))
    failed = sum(row.state is CheckState.FAIL for row in rows)
    warned = sum(row.state is CheckState.WARN for row in rows)
    say(
        f"\n{args.contract}: {counted(len(rows), 'line')}, {counted(failed, 'failure')}, {counted(warned, 'warning')}, "
        f"watched for {args.seconds:g} s{', time of /clock' if survey.simulated else ''}"
    )
    return 1 if failed else 0


def text_of(rows: list[Row]) -> str:
    """Return the lines as a table."""
    return table(
        ("", "stream", "found", "what to do"), [(r.state.value, r.key, r.checked, r.remedy) for r in rows]
    )


def _ros() -> Any:
    """Return `look`; raises ContractError with a remedy where ROS is missing."""
    try:
        from il_ros.nodes.survey.look import look
    except ImportError as error:
        raise ContractError(f"this needs ROS 2: source its setup, or use 'make setup' ({error})") from error
    return look
