"""A contract against the running graph, stream by stream, with what to do about each difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from il_ros.core.contract import Contract
from il_ros.core.specs import ActionSpec, ObservationSpec
from il_ros.core.synchroniser import another_clock
from il_ros.core.units import limit_warnings
from il_ros.episodes.recording.grade import ANOTHER_CLOCK_S, wrong_clock
from il_ros.episodes.survey.survey import GraphSurvey, SeenTopic

SLOWER, BARELY = 0.7, 0.95
"""Share of the rate that is needed, below which the check fails, or warns."""
SUPERVISOR = "dagger_supervisor"
"""The only node that may publish commands."""


class CheckState(Enum):
    """Result of one line; `value` is shown."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Row:
    """One line: the stream's key in the contract, what was checked, its result, and what to do ("" if nothing)."""

    key: str
    checked: str
    state: CheckState
    remedy: str = ""


def check_contract(
    contract: Contract,
    survey: GraphSurvey,
    ahead_s: float,
    resolve: Callable[[str], str] = lambda topic: f"/{topic}",
) -> list[Row]:
    """Return the lines of all streams.

    `ahead_s`: see RecordOptions. `resolve` gives a contract's topic its full name.
    """
    rows: list[Row] = []
    for spec in contract.observations:
        topic = survey.topics.get(resolve(spec.topic), SeenTopic(resolve(spec.topic), ()))
        rows += _observed(contract, spec, topic, survey, ahead_s)
    for action in contract.actions:
        topic = survey.topics.get(resolve(action.topic), SeenTopic(resolve(action.topic), ()))
        rows += _commanded(action, topic)
    return rows


def _observed(
    contract: Contract, spec: ObservationSpec, topic: SeenTopic, survey: GraphSurvey, ahead_s: float
) -> Iterator[Row]:
    key, name = spec.key, topic.name
    if not topic.publishers:
        yield Row(key, f"{name}: no publisher", CheckState.FAIL, _nobody(spec.type))
        return
    if wrong := [each for each in topic.types if each != spec.type]:
        yield Row(
            key,
            f"{name}: type {wrong[0]} on the graph",
            CheckState.FAIL,
            f"The contract says {spec.type}: correct 'type', or the driver.",
        )
        return
    by = ", ".join(sorted({each.node for each in topic.publishers}))
    if topic.info is None or not topic.messages:
        yield Row(
            key,
            f"{name}: no message within {survey.seconds:g} s, though {by} publishes it",
            CheckState.FAIL,
            "Start the driver's stream; with large messages, look at the network and the DDS settings (README).",
        )
        return
    yield _publishers(spec, topic, by)
    yield _qos(key, topic)
    yield _rate(contract, spec, topic)
    yield _age(spec, topic, survey, ahead_s)
    yield _content(spec, topic, survey)


def _nobody(type_name: str) -> str:
    return f"Start its driver, or correct 'topic'; 'ros2 topic find {type_name}' lists topics of this type."


def _publishers(spec: ObservationSpec, topic: SeenTopic, by: str) -> Row:
    count = len(topic.publishers)
    if topic.fault:
        return Row(spec.key, f"{topic.name}: {topic.fault}", CheckState.FAIL, f"Stop one of: {by}.")
    words = f"{topic.name}: published by {by}"
    if count > 1 and spec.type != "sensor_msgs/msg/JointState" and not spec.frames:
        return Row(
            spec.key,
            f"{words} ({count} publishers)",
            CheckState.WARN,
            "Two sources are mixed in one stream: stop one of them.",
        )
    return Row(spec.key, words, CheckState.PASS)


def _qos(key: str, topic: SeenTopic) -> Row:
    reliable = {each.reliable for each in topic.publishers}
    latched = {each.latched for each in topic.publishers}
    if len(reliable) > 1 or len(latched) > 1:
        return Row(
            key,
            f"{topic.name}: its publishers offer different QoS",
            CheckState.WARN,
            "Subscriptions take the weaker one, so messages may be lost: give all publishers the same QoS.",
        )
    words = (
        f"{'reliable' if True in reliable else 'best effort'}{', transient local' if True in latched else ''}"
    )
    return Row(key, f"{topic.name}: QoS {words}, which subscriptions of il_ros adapt to", CheckState.PASS)


def _rate(contract: Contract, spec: ObservationSpec, topic: SeenTopic) -> Row:
    trigger = spec.topic == contract.trigger
    latched = all(each.latched for each in topic.publishers)
    if latched and topic.messages < 3:
        return Row(spec.key, f"{topic.name}: sent once, and kept for later subscribers", CheckState.PASS)
    needed = contract.rate_hz if trigger else 1.0 / spec.max_age_s
    why = "of the contract, as it is the trigger" if trigger else f"for a max_age_s of {spec.max_age_s:g}"
    words = f"{topic.name}: {topic.rate_hz:.1f} Hz; {needed:.3g} Hz are needed {why}"
    if topic.rate_hz < SLOWER * needed:
        remedy = (
            f"Lower rate_hz to {topic.rate_hz:.3g}, or raise the driver's rate."
            if trigger
            else "Raise the driver's rate, or max_age_s if older data will do."
        )
        return Row(spec.key, words, CheckState.FAIL, remedy)
    if topic.rate_hz < BARELY * needed:
        return Row(
            spec.key,
            words,
            CheckState.WARN,
            "Some ticks will have no observation; raise the driver's rate a little.",
        )
    return Row(spec.key, words, CheckState.PASS)


