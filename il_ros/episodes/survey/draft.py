"""A contract drafted from the topics of a running robot, for somebody who sees it for the first time.

What the graph does not tell is a cautious value with a comment that begins with CHECK. Streams that are not drafted are
listed at the end.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence

from il_ros.core import messages
from il_ros.core.codecs.image import size_of
from il_ros.core.contract import Contract, ContractError
from il_ros.core.messages import MessageError
from il_ros.core.specs import (
    ARRAY,
    COMPRESSED_IMAGE,
    IMAGE,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    LASER_SCAN,
    MOST_NUMBERS,
    MOST_PIXELS,
    POSE,
    TRANSFORMS,
    TWISTS,
)
from il_ros.core.tables import counted
from il_ros.episodes.contract_draft import (
    DraftedStream,
    drafted,
    number_list,
    picture,
    quoted,
    word,
    words_of,
)
from il_ros.episodes.recording.grade import ANOTHER_CLOCK_S
from il_ros.episodes.survey.commands import NO_LIMIT, Robot, drafted_actions, key_of, relative, unit_of
from il_ros.episodes.survey.description import joint_limits
from il_ros.episodes.survey.survey import GraphSurvey, SeenTopic

RATE_HZ = 20.0
"""The highest rate that is drafted: more seldom helps to learn."""
LARGEST_PICTURE = 240
"""Pictures are drafted smaller than this, by a whole factor."""
OBSERVED = (JOINT_STATE, POSE, LASER_SCAN, IMAGE, COMPRESSED_IMAGE, ARRAY)
COMMANDED = (ARRAY, JOINT_TRAJECTORY, *TWISTS)
_INTERNAL = (
    "/dagger_supervisor/",
    "/policy_server/",
    "/recorder/",
    "/session/",
    "/trainer/",
    "/expert/",
    "/task/",
)
_COMMAND_WORDS = ("command", "cmd")
_DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")


def draft_contract(
    survey: GraphSurvey, name: str = "robot", joints: Mapping[str, Sequence[str]] | None = None
) -> Contract:
    """Return a contract of what the survey saw; `text` is the commented file.

    `joints`: by topic, the joints that its commands move, where the graph does not tell.
    Raises ContractError when there is no command topic or nothing to observe, DescriptionError on a bad URDF.
    """
    limits = joint_limits(survey.description) if survey.description else {}
    topics = [each for each in survey.topics.values() if not _internal(each.name)]
    commanded = [each for each in topics if _is_command(each)]
    observed = [each for each in topics if each.messages and each.type in OBSERVED and each not in commanded]
    observed, left_out = _without_twins(observed)
    faults = {each.name: fault for each in observed if (fault := _unusable(each))}
    observed = [each for each in observed if each.name not in faults]
    unusable = [f"{name}: {fault}" for name, fault in faults.items()]
    robot = Robot({each.name: joint_names(each) for each in observed if each.type == JOINT_STATE}, limits)
    if not commanded:
        raise ContractError(
            f"the running graph: no node subscribes to a topic of type {', '.join(COMMANDED)}, so there is nothing to "
            f"command; start the robot's controllers (seen: {', '.join(sorted(survey.topics)) or 'no topic'})"
        )
    if not observed:
        raise ContractError(
            f"the running graph: within {survey.seconds:g} s no usable message arrived on a topic of type "
            f"{', '.join(OBSERVED)}{''.join(f'; {each}' for each in unusable)}"
        )
    trigger = min(observed, key=lambda each: (each.type != JOINT_STATE, each.type != LASER_SCAN, each.name))
    slowest = min(
        each.rate_hz or RATE_HZ
        for each in observed
        if each is trigger or each.type in (IMAGE, COMPRESSED_IMAGE)
    )
    rate_hz = float(max(1, min(RATE_HZ, math.floor(1.05 * slowest))))
    keys = words_of((each.name for each in observed), key_of)
    names = {each.name: relative(each.name) for each in topics}
    seen = [
        DraftedStream(keys[each.name], _about(each), _observation(each, names, rate_hz, robot))
        for each in observed
    ]
    actions, unclear = drafted_actions(commanded, robot, keys, names, joints or {})
    if not actions:
        raise ContractError(f"the running graph: {'; '.join(unclear)}")
    others = [
        each
        for each in topics
        if each.messages and each not in (*observed, *commanded) and each.name not in faults
    ]
    return drafted(
        (
            f"Drafted by `il-ros contract from-graph`: {counted(len(survey.topics), 'topic')} watched for "
            f"{survey.seconds:g} s.",
            "Read every line marked CHECK before the robot moves: limits are what protects it."
            if limits
            else "No /robot_description: all limits are cautious guesses. CHECK them before the robot moves.",
        ),
        word(name),
        rate_hz,
        seen,
        actions,
        source="the contract drafted from the running graph",
        trigger=names[trigger.name],
        rate_comment="the most that the trigger and every camera give, up to 20",
        trigger_comment=f"measured: {trigger.rate_hz:.1f} Hz",
        tail=[*_tail(others, left_out, [*unusable, *unclear]), *_transforms(survey, names)],
    )


def joint_names(topic: SeenTopic) -> tuple[str, ...]:
    """Return the joints in a topic's messages, in their first order; several publishers may send different ones."""
    found: dict[str, None] = {}
    for raw in topic.samples:
        try:
            found.update(dict.fromkeys(messages.decode(topic.type, raw).name))
        except MessageError:
            continue
    return tuple(found)


