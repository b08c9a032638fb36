"""A policy of ours for others: the other end of `connection`, for several clients, over openpi's protocol.

A request has the contract's observations by their keys, as arrays of their shapes; pictures are uint8 (H, W, C) in RGB
order or the bytes of a jpeg or png. A policy with a history T above 1 is shown 1 to T ticks, oldest first, as the first
axis. The answer has `actions` (H, A), absolute commands in the contract's order and units, `uncertainty` if any, and
`server_timing`. The metadata say all of this under the key "il_ros". A request that cannot be answered gets a text
with the reason, and the connection is closed, as by openpi's server.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import http
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs.image import decode_compressed
from il_ros.core.contract import Contract
from il_ros.core.specs import COMPRESSED_IMAGE, ObservationSpec
from il_ros.core.tables import counted, shown
from il_ros.policies.loading import AnyPolicy
from il_ros.policies.protocol import PolicyError
from il_ros.policies.remote import extra, wire
from il_ros.policies.remote.connection import OWN
from il_ros.policies.remote.mapping import ROOM
from il_ros.policies.remote.wire import WireError, described

HEALTH = "/healthz"
_CLOSE_S, _OPEN_S = 1.0, 10.0
_MOST_DURATIONS = 10_000
_ERROR, _AWAY = 1011, 1001


@dataclass(frozen=True)
class ServingOptions:
    """Where a policy is offered. `port` 0: a free one. `token`: "" asks for none. `certificate`: for TLS, or None.

    `most_clients`: connections at a time; more are refused with HTTP 503.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    certificate: ssl.SSLContext | None = None
    most_clients: int = 16


Say = Callable[[str], object]
"""Reports one sentence."""


async def serve(policy: AnyPolicy, options: ServingOptions, say: Say, stop: asyncio.Event) -> None:
    """Offer a policy until `stop` is set; running requests are then answered or dropped within a second.

    Connections that have not said what they want by then are left to the end of the event loop.

    Raises MissingError if a package is not installed, and OSError if the address cannot be used.
    """
    extra.require()
    from websockets.asyncio.server import serve as listen

    offer = PolicyOffer(policy, options, say)
    server = await listen(
        offer.converse,
        options.host,
        options.port,
        ssl=options.certificate,
        compression=None,
        origins=[None],  # web pages of this computer's browser must not ask
        process_request=offer.admit,
        max_size=most_bytes(policy),
        max_queue=1,
        close_timeout=_CLOSE_S,
        open_timeout=_OPEN_S,
        server_header=None,
        logger=extra.SILENT,
    )
    try:
        host, port = server.sockets[0].getsockname()[:2]
        scheme = "wss" if options.certificate else "ws"
        name = f"[{host}]" if ":" in host else host
        say(f"listening on {scheme}://{name}:{port}")
        await stop.wait()
        say("stopping")
    finally:
        server.close()
        with contextlib.suppress(
            asyncio.TimeoutError
        ):  # one that never sends its request is waited for, else
            await asyncio.wait_for(server.wait_closed(), 2 * _CLOSE_S)
        offer.close()


def most_bytes(policy: AnyPolicy) -> int:
    """Return the size of the largest request that a policy can need."""
    contract = policy.contract
    sizes = (
        int(np.prod(spec.shape)) * spec.dtype.itemsize if spec.kind != "text" else wire.MOST_ITEMS
        for spec in contract.observations
    )
    return policy.history * sum(sizes) + ROOM


class PolicyOffer:
    """Answers the clients of one policy, one request at a time, in the order of their arrival."""

    def __init__(self, policy: AnyPolicy, options: ServingOptions, say: Say) -> None:
        self._policy, self._options, self._say = policy, options, say
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._clients = 0

    def close(self) -> None:
        """Compute nothing any more; a computation that runs ends by itself."""
        self._compute.shutdown(wait=False, cancel_futures=True)

    def admit(self, socket: Any, request: Any) -> Any:
        """Return why a connection is refused, as an HTTP response; None if it is admitted."""
        if request.path == HEALTH:
            return socket.respond(http.HTTPStatus.OK, "OK\n")
        token = self._options.token
        given = request.headers.get("Authorization", "")
        right = any(
            hmac.compare_digest(given.encode("utf-8", "replace"), f"{scheme} {token}".encode())
            for scheme in ("Api-Key", "Bearer")
        )
        if token and not right:
            what = "wrong token" if given else "no token"
            self._say(f"{_name(socket)} refused: {what}")
            return socket.respond(http.HTTPStatus.UNAUTHORIZED, f"{what}\n")
        if self._clients >= self._options.most_clients:
            self._say(f"{_name(socket)} refused: there are {counted(self._clients, 'client')} already")
            return socket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many clients\n")
        return None

    async def converse(self, socket: Any) -> None:
        """Answer one client until it leaves or sends what cannot be answered."""
        from websockets.exceptions import ConnectionClosed

        name, count = _name(socket), 0
        seconds: list[float] = []
        self._clients += 1
        self._say(f"{name} connected; {counted(self._clients, 'client')} now")
        try:
            await socket.send(wire.encode(metadata(self._policy)))
            async for raw in socket:
                started_s = time.perf_counter()
                await socket.send(await self._answer(raw))
                count += 1
                if len(seconds) < _MOST_DURATIONS:
                    seconds.append(time.perf_counter() - started_s)
        except (WireError, PolicyError) as error:
            self._say(f"{name}: {shown(str(error))}")
            await self._dismiss(socket, str(error))
        except ConnectionClosed:
            pass
        except Exception as error:
            self._say(f"{name}: {type(error).__name__}: {shown(str(error))}")
            await self._dismiss(socket, f"the policy failed: {type(error).__name__}")
        finally:
            self._clients -= 1
            took = f", {1e3 * median(seconds):.1f} ms each in the median" if seconds else ""
            self._say(f"{name} left after {counted(count, 'answer')}{took}{_fault(socket)}")

    async def _answer(self, raw: bytes | str) -> bytes:
        if not isinstance(raw, bytes):
            raise WireError("a request is a text; msgpack in a binary message is needed")
        message = wire.decode_mapping(raw)
        own = message.pop(OWN, {})
        own = own if isinstance(own, dict) else {}
        seed = own.get("seed", 0)
        seed = seed if type(seed) is int else 0
        ticks = window(self._policy.contract, self._policy.history, message)
        started_s = time.perf_counter()
        loop = asyncio.get_running_loop()
        chunk, uncertainty = await loop.run_in_executor(
            self._compute, lambda: self._policy.act_with_uncertainty(ticks, seed=seed)
        )
        answer: dict[str, Any] = {
            "actions": chunk,
            "server_timing": {"infer_ms": 1e3 * (time.perf_counter() - started_s)},
        }
        if uncertainty is not None:
            answer["uncertainty"] = float(uncertainty)
        if type(own.get("request")) is int:
            answer[OWN] = {"request": own["request"]}
        return wire.encode(answer)

    async def _dismiss(self, socket: Any, why: str) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await socket.send(why[:1000])
            await socket.close(_ERROR, "see the message before")
        except ConnectionClosed:
            pass


