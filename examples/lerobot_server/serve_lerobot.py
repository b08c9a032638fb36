"""Offer a LeRobot policy to il_ros's policy server, in LeRobot's own environment.

    pip install msgpack websockets                                   # beside lerobot
    python serve_lerobot.py outputs/train/checkpoints/last/pretrained_model --port 8000

It needs no il_ros. The protocol is openpi's (docs/remote_policies.md of il_ros): metadata first, then an answer for
each request, msgpack with plain arrays. A request has the policy's features by LeRobot's names: numbers as arrays,
pictures as uint8 (height, width, 3) or float32 of 0 to 1, and `task`, a text, for policies that read one. The answer
has `actions` (steps, numbers), in the units of the data set. For a policy that sees several steps (`n_obs_steps` above
1), each value has 1 to that many ticks as its first axis. Nothing is kept from one request to the next.

At the start it prints the part of a remote.yaml that fits the policy.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import logging
import math
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

TYPES = ("|u1", "|b1", "<f4", "<f8", "<i4", "<i8")
ROOM = 1 << 16
SILENT = logging.getLogger("serve_lerobot.websockets")
SILENT.setLevel(logging.CRITICAL)  # websockets logs headers, and so the token


class RequestError(ValueError):
    """A request that the policy cannot answer."""


class Policy:
    """A LeRobot policy with its processors, and what it takes and answers."""

    def __init__(self, folder: str, device: str) -> None:
        config = PreTrainedConfig.from_pretrained(folder)
        config.device = device
        self.type = config.type
        self._network = get_policy_class(config.type).from_pretrained(folder, config=config).eval()
        self._before, self._after = make_pre_post_processors(
            config, folder, preprocessor_overrides={"device_processor": {"device": device}}
        )
        self.features = {
            key: each for key, each in config.input_features.items() if each.type is not FeatureType.ACTION
        }
        self.history = int(getattr(config, "n_obs_steps", 1) or 1)
        self._images = list(getattr(config, "image_features", {}) or {})
        zeros = {key: np.zeros(self._shape(key), np.float32) for key in self.features}
        with_axis = {key: value[None] if self.history > 1 else value for key, value in zeros.items()}
        self.horizon, self.size = self.answer(with_axis | {"task": "nothing"}).shape

    def describe(self) -> dict[str, Any]:
        """Return the metadata."""
        shapes = {key: list(self._shape(key)) for key in self.features}
        return {
            "lerobot": {
                "type": self.type,
                "features": shapes,
                "history": self.history,
                "horizon": self.horizon,
            }
        }

    def mapping(self) -> str:
        """Return the part of a remote.yaml that fits this policy."""
        lines = [
            f"horizon: {self.horizon}",
            *([f"history: {self.history}"] if self.history > 1 else []),
            "observations:",
        ]
        for key in self.features:
            shape = self._shape(key)
            if key in self._images:
                lines.append(f"  {key}: {{from: [CAMERA], width: {shape[1]}, height: {shape[0]}}}")
            else:
                lines.append(f"  {key}: {{from: [NUMBERS]}}   # {math.prod(shape)} numbers")
        return "\n".join(
            [*lines, "  task: {text: WHAT TO DO}", f"actions: {{size: {self.size}, columns: [...]}}"]
        )

    def most_bytes(self) -> int:
        """Return the size of the largest request."""
        return self.history * sum(8 * math.prod(each.shape) for each in self.features.values()) + ROOM

    @torch.inference_mode()
    def answer(self, request: dict[str, Any]) -> np.ndarray:
        """Return the actions (H, A) for a request; raises RequestError."""
        unknown = [key for key in request if key not in self.features and key != "task"]
        missing = [key for key in self.features if key not in request]
        if unknown or missing:
            what = f"'{unknown[0]}' is no feature of this policy" if unknown else f"'{missing[0]}' is missing"
            raise RequestError(f"{what}; it takes: {', '.join(self.features)}, and task")
        ticks = [self._batch(request, tick) for tick in range(self._count(request))]
        actions = (
            self._network.predict_action_chunk(ticks[0]) if self.history == 1 else self._with_queues(ticks)
        )
        return self._after(actions[0]).to("cpu", torch.float64).numpy()

    def _with_queues(self, ticks: list[dict[str, Any]]) -> torch.Tensor:
        """Return the actions (1, H, A) of a policy that takes its window from queues, which `select_action` fills."""
        from lerobot.policies.utils import populate_queues

        self._network.reset()
        for batch in ticks:
            if self._images:
                batch["observation.images"] = torch.stack([batch[key] for key in self._images], dim=-4)
            self._network._queues = populate_queues(self._network._queues, batch)
        return self._network.predict_action_chunk(ticks[-1])

    def _count(self, request: dict[str, Any]) -> int:
        if self.history == 1:
            return 1
        counts = {len(request[key]) if np.ndim(request[key]) else 0 for key in self.features}
        if len(counts) != 1 or not 1 <= max(counts) <= self.history:
            raise RequestError(
                f"each feature needs 1 to {self.history} ticks as its first axis, the same number"
            )
        return counts.pop()

    def _batch(self, request: dict[str, Any], tick: int) -> dict[str, Any]:
        """Return the preprocessed batch of one tick."""
        batch: dict[str, Any] = {}
        for key in self.features:
            value = np.asarray(request[key])
            value = value[tick] if self.history > 1 else value
            if value.shape != self._shape(key) or value.dtype.kind not in "fiu":
                raise RequestError(
                    f"'{key}' is {value.dtype} {value.shape}; numbers {self._shape(key)} are needed"
                )
            if not np.isfinite(value).all():
                raise RequestError(f"'{key}' has a number that is not finite")
            scale = 255.0 if value.dtype == np.uint8 and key in self._images else 1.0
            tensor = torch.from_numpy(np.array(value, np.float32) / scale)
            batch[key] = tensor.permute(2, 0, 1) if key in self._images else tensor
        task = request.get("task", "")
        task = task[tick] if isinstance(task, list) and tick < len(task) else task
        made = self._before(batch | {"task": str(task)})
        return {key: value for key, value in made.items() if value is not None}  # such as the action

    def _shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a feature in a request: of a picture, (height, width, channels)."""
        shape = tuple(self.features[key].shape)
        return (*shape[1:], shape[0]) if key in self._images else shape


