"""What the plugin can be asked (gazebo/plugin/lockstep.cc): one request, one answer, over a socket."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.gazebo.process import Gazebo

TIMEOUT_S = 60.0
"""Longer than any start of Gazebo on a busy machine."""


@dataclass(frozen=True)
class State:
    """What Gazebo says after a step: `position` and `velocity` (J,) of the joints, `models` (M, 13).

    A model's row: position (3,), quaternion (4,) wxyz, linear (3,) and angular (3,) velocity in the world.
    """

    position: Vector
    velocity: Vector
    models: Vector


class Client:
    """Drives the joints and models that it names, in the order it names them.

    `joints`: the frequency (rad/s) of each joint's critically damped servo; 0: its target is a velocity.
    Raises RuntimeError with Gazebo's words when it can't do something, or has gone.
    """

    def __init__(self, gazebo: Gazebo, joints: Mapping[str, float], models: Sequence[str], laser: str = ""):
        self._gazebo = gazebo
        gazebo.socket.settimeout(TIMEOUT_S)
        self._joints, self._models = len(joints), len(models)
        bind = struct.pack("<I", len(joints))
        bind += b"".join(_text(name) + struct.pack("<d", frequency) for name, frequency in joints.items())
        bind += struct.pack("<I", len(models)) + b"".join(map(_text, models))
        self._ask(b"B", bind + _text(laser), b"O")

    def reset(self, seed: int, positions: Vector, poses: Vector) -> State:
        """Begin anew with the joints (J,) and the models (M, 7: position, quaternion wxyz) there, at rest."""
        body = struct.pack("<I", seed % 2**32) + _numbers(positions) + _numbers(poses)
        return self._state(self._ask(b"R", body, b"T"))

    def step(self, steps: int, targets: Vector) -> State:
        """Take so many steps of physics towards the joints' targets (J,)."""
        return self._state(self._ask(b"S", struct.pack("<I", steps) + _numbers(targets), b"T"))

    def ranges(self) -> Vector:
        """Return what the laser measures now, (B,) metres; its range where it meets nothing."""
        return np.frombuffer(self._ask(b"L", b"", b"L"), "<f8")

    def picture(self, camera: str) -> NDArray[np.uint8]:
        """Return what a camera sees now, (H, W, 3)."""
        body = self._ask(b"P", _text(camera), b"P")
        width, height = struct.unpack_from("<II", body)
        return np.frombuffer(body, np.uint8, offset=8).reshape(height, width, 3)

    def close(self) -> None:
        """End Gazebo."""
        self._gazebo.close()

    def _state(self, body: bytes) -> State:
        numbers = np.frombuffer(body, "<f8")
        n = self._joints
        models = numbers[2 * n :].reshape(self._models, 13)
        return State(numbers[:n], numbers[n : 2 * n], models)

    def _ask(self, kind: bytes, body: bytes, expected: bytes) -> bytes:
        try:
            self._gazebo.socket.sendall(struct.pack("<I", len(body) + 1) + kind + body)
            size = struct.unpack("<I", self._receive(4))[0]
            answer = self._receive(size)
        except OSError as error:
            raise RuntimeError(f"Gazebo doesn't answer ({error}); it said: {self._gazebo.said()}") from error
        if answer[:1] == b"E":
            raise RuntimeError(f"Gazebo: {answer[1:].decode()}")
        if answer[:1] != expected:
            raise RuntimeError(f"Gazebo answered {answer[:1]!r} to {kind!r}; is the plugin up to date?")
        return answer[1:]

    def _receive(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._gazebo.socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("it has ended")
            parts += part
        return bytes(parts)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<B", len(raw)) + raw


def _numbers(values: Vector) -> bytes:
    return np.ascontiguousarray(values, "<f8").tobytes()
