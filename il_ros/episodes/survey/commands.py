"""The actions of a drafted contract: which joints each command topic moves, and their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from il_ros.core.contract import ContractError
from il_ros.core.specs import ARRAY, JOINT_TRAJECTORY, TWISTS
from il_ros.episodes.contract_draft import DraftedStream, number_list, quoted, word, words_of
from il_ros.episodes.survey.description import JointLimits
from il_ros.episodes.survey.survey import SeenTopic

SPEED, SPEED_UNKNOWN = 1.0, 0.5
"""Highest speed that is drafted, and that of a joint without a description, in rad/s; a tenth of it in m/s."""
NO_LIMIT = JointLimits("")


@dataclass(frozen=True)
class Robot:
    """What is known of the joints: the topic that measures each, and its limits."""

    measured: dict[str, tuple[str, ...]]
    limits: dict[str, JointLimits]

    @property
    def joints(self) -> list[str]:
        """All measured joints."""
        return [name for names in self.measured.values() for name in names]


def relative(name: str) -> str:
    """Return a topic as a contract names it: relative, so that a namespace can be put before it."""
    return name.removeprefix("/")


def key_of(name: str) -> str:
    """Return a short key of a topic: '/arm_position_controller/commands' as 'arm', '/object_pose' as 'object'."""
    parts = [part for part in name.split("/") if part and part not in _PLAIN]
    last = "_".join(parts[-2:]) or name
    if last in _KEYS:
        return _KEYS[last]
    for end in _ENDINGS:
        last = last.removesuffix(end) or last
    return word(last)


_KEYS = {"joint_states": "joints", "cmd_vel": "base"}
_ENDINGS = ("_controller", "_position", "_velocity", "_trajectory", "_pose")
_PLAIN = ("image_raw", "image", "color", "compressed", "image_rect", "image_rect_raw", "commands", "command")


def unit_of(joint: str, robot: Robot) -> str:
    """Return the unit of a joint's position, by the description or else by its name."""
    return robot.limits[joint].unit if joint in robot.limits else _unit_by_name(joint)


def drafted_actions(
    commanded: Sequence[SeenTopic],
    robot: Robot,
    keys: dict[str, str],
    names: dict[str, str],
    given: Mapping[str, Sequence[str]],
) -> tuple[list[DraftedStream], list[str]]:
    """Return the actions, and a sentence about each command topic that is none."""
    found: list[DraftedStream] = []
    unclear: list[str] = []
    claimed: set[str] = set()
    action_keys = words_of((each.name for each in commanded), key_of)
    of_topic = _joints_of(commanded, robot, given)
    for topic in sorted(commanded, key=lambda each: (each.type not in (ARRAY, *TWISTS), each.name)):
        by = ", ".join(dict.fromkeys(each.node for each in topic.subscribers))
        if topic.type in TWISTS:
            found.append(DraftedStream(action_keys[topic.name], f"received by {by}", _twist(topic, names)))
            continue
        joints, why = of_topic.get(topic.name, ((), ""))
        if not joints:
            unclear.append(
                f"{topic.name} ({topic.type}, received by {by}): its joints are not known; give them with "
                f"--joints {topic.name}=NAME,NAME"
            )
        elif claimed & set(joints):
            unclear.append(
                f"{topic.name} ({topic.type}, received by {by}): commands joints that another topic commands"
            )
        elif "effort" in topic.name:
            unclear.append(
                f"{topic.name} ({topic.type}): commands efforts; see quantity: bounded in docs/contract.yaml"
            )
        else:
            claimed |= set(joints)
            lines = _joint_action(topic, joints, why, robot, keys, names)
            found.append(DraftedStream(action_keys[topic.name], f"received by {by}", lines))
    return found, unclear