def metadata(policy: AnyPolicy) -> dict[str, Any]:
    """Return what a client is told first: the policy's version, and what it takes and answers."""
    contract = policy.contract
    return {
        OWN: {
            "version": policy.version,
            "contract": contract.name,
            "contract_hash": contract.hash,
            "rate_hz": contract.rate_hz,
            "horizon": policy.horizon,
            "history": policy.history,
            "observations": {
                spec.key: {
                    "shape": list(spec.shape),
                    "dtype": "text" if spec.kind == "text" else spec.dtype.str,
                }
                for spec in contract.observations
            },
            "actions": list(contract.action_names),
        }
    }


def window(contract: Contract, history: int, message: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Return the observations of a request, oldest first; raises WireError that names a key and what is wrong."""
    specs = {spec.key: spec for spec in contract.observations}
    unknown = [key for key in message if key not in specs]
    if unknown:
        raise WireError(
            f"'{shown(unknown[0][:60])}' is no observation of this policy; it takes: {', '.join(specs)}"
        )
    values = {key: _ticks(specs[key], value, history) for key, value in message.items()}
    lengths = {len(each) for each in values.values()}
    if len(lengths) != 1 or not 1 <= (length := lengths.pop()) <= history:
        least = f"1 to {counted(history, 'tick')}" if history > 1 else "an observation"
        raise WireError(f"a request must have {least}, for every observation the same number")
    return tuple({key: each[tick] for key, each in values.items()} for tick in range(length))


def _ticks(spec: ObservationSpec, value: Any, history: int) -> list[Any]:
    """Return an observation at each tick; without a history there is one, and no axis for it."""
    if history == 1:
        return [_one(spec, value)]
    if not isinstance(value, (list, np.ndarray)):
        raise WireError(
            f"'{spec.key}' is {described(value)}; an array with the ticks as its first axis is needed"
        )
    return [_one(spec, each) for each in value]


def _one(spec: ObservationSpec, value: Any) -> Any:
    if spec.kind == "text":
        if not isinstance(value, str):
            raise WireError(f"'{spec.key}' is {described(value)}; a text is needed")
        return np.array(value)
    if spec.image is not None and isinstance(value, bytes):
        message = messages.make(COMPRESSED_IMAGE, format="", data=np.frombuffer(value, np.uint8))
        try:
            return decode_compressed(spec.image, message)
        except ValueError as error:
            raise WireError(f"'{spec.key}': {error}") from error
    if spec.image is not None:
        fits = isinstance(value, np.ndarray) and value.shape == spec.shape and value.dtype == spec.dtype
        if not fits:
            raise WireError(
                f"'{spec.key}' is {described(value)}; {spec.dtype} {spec.shape}, a jpeg or a png is needed"
            )
        return value
    found = wire.numbers(value, f"'{spec.key}'")
    if found.shape != spec.shape:
        raise WireError(f"'{spec.key}' is {described(found)}; the shape {spec.shape} is needed")
    return found


def _name(socket: Any) -> str:
    address = socket.remote_address or ("unknown",)
    return f"client {':'.join(str(part) for part in address[:2])}"


def _fault(socket: Any) -> str:
    """Return why the protocol ended a connection, "" if a side closed it as usual."""
    error = socket.protocol.close_exc
    sent = getattr(error, "sent", None)
    if sent is None or sent.code in (1000, _AWAY, _ERROR):
        return ""
    return f": protocol error {sent.code}" + (f" ({shown(sent.reason[:200])})" if sent.reason else "")