def _age(spec: ObservationSpec, topic: SeenTopic, survey: GraphSurvey, ahead_s: float) -> Row:
    info = topic.info
    assert info is not None
    if spec.stamp == "arrival" or info.age_p50_s is None:
        known = spec.stamp == "arrival"
        words = "taken by arrival" if known else "without stamps, so taken by arrival"
        return Row(spec.key, f"{topic.name}: {words}", CheckState.PASS)
    middle, high = info.age_p50_s, info.age_p99_s or info.age_p50_s
    words = f"{topic.name}: {1000 * middle:.1f} ms old on arrival, {1000 * high:.1f} ms at most (99 %)"
    if wrong := wrong_clock(info, ahead_s):
        return Row(
            spec.key,
            wrong.split(":")[0] + ": stamps are ahead of this computer's clock",
            CheckState.FAIL,
            _CLOCK,
        )
    if middle > ANOTHER_CLOCK_S:
        return Row(
            spec.key,
            f"{topic.name}: {middle:.0f} s old; {another_clock(middle)}",
            CheckState.FAIL,
            _CLOCK,
        )
    if high > spec.max_age_s:
        return Row(
            spec.key, f"{words}; max_age_s is {spec.max_age_s:g}", CheckState.FAIL if middle > spec.max_age_s else
            CheckState.WARN,
            "Messages arrive too late to be used: look for load and network, or raise max_age_s.",
        )  # fmt: skip
    return Row(spec.key, words, CheckState.PASS)


_CLOCK = "Synchronise the clocks (chrony, PTP), or set 'stamp: arrival' in the contract."


def _content(spec: ObservationSpec, topic: SeenTopic, survey: GraphSurvey) -> Row:
    reason = survey.unusable.get(spec.key)
    if reason is not None:
        return Row(
            spec.key,
            reason,
            CheckState.FAIL,
            "Correct the contract to what the driver sends, or the driver's settings.",
        )
    if wrong := survey.suspicions.get(spec.key):
        return Row(spec.key, f"{topic.name}: {wrong.sentence}", CheckState.FAIL, wrong.remedy)
    if spec.image is not None:
        size = f"{spec.image.width}x{spec.image.height} {spec.image.encoding}"
        return Row(spec.key, f"{topic.name}: one picture decoded to {size}", CheckState.PASS)
    return Row(spec.key, f"{topic.name}: decoded as the contract declares it", CheckState.PASS)


def _commanded(action: ActionSpec, topic: SeenTopic) -> Iterator[Row]:
    key, name = action.key, topic.name
    for sentence in limit_warnings(action):
        yield Row(
            key,
            sentence,
            CheckState.WARN,
            "The limiter takes limits in the action's unit: correct 'limits', or 'unit'.",
        )
    ours = [each for each in topic.publishers if each.node.endswith(f"/{SUPERVISOR}")]
    others = [each for each in topic.publishers if each not in ours]
    receivers = [each for each in topic.subscribers if not each.node.endswith("/recorder")]
    if wrong := [each for each in topic.types if each != action.type]:
        yield Row(
            key,
            f"{name}: type {wrong[0]} on the graph",
            CheckState.FAIL,
            f"The contract says {action.type}: correct 'type', or start the controller that takes it.",
        )
        return
    if not receivers:
        yield Row(
            key,
            f"{name}: no subscriber",
            CheckState.FAIL,
            "Start (and activate) the controller, or correct 'topic'.",
        )
    else:
        by = ", ".join(sorted({each.node for each in receivers}))
        yield Row(key, f"{name}: received by {by}", CheckState.PASS)
        latched = [each.node for each in receivers if each.latched]
        if latched:
            yield Row(
                key,
                f"{name}: {', '.join(latched)} asks for transient local",
                CheckState.FAIL,
                "The supervisor publishes volatile, so no command would arrive: change the controller's QoS.",
            )
        else:
            yield Row(key, f"{name}: QoS of its subscribers fits the supervisor's", CheckState.PASS)
    if others:
        names = ", ".join(sorted({each.node for each in others}))
        yield Row(
            key,
            f"{name}: {names} publishes commands",
            CheckState.FAIL,
            "Only the supervisor may command the robot: end that node, or send its commands to another topic.",
        )
    else:
        yield Row(key, f"{name}: no other publisher", CheckState.PASS)