def pack(message: Any) -> bytes:
    """Return a message as msgpack."""

    def encoded(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return {
                b"__ndarray__": True,
                b"data": value.tobytes(),
                b"dtype": value.dtype.str,
                b"shape": value.shape,
            }
        raise TypeError(f"a value of type {type(value).__name__}")

    return msgpack.packb(message, default=encoded)


def unpack(raw: Any) -> dict[str, Any]:
    """Return a request; its arrays are plain numbers with as many bytes as their shape needs. Raises RequestError."""

    def decoded(found: dict) -> Any:
        if b"__ndarray__" not in found:
            return found
        kind, data, shape = (found.get(name) for name in (b"dtype", b"data", b"shape"))
        sizes = (
            isinstance(shape, list)
            and len(shape) <= 8
            and all(type(each) is int and each >= 0 for each in shape)
        )
        if kind not in TYPES or not isinstance(data, bytes) or not sizes:
            raise RequestError("an array has another type or shape than numbers have")
        if len(data) != np.dtype(kind).itemsize * math.prod(shape):
            raise RequestError("the bytes of an array are not those that its shape needs")
        return np.frombuffer(data, kind).reshape(shape)

    if not isinstance(raw, bytes):
        raise RequestError("a request is a text; msgpack in a binary message is needed")
    try:
        found = msgpack.unpackb(raw, object_hook=decoded, max_array_len=4096, max_map_len=4096)
    except RequestError:
        raise
    except Exception as error:
        raise RequestError(f"no readable msgpack: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise RequestError("a request must be a mapping with texts as keys")
    return found


async def offer(policy: Policy, host: str, port: int, token: str) -> None:
    """Answer clients, one request at a time, until a signal."""
    compute = ThreadPoolExecutor(1)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)

    def admit(socket: Any, request: Any) -> Any:
        given = request.headers.get("Authorization", "")
        if token and not hmac.compare_digest(given.encode(), f"Api-Key {token}".encode()):
            print("a client without the token was refused", flush=True)
            return socket.respond(401, "wrong token\n")
        return None

    async def converse(socket: Any) -> None:
        try:
            await socket.send(pack(policy.describe()))
            async for raw in socket:
                request = unpack(raw)
                actions = await loop.run_in_executor(compute, policy.answer, request)
                await socket.send(pack({"actions": actions}))
        except ConnectionClosed:
            pass
        except Exception as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            why = (
                str(error)
                if isinstance(error, RequestError)
                else f"the policy failed: {type(error).__name__}"
            )
            await socket.send(why)
            await socket.close(1011)

    options = {"compression": None, "origins": [None], "process_request": admit, "logger": SILENT}
    async with serve(
        converse, host, port, max_size=policy.most_bytes(), close_timeout=1, **options
    ) as server:
        print(f"listening on ws://{host}:{server.sockets[0].getsockname()[1]}", flush=True)
        await stop.wait()
        print("stopping", flush=True)


def main() -> None:
    """Load a policy and offer it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "policy", help="folder of a LeRobot policy (pretrained_model), or its name on the Hub"
    )
    parser.add_argument("--bind", default="127.0.0.1", help="(default: 127.0.0.1, this computer)")
    parser.add_argument("--port", type=int, default=8000, help="(default: 8000)")
    parser.add_argument("--token-file", type=Path, help="answer only clients with the token in this file")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps (default: cpu)")
    args = parser.parse_args()
    token = args.token_file.read_text().strip() if args.token_file else ""
    if not token and args.bind not in ("127.0.0.1", "localhost", "::1"):
        parser.error(f"--bind {args.bind}: other computers can reach this address; give a --token-file")
    policy = Policy(args.policy, args.device)
    print(f"a policy of type {policy.type}; for remote.yaml:\n\n{policy.mapping()}\n", flush=True)
    asyncio.run(offer(policy, args.bind, args.port, token))


if __name__ == "__main__":
    main()