def _unusable(topic: SeenTopic) -> str:
    """Return why no observation can be drafted of a topic's messages, "" if one can."""
    newest = topic.newest
    if newest is None:
        return f"none of its messages can be read as {topic.type}"
    if topic.type == JOINT_STATE:
        return "" if joint_names(topic) else "its messages name no joint"
    if topic.type in (LASER_SCAN, ARRAY):
        values = newest.ranges if topic.type == LASER_SCAN else newest.data
        return (
            ""
            if 0 < len(values) <= MOST_NUMBERS
            else f"its newest message has {counted(len(values), 'number')}"
        )
    if topic.type not in (IMAGE, COMPRESSED_IMAGE):
        return ""
    size = size_of(newest)
    if size is None:
        return "its newest picture cannot be read"
    return (
        "" if 0 < size[0] * size[1] <= MOST_PIXELS else f"its newest picture has the size {size[0]}x{size[1]}"
    )


def _internal(name: str) -> bool:
    return any(part in name for part in _INTERNAL)


def _is_command(topic: SeenTopic) -> bool:
    named = any(each in topic.name.lower() for each in _COMMAND_WORDS)
    listened = any(not _internal(f"{each.node}/") for each in topic.subscribers)
    return topic.type in COMMANDED and listened and (named or not topic.publishers)


def _without_twins(topics: Sequence[SeenTopic]) -> tuple[list[SeenTopic], list[SeenTopic]]:
    """Return the topics without the raw pictures that are also compressed, and those; depth stays raw."""
    names = {each.name for each in topics}
    twins = [each for each in topics if each.type == IMAGE and f"{each.name}/compressed" in names]
    packed_depth = [each for each in topics if each.name.lower().endswith("compresseddepth")]
    left_out = [*twins, *packed_depth]
    return [each for each in topics if each not in left_out], left_out


def _about(topic: SeenTopic) -> str:
    age = (
        ""
        if topic.info is None or topic.info.age_p99_s is None
        else f", age {1000 * topic.info.age_p99_s:.0f} ms (99 %)"
    )
    by = ", ".join(dict.fromkeys(each.node for each in topic.publishers))
    return f"measured: {topic.rate_hz:.1f} Hz{age}, from {by or 'an unknown node'}"


def _observation(topic: SeenTopic, names: dict[str, str], rate_hz: float, robot: Robot) -> tuple[str, ...]:
    lines = [f"topic: {quoted(names[topic.name])}", f"type: {topic.type}"]
    newest = topic.newest
    assert newest is not None  # `_unusable`
    if topic.type == JOINT_STATE:
        units = [unit_of(each, robot) for each in robot.measured[topic.name]]
        sliding = [each for each, unit in zip(robot.measured[topic.name], units, strict=True) if unit == "m"]
        lines += ["fields: [position]", *number_list("names", robot.measured[topic.name])]
        guessed = (
            "" if all(each in robot.limits for each in robot.measured[topic.name]) else "  # CHECK: a guess"
        )
        others = f" ({', '.join(f'{each} m' for each in sliding)})" if sliding and "rad" in units else ""
        lines.append(f"unit: {'rad' if 'rad' in units else 'm'}{others}{guessed}")
        ends = [
            each
            for each in robot.measured[topic.name]
            if robot.limits.get(each, NO_LIMIT).kind == "continuous"
        ]
        lines += number_list("continuous", ends) if ends else []
    elif topic.type == POSE:
        lines += ["fields: [position]            # add orientation if the task needs it", "unit: m"]
    elif topic.type == LASER_SCAN:
        lines += [f"size: {len(newest.ranges)}", "unit: m"]
    elif topic.type == ARRAY:
        lines += [f"size: {len(newest.data)}                  # CHECK: or names: [...], one for each number"]
    else:
        lines.append(_camera(topic, newest))
    if topic.type != ARRAY and (why := _no_clock(topic)):
        lines.append(f"stamp: arrival                # {why}")
    lines.append(f"max_age_s: {_age_s(topic, rate_hz):g}")
    return tuple(line for line in lines if line)


