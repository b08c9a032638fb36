"""Synthetic episodes with numbers checkable by hand, written by the project's own writer.

At tick k, stamped `stamp(k)`: joints a, b are at k, k + 0.5 and the gripper at 0.01; every pixel is k; the
decision sent arm [k + 1, k + 2] and gripper [0.05]. Joints come last at each tick, 1 ms after their stamp.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from il_ros.core import contract, messages
from il_ros.episodes.bag.reader import BagMessage
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import EpisodeInfo, episode_name
from il_ros.records.decision import Decision, to_json

MS = 1_000_000
START_NS = 1_000_000 * MS
PERIOD_NS = 50 * MS

JOINTS, IMAGE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
ARRAY, STRING = "std_msgs/msg/Float64MultiArray", "std_msgs/msg/String"
DECISIONS = "/dagger_supervisor/decision"

TEXT = """
name: made_up
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, gripper], max_age_s: 0.1}
  camera:
    topic: camera/image_raw
    type: sensor_msgs/msg/Image
    image: {width: 8, height: 6, encoding: rgb8}
    max_age_s: 0.12
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, limits: {lower: -1000, upper: 1000, speed: 1000}}
  gripper: {topic: gripper/commands, type: std_msgs/msg/Float64MultiArray, names: [gripper], unit: m,
            reference: joints, limits: {lower: 0, upper: 0.08, speed: 1}}
"""
CONTRACT = contract.parse(TEXT, "made_up.yaml")
DELTA = contract.parse(TEXT.replace("reference: joints,", "reference: joints, mode: delta,", 1), "delta.yaml")


def stamp(tick: float) -> int:
    return START_NS + round(tick * PERIOD_NS)


def joints(tick, names=("b", "gripper", "a"), stamp_ns=None, log_ns=None):
    """Joint states in another order than the contract's, as drivers send them."""
    values = {"a": tick, "b": tick + 0.5, "gripper": 0.01}
    stamp_ns = stamp(tick) if stamp_ns is None else stamp_ns
    message = messages.make(
        JOINTS,
        header=messages.header(stamp_ns),
        name=list(names),
        position=np.array([float(values.get(name, 0)) for name in names]),
    )
    return _recorded("/joint_states", JOINTS, message, stamp_ns + MS if log_ns is None else log_ns)


def image(tick, width=8, height=6):
    pixels = np.full(height * width * 3, round(tick) % 256, dtype=np.uint8)
    message = messages.make(
        IMAGE,
        header=messages.header(stamp(tick)),
        width=width,
        height=height,
        encoding="rgb8",
        step=width * 3,
        data=pixels,
    )
    return _recorded("/camera/image_raw", IMAGE, message, stamp(tick) + MS // 2)


def depth_image(tick, metres):
    """An image of depths (H, W, 1) float32."""
    height, width, _ = metres.shape
    message = messages.make(
        IMAGE,
        header=messages.header(stamp(tick)),
        width=width,
        height=height,
        encoding="32FC1",
        step=4 * width,
        data=np.frombuffer(metres.tobytes(), np.uint8),
    )
    return _recorded("/camera/image_raw", IMAGE, message, stamp(tick) + MS // 2)


def command(topic, values, log_ns):
    message = messages.make(ARRAY, data=np.asarray(values, dtype=np.float64))
    return _recorded(topic, ARRAY, message, log_ns)


def commands(tick):
    """The decision of the tick, sent 3 ms after it."""
    log_ns = stamp(tick) + 3 * MS
    return [
        command("/arm/commands", [tick + 1, tick + 2], log_ns),
        command("/gripper/commands", [0.05], log_ns),
    ]


def decision(tick, **changes):
    values = {
        "stamp_ns": stamp(tick),
        "sent_ns": stamp(tick) + 3 * MS,
        "authority": "expert",
        "reason": "the expert proposed",
        "sent": (tick + 1.0, tick + 2.0, 0.05),
    }
    message = messages.make(STRING, data=to_json(Decision(**{**values, **changes})))
    return _recorded(DECISIONS, STRING, message, values["stamp_ns"] + 4 * MS)


def text(tick, words, topic=DECISIONS):
    """A std_msgs/String with any text, recorded just after the decision of a tick."""
    return _recorded(topic, STRING, messages.make(STRING, data=words), stamp(tick) + 5 * MS)


def odd_decisions():
    """Texts that are nearly decisions, by what the error says about them."""
    good = messages.decode(STRING, decision(5).raw).data
    assert '"sent":[6.0,7.0,0.05]' in good
    return {
        "sent is 5; it must be a list": good.replace('"sent":[6.0,7.0,0.05]', '"sent":5'),
        "proposals is []; it must be an object": good.replace('"proposals":{}', '"proposals":[]'),
        "mode is 'future'; it must be one of": good.replace('"mode":""', '"mode":"future"'),
        "version is ['x']; it must be a text": good.replace('"version":""', '"version":["x"]'),
        "nested too deeply": "[" * 100_000,
        "s after the message arrived": good.replace(f'"stamp_ns":{stamp(5)}', f'"stamp_ns":{2**62}'),
    }


def recorded(ticks=20, decisions=True):
    """Return the messages of an episode without faults, by log time."""
    out = []
    for tick in range(ticks):
        out += [image(tick), joints(tick), *commands(tick)]
        if decisions:
            out.append(decision(tick))
    return out


def write(
    root: Path, items, number: int = 1, text: str = TEXT, types: dict[str, str] | None = None, **info
) -> Path:
    """Write an episode with these messages, in the order of their log times, and return its folder."""
    folder = root / episode_name(number)
    used = contract.parse(text, "made_up.yaml")
    items = sorted(items, key=lambda item: item.log_ns)
    with BagWriter(folder) as bag:
        streams = {item.topic: item.type for item in items}
        numbers = {topic: bag.add_stream(topic, kind) for topic, kind in streams.items()}
        for item in items:
            bag.write(numbers[item.topic], item.log_ns, item.raw)
    values = {
        "name": folder.name,
        "outcome": "success",
        "task": "made_up",
        "contract_name": used.name,
        "contract_hash": used.hash,
        "contract_text": text,
        "topics": {topic: f"/{topic}" for topic in used.topics},
        "decision_topic": DECISIONS if DECISIONS in streams else "",
        "started_ns": START_NS,
        "stopped_ns": max((item.log_ns for item in items), default=START_NS),
        "complete": True,
    }
    EpisodeInfo(**{**values, **info}).save(folder)
    return folder


def _recorded(topic, type_name, message, log_ns):
    return BagMessage(topic, type_name, messages.encode(type_name, message), log_ns)
