"""The readers of what persons and their devices send, and of what a session and a trainer are told, for the fuzzing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import made_episodes as made
import numpy as np
from fuzzing import Reader, mutated_bytes, mutated_json

from il_ros.control.supervisor.estop import ConsoleState, EmergencyStop, console_text, read_console
from il_ros.core import contract, messages
from il_ros.core.messages import MessageError
from il_ros.nodes.runtime.terminal import split_keys
from il_ros.records import decision, statuses
from il_ros.records.decision import DecisionError
from il_ros.session import keys
from il_ros.session.console import event_line, status_line
from il_ros.session.setup import SessionOptions
from il_ros.session.state import SessionState, training_words
from il_ros.session.updates import UPDATES, after_decision
from il_ros.session.user_commands import plan
from il_ros.teleop.jog import Jog
from il_ros.teleop.joy import JoyMap, StopButtons, parse_controls
from il_ros.teleop.keyboard import Keyboard, KeyTimes
from il_ros.training.trainer.job import Output

JOY = "sensor_msgs/msg/Joy"
BASE_AND_ARM = contract.parse(
    """
name: both
rate_hz: 20
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad, reference: joints,
        limits: {lower: -1, upper: 1, speed: 1}}
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, limits: {lower: -0.5, upper: 0.5, speed: 0.5}}
""",
    "both.yaml",
)


def people_readers(folder: Path) -> Sequence[Reader]:
    """Return the readers; they work in `folder`."""
    joy = messages.make(JOY, axes=np.array([0.5, -1.0], np.float32), buttons=np.array([1, 0, 1], np.int32))
    return [
        Reader("gamepad", (messages.encode(JOY, joy),), mutated_bytes, _gamepad, (MessageError, ValueError)),
        Reader("keys", (b"wasd\x1b[A\x1b[B1kj+- x?qnm\x03",), mutated_bytes, _keys, ()),
        Reader(
            "console",
            tuple(console_text("/session", state).encode() for state in ConsoleState),
            mutated_json,
            _console,
            (MessageError,),
        ),
        Reader("session", _told(), mutated_json, _session, (statuses.StatusError, DecisionError)),
        Reader(
            "output of a training", (_output(),), mutated_bytes, partial(_training, folder / "output"), ()
        ),
    ]


def _gamepad(raw: bytes) -> object:
    """Drive by a gamepad's message: the target is finite, and within what the whole axis gives."""
    message = messages.decode(JOY, raw)
    names = BASE_AND_ARM.action_names
    axes = parse_controls([f"{names[0]} 0 0.5"], names, "axes")
    drive = JoyMap(names, 0, axes, parse_controls([f"{names[1]} 1 1.0"], names, "buttons"))
    stops = StopButtons(2, 1)
    stops.pressed(message.buttons)
    rates = drive.rates(message.axes, message.buttons)
    assert rates is None or (np.abs(rates) <= 1.0).all(), f"rates {rates} beyond those of the map"
    if rates is not None:
        target = Jog(BASE_AND_ARM).step(rates, np.zeros(len(names)), 10**9)
        assert np.isfinite(target).all()
    return rates, keys.Buttons({0: "next"}).pressed((), message.buttons)


def _keys(raw: bytes) -> object:
    """Type bytes into a console: each key drives, is a user command, or has no function."""
    keyboard = Keyboard(BASE_AND_ARM, KeyTimes())
    options = SessionOptions()
    found: list[object] = []
    for number, key in enumerate(split_keys(raw.decode(errors="ignore"))):
        keyboard.press(key, 0.1 * number)
        rates = keyboard.rates(0.1 * number)
        assert rates is None or np.isfinite(rates).all()
        assert len(keyboard.line(0.1 * number)) <= 79
        command = keys.command_of(key)
        found.append(plan(command, SessionState(), options) if command else keys.no_function(key))
    return found


def _console(raw: bytes) -> object:
    name, state = read_console(raw.decode("utf-8", "replace"))
    latch = EmergencyStop(console_timeout_s=2.0)
    return latch.console(name, state, 10**9), latch.check(4 * 10**9), latch.latched


def _told() -> tuple[bytes, ...]:
    """What a session is told, in order: a JSON list of pairs of a topic and its text."""
    decided = json.loads(messages.decode(made.STRING, made.decision(5).raw).data)
    expert = {**decided, "authority": "expert", "mode": "hg_dagger"}
    verdict = {"version": "v2", "state": "refused", "reason": "slow"}
    story: list[tuple[str, object]] = [
        (statuses.SUPERVISOR, {"mode": "hg_dagger", "estop": "", "threshold": 0.5, "at_rest": False}),
        (statuses.RECORDER, {"episode": "episode_000001", "warnings": ["odom is late"]}),
        ("decision", decided),
        ("decision", expert),
        ("decision", decided),
        (statuses.REQUEST, {"wanted": True, "why": "uncertain"}),
        (statuses.RECORDER, {"last": {"episode": "episode_000001", "outcome": "success", "grade": "fair"}}),
        (statuses.TRAINING, {"event": "noticed", "labels": 3, "train_after": 9, "episodes": {}}),
        (statuses.TRAINING, {"event": "reading", "episode": 1, "episodes": 3, "job": "training v2"}),
        (statuses.TRAINING, {"event": "start", "frames": 30, "at_s": 1.0, "job": "training v2"}),
        (statuses.TRAINING, {"event": "epoch", "epoch": 1, "epochs": 3, "at_s": 2.0}),
        (statuses.TRAINING, {"event": "failed", "reason": "no memory", "job": "training v2"}),
        (statuses.TRAINING, {"event": "damaged", "episode": "e", "reason": "cut"}),
        (statuses.PROMOTION, {"version": "v1", "policy": "v1", "verdict": verdict}),
    ]
    return tuple(json.dumps(part).encode() for part in (story, story[:6], story[7:]))


def _session(raw: bytes) -> object:
    """Tell a session a story; what is no status or decision is refused, and what it shows can be shown."""
    try:
        story = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise statuses.StatusError(str(error)) from error
    state, found = SessionState(), []
    refused: ValueError | None = None
    for pair in story if isinstance(story, list) else ():
        if not isinstance(pair, list) or len(pair) != 2:
            continue
        topic, words = str(pair[0]), json.dumps(pair[1])
        try:
            if topic in UPDATES:
                state, notices = UPDATES[topic](state, statuses.read(topic, words))
            else:
                state, notices = after_decision(state, decision.from_json(words))
        except (statuses.StatusError, DecisionError) as error:
            refused = error
            continue
        found += [event_line(notice, "12:00:00") for notice in notices]
        found += [status_line(state, 79), training_words(state)]
        for command in keys.COMMANDS:
            plan(command, state, SessionOptions())
    if refused is not None and not found:
        raise refused
    return found


def _output() -> bytes:
    events = [{"event": "start", "frames": 3}, {"event": "epoch", "epoch": 1, "epochs": 2, "loss": 0.5}]
    return b"\n".join((b"a warning", *(json.dumps(event).encode() for event in events), b"done\n"))


def _training(path: Path, raw: bytes) -> object:
    """Read the output of a training's process: events, or other lines."""
    path.write_bytes(raw)
    with path.open("rb", buffering=0) as stream:
        output = Output(stream)
        events = output.read()
    for event in events:
        with contextlib.suppress(statuses.StatusError):
            statuses.read(statuses.TRAINING, json.dumps(event))
    return events, output.last_line