def _camera(topic: SeenTopic, message: object) -> str:
    """Return the size for the policy: the camera's, divided by a whole number until it is small."""
    size = size_of(message)  # type: ignore[arg-type]
    assert size is not None  # `_unusable`
    width, height = size
    factor = next(
        (
            n
            for n in range(1, 65)
            if width % n == height % n == 0 and max(width, height) // n <= LARGEST_PICTURE
        ),
        1,
    )
    encoding = str(getattr(message, "encoding", ""))
    depth = encoding in _DEPTH_ENCODINGS
    channels = 1 if encoding.startswith("mono") else 3
    line = picture(
        width // factor, height // factor, channels, depth=depth, fit="resize" if factor > 1 else ""
    )
    return f"{line}  # the camera's: {width}x{height}{f' {encoding}' if encoding else ''}"


def _age_s(topic: SeenTopic, rate_hz: float) -> float:
    """Return an age that three missed messages do not exceed."""
    if not topic.rate_hz or topic.info is None:
        return 0.5
    late_s = 0.0 if _no_clock(topic) else max(0.0, 2 * (topic.info.age_p50_s or 0.0))
    return float(f"{max(0.1, 3 / topic.rate_hz, 2 / rate_hz) + late_s:.2g}")


def _no_clock(topic: SeenTopic) -> str:
    """Return why a topic's stamps are of no use, "" if they are."""
    age_s = None if topic.info is None else topic.info.age_p50_s
    if age_s is None:
        return "its messages have no stamp"
    return f"CHECK: its stamps are {age_s:.3g} s old; set its clock" if abs(age_s) > ANOTHER_CLOCK_S else ""


def _tail(others: Sequence[SeenTopic], left_out: Sequence[SeenTopic], unclear: Sequence[str]) -> list[str]:
    lines = [f"Not drafted: {sentence}" for sentence in unclear]
    lines += [
        f"Not drafted: {each.name} ({each.type}), the same pictures as another topic" for each in left_out
    ]
    lines += [
        f"Not drafted: {each.name} ({each.type}, {each.rate_hz:.1f} Hz); docs/any_message.md says how its "
        f"numbers are read"
        for each in others
        if each.type not in (TRANSFORMS, "std_msgs/msg/String", "rcl_interfaces/msg/Log")
        and each.name != "/clock"
    ]
    return lines


def _transforms(survey: GraphSurvey, names: dict[str, str]) -> list[str]:
    """Return a commented observation of the pose from the root of the moving transforms to one of their ends."""
    moving = survey.topics.get("/tf")
    if moving is None or not moving.samples:
        return []
    parents: dict[str, str] = {}
    for topic in (survey.topics.get("/tf_static"), moving):
        for raw in () if topic is None else topic.samples:
            with contextlib.suppress(MessageError):
                for each in messages.decode(TRANSFORMS, raw).transforms:
                    parents[each.child_frame_id] = each.header.frame_id
    ends = [child for child in parents if child not in parents.values()]
    roots = [parent for parent in parents.values() if parent not in parents]
    if not (ends and roots):
        return []
    root, tip = roots[0], max(ends, key=lambda frame: _depth_of(frame, parents))
    return [
        "",
        f"Transforms are published too ({counted(len(parents), 'frame')}). This observation is a pose among "
        f"them; put it",
        "under observations, without the #, if the policy needs it:",
        "  tool:",
        "    topic: tf",
        f"    type: {TRANSFORMS}",
        f"    frames: [{quoted(root)}, {quoted(tip)}]",
        "    fields: [position]",
        "    unit: m",
        "    max_age_s: 0.2",
    ]


def _depth_of(frame: str, parents: dict[str, str]) -> int:
    depth = 0
    while frame in parents and depth <= len(parents):
        frame, depth = parents[frame], depth + 1
    return depth
