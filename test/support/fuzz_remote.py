"""The readers of what remote policies and their clients send, and of remote.yaml, for the fuzzing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import policy_servers
from fuzzing import Reader, mutated_bytes, mutated_yaml

from il_ros.core import contract
from il_ros.policies.protocol import PolicyError
from il_ros.policies.remote import mapping, server, translation, wire

TEXT = """
name: x
rate_hz: 1
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}
  camera: {topic: c, type: sensor_msgs/msg/CompressedImage, image: {width: 4, height: 2}, max_age_s: 1}
  order: {topic: o, type: std_msgs/msg/String, max_age_s: 1}
actions:
  arm: {topic: m, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, limits: {speed: 1}}
"""
MAPPINGS = (
    "horizon: 2\nurl: ws://localhost:1\ncontract: contract.yaml\n",
    "horizon: 1\nurl: wss://robot:1\ncontract: contract.yaml\nhistory: 2\nobservations:\n"
    "  state: {from: [joints], columns: [1], scale: 2.0, offset: [1]}\n  text: {text: go}\n"
    "  image: {from: [camera], width: 8, height: 8, fit: pad, encoding: jpeg, path: [a, b]}\n"
    "actions: {key: a, size: 3, columns: [2, 0], delta: [arm], scale: [1, 2], offset: 0.5}\n",
)
SEEN: dict[str, Any] = {
    "joints": np.zeros(2),
    "camera": np.zeros((2, 4, 3), np.uint8),
    "order": np.array("go"),
}


def remote_readers(folder: Path) -> Sequence[Reader]:
    """Return the readers; they work in `folder`."""
    place = folder / "remote"
    place.mkdir(exist_ok=True)
    (place / "contract.yaml").write_text(TEXT)
    (place / mapping.FILE).write_text(MAPPINGS[0])
    spec = mapping.read(place)
    answers = (
        policy_servers.pack(
            {"actions": np.zeros((2, 2)), "uncertainty": np.float32(0.5), "server_timing": {"a": 1.0}}
        ),
        msgpack.packb({"actions": [[0.0, 1], [2, 3]]}),
    )
    requests = (
        policy_servers.pack(SEEN | {"order": "go"}),
        policy_servers.pack({"camera": translation.picture(mapping.PictureInput("camera", 4, 2, encoding="png"),
                                                           spec.contract.observation("camera"), SEEN["camera"])}),
    )  # fmt: skip
    return [
        Reader("remote answer", answers, mutated_bytes, _answer(spec), (wire.WireError, PolicyError)),
        Reader("remote request", requests, mutated_bytes, _request(spec.contract), (wire.WireError,)),
        Reader(
            "remote.yaml",
            tuple(map(str.encode, MAPPINGS)),
            mutated_yaml,
            _mapping(place),
            (mapping.MappingError,),
        ),
    ]


def _answer(spec: mapping.RemoteSpec) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        answer = wire.decode_mapping(raw)
        return translation.commands(spec, answer, SEEN), translation.uncertainty(spec, answer)

    return read


def _request(own: contract.Contract) -> Callable[[bytes], object]:
    return lambda raw: server.window(own, 1, wire.decode_mapping(raw))


def _mapping(place: Path) -> Callable[[bytes], object]:
    def read(raw: bytes) -> object:
        (place / mapping.FILE).write_bytes(raw)
        spec = mapping.read(place)
        return translation.request(spec, [SEEN])

    return read