def _joints_of(
    commanded: Sequence[SeenTopic], robot: Robot, given: Mapping[str, Sequence[str]]
) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the joints that each topic commands, and a comment on how they are known.

    In turn: as asked for, as the controller's parameter says, as a message says, by a joint's name in the topic's, and
    the joints that are left for one topic that is left.
    """
    found: dict[str, tuple[tuple[str, ...], str]] = {}
    arrays = [each for each in commanded if each.type not in TWISTS]
    unknown = []
    for topic in arrays:
        named = tuple(given.get(topic.name, given.get(relative(topic.name), ())))
        if named:
            found[topic.name] = (named, "")
        elif topic.joints:
            found[topic.name] = (topic.joints, "as the controller declares them")
        elif topic.type == JOINT_TRAJECTORY and (sent := topic.newest) and len(sent.joint_names):
            found[topic.name] = (tuple(sent.joint_names), "as in a message")
        else:
            unknown.append(topic)
    measured = robot.joints
    for topic in unknown:
        alike = tuple(joint for joint in measured if any(_alike(part, joint) for part in _words(topic.name)))
        if alike and len(alike) < len(measured):
            found[topic.name] = (alike, "CHECK: guessed from the topic's name")
    rest = [topic for topic in unknown if topic.name not in found]
    free = tuple(joint for joint in measured if not any(joint in joints for joints, _ in found.values()))
    if len(rest) == 1 and free:
        found[rest[0].name] = (
            free,
            "CHECK: guessed, the joints that no other topic commands, in measured order",
        )
    return found


def _words(name: str) -> list[str]:
    return [
        part for part in name.lower().replace("/", "_").split("_") if len(part) > 2 and part not in _NO_JOINT
    ]


_NO_JOINT = (
    "position",
    "velocity",
    "effort",
    "trajectory",
    "joint",
    "controller",
    "commands",
    "command",
    "arm",
    "robot",
)


def _alike(part: str, joint: str) -> bool:
    return part in joint.lower().split("_") or joint.lower() == part


def _joint_action(
    topic: SeenTopic,
    joints: tuple[str, ...],
    why: str,
    robot: Robot,
    keys: dict[str, str],
    names: dict[str, str],
) -> tuple[str, ...]:
    velocity = "velocity" in topic.name
    reference = next((name for name, seen in robot.measured.items() if set(joints) <= set(seen)), None)
    limits = [robot.limits.get(joint, NO_LIMIT) for joint in joints]
    units = {unit_of(joint, robot) for joint in joints}
    unit = units.pop() if len(units) == 1 else "rad"
    lines = [f"topic: {quoted(names[topic.name])}", f"type: {topic.type}", *number_list("names", joints)]
    lines[-1] += f"  # {why}" if why else ""
    speeds = [_speed(limit, unit) for limit in limits]
    known = (
        "from /robot_description, at most 1 rad/s or 0.1 m/s"
        if all(limit.kind for limit in limits)
        else "CHECK: a guess"
    )
    if velocity:
        per_second = f"{unit}/s"
        return (
            *lines,
            f"unit: {per_second}",
            "quantity: velocity",
            "limits:",
            *(f"  {line}" for line in number_list("lower", [-each for each in speeds])),
            *(f"  {line}" for line in number_list("upper", speeds)),
            *(f"  {line}" for line in number_list("speed", speeds)),
            "safe: zero",
        )
    lines += [f"unit: {unit}"]
    if reference is None:
        raise ContractError(
            f"the running graph: {topic.name} commands {', '.join(joints)}, but no topic of joint states "
            f"measures them all"
        )
    lines += [f"reference: {keys[reference]}", "limits:"]
    if all(math.isfinite(limit.lower) for limit in limits):
        lines += [f"  {line}" for line in number_list("lower", [limit.lower for limit in limits])]
        lines += [f"  {line}" for line in number_list("upper", [limit.upper for limit in limits])]
    elif any(math.isfinite(limit.lower) for limit in limits):
        lines += [f"  lower: {_with_infinite([limit.lower for limit in limits])}"]
        lines += [f"  upper: {_with_infinite([limit.upper for limit in limits])}"]
    else:
        lines += [
            "  # CHECK: lower: [...] and upper: [...] are not known: nothing keeps the joints from their ends"
        ]
    listed = number_list("speed", speeds)
    listed[-1] += f"  # {known}"
    return (*lines, *(f"  {line}" for line in listed), "safe: hold")


def _with_infinite(values: Sequence[float]) -> str:
    words = [
        f"{value:.6g}" if math.isfinite(value) else (".inf" if value > 0 else "-.inf") for value in values
    ]
    return f"[{', '.join(words)}]"


def _unit_by_name(joint: str) -> str:
    return "m" if any(part in joint.lower() for part in ("gripper", "finger", "lift", "slide")) else "rad"


def _speed(limit: JointLimits, unit: str) -> float:
    sliding = (limit.unit if limit.kind else unit) == "m"
    most = (SPEED if limit.kind else SPEED_UNKNOWN) * (0.1 if sliding else 1.0)
    return float(np.round(min(most, limit.speed), 6))


def _twist(topic: SeenTopic, names: dict[str, str]) -> tuple[str, ...]:
    stamped = topic.type.endswith("Stamped")
    return (
        f"topic: {quoted(names[topic.name])}",
        f"type: {topic.type}",
        "names: [linear.x, angular.z]     # CHECK: add linear.y for a base that moves sideways",
        "unit: m/s, rad/s",
        *(("frame_id: base_link",) if stamped else ()),
        "limits:                          # CHECK: guesses for a small base",
        "  lower: [-0.2, -1.0]",
        "  upper: [0.5, 1.0]",
        "  speed: [0.5, 1.0]",
        "safe: zero",
        "expires_s: 0.25",
    )
