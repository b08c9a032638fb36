"""Client of the lockstep plugin (gazebo/plugin/lockstep.cc): one request, one answer, over a socket."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.gazebo.process import Gazebo

TIMEOUT_S = 60.0
"""Longer than a start of Gazebo on a loaded computer."""


@dataclass(frozen=True)
class State:
    """The state after a step: `position` and `velocity` (J,) of the joints, `models` (M, 13).

    Row of a model: position (3,), quaternion (4,) wxyz, linear (3,) and angular (3,) velocity in the world.
    """

    position: Vector
    velocity: Vector
    models: Vector


class Client:
    """Controls the named joints and models; arrays follow the order of the names.

    `joints`: the frequency (rad/s) of each joint's critically damped servo; 0: its target is a velocity.
    Raises RuntimeError with Gazebo's message when a request fails or Gazebo has ended.
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
        """Reset to joint positions (J,) and model poses (M, 7: position, quaternion wxyz), at rest."""
        body = struct.pack("<I", seed % 2**32) + _numbers(positions) + _numbers(poses)
        return self._state(self._ask(b"R", body, b"T"))

    def step(self, steps: int, targets: Vector) -> State:
        """Advance by `steps` physics steps with the joint targets (J,)."""
        return self._state(self._ask(b"S", struct.pack("<I", steps) + _numbers(targets), b"T"))

    def ranges(self) -> Vector:
        """Return the current laser ranges, (B,) metres; the maximum range where a beam hits nothing."""
        return np.frombuffer(self._ask(b"L", b"", b"L"), "<f8")

    def picture(self, camera: str) -> NDArray[np.uint8]:
        """Return a camera's current image, (H, W, 3)."""
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
            raise RuntimeError(
                f"Gazebo doesn't answer ({error}); its last output: {self._gazebo.last_output()}"
            ) from error
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
                raise ConnectionError("Gazebo has ended")
            parts += part
        return bytes(parts)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<B", len(raw)) + raw


def _numbers(values: Vector) -> bytes:
    return np.ascontiguousarray(values, "<f8").tobytes()
