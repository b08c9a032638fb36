"""A websocket to a policy server, kept open by a thread: one request at a time, each with its own answer or none.

The protocol is openpi's: after the connection the server sends its metadata, then answers each request, in order.
Nothing in it says which request an answer belongs to. The connection is therefore closed when an answer is overdue, and
when a message comes that was not asked for, so that an answer is never taken for that of another request. A server that
echoes the number of a request (`server`) is checked by it as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as WaitTimeoutError
from typing import Any, NamedTuple

from il_ros.core.tables import shown
from il_ros.policies.remote import extra, wire
from il_ros.policies.remote.mapping import ServerAddress
from il_ros.policies.remote.wire import WireError

OWN = "il_ros"
"""Key of what il_ros adds to metadata, requests and answers; a server whose metadata lacks it gets nothing of it."""
_MOST_NEWS, _MOST_WORDS = 16, 300
_SLOWEST_RETRY = 8  # times the first pause
_CLOSE_S = 1.0
_ENDS_S = 5.0


class RemoteError(ValueError):
    """There is no answer; the message says why."""


class ConnectionNews(NamedTuple):
    """A message for the person: a connection was made (`good`) or lost."""

    good: bool
    text: str


class Connection:
    """Connects to a server and again after each loss, in a thread that starts with `open`, until `close`.

    Only one thread may call `ask`, one request after the other. The other methods may be called by any thread.
    Raises MissingError (`extra`) if a package is not installed.
    """

    def __init__(self, endpoint: ServerAddress) -> None:
        extra.require()
        self._endpoint = endpoint
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._main: asyncio.Task[None] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._news: deque[ConnectionNews] = deque(maxlen=_MOST_NEWS)
        self._socket: Any = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._why = "not connected yet"
        self._ready = threading.Event()
        """Set once a first attempt to connect has ended, well or not."""
        self._lost_s: float | None = None
        self.metadata: Mapping[str, Any] = {}
        """What the server said of itself when it was connected last."""
        self.connections = 0
        """How often a connection was made."""

    @property
    def connected(self) -> bool:
        """Whether requests can be sent."""
        return self._socket is not None

    @property
    def why(self) -> str:
        """Why there is no connection, "" if there is one."""
        return "" if self.connected else self._why

    def news(self) -> list[ConnectionNews]:
        """Return and forget what happened to the connection since the last call, oldest first; the last 16."""
        found = []
        with contextlib.suppress(IndexError):
            while True:
                found.append(self._news.popleft())
        return found

    def open(self) -> None:
        """Begin to connect; nothing happens if that has begun already."""
        with self._lock:
            if self._thread is not None or self._closed:
                return
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, name="remote policy", daemon=True)
            self._thread.start()

    def require(self) -> None:
        """Raise RemoteError without a connection; only before the first attempt has ended, wait for it."""
        self.open()
        where, timeout_s = self._endpoint.url, self._endpoint.timeout_s
        if not self._ready.wait(timeout_s):
            raise RemoteError(f"{where}: not connected within {timeout_s:g} s")
        if not self.connected:
            raise RemoteError(f"{where}: not connected: {self._why}")

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the server's answer to a request; raises RemoteError, after `timeout_s` at the latest."""
        self.require()
        loop, gone = self._loop, RemoteError(f"{self._endpoint.url}: the connection was closed")
        assert loop is not None
        exchange = self._exchange(message)
        try:
            asked = asyncio.run_coroutine_threadsafe(exchange, loop)
        except RuntimeError:  # the loop has ended
            exchange.close()
            raise gone from None
        try:
            # the coroutine has its own time-out; this one is for a loop that ends now
            return asked.result(self._endpoint.timeout_s + _ENDS_S)
        except (WaitTimeoutError, CancelledError):
            raise gone from None

    def close(self, wait: bool = True) -> None:
        """End the connection and its thread; `wait`: for up to five seconds."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it ended meanwhile
                loop.call_soon_threadsafe(self._end)
            if wait and thread is not threading.current_thread():
                thread.join(_ENDS_S)

    # ---- in the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None
        try:
            self._main = loop.create_task(self._keep())
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(self._main)
            self._lose("the connection was closed", told=False)
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left))
        finally:
            loop.close()

    def _end(self) -> None:
        if self._main is not None:
            self._main.cancel()

    async def _keep(self) -> None:
        """Connect, receive, and begin again, with longer pauses while it fails."""
        failures = 0
        while True:
            before = self.connections
            why = await self._connected()
            self._lose(why)
            failures = 0 if self.connections > before else failures + 1
            await asyncio.sleep(self._endpoint.retry_s * min(2 ** max(0, failures - 1), _SLOWEST_RETRY))

    async def _connected(self) -> str:
        """Make a connection and receive until it ends; return why it ended or was not made."""
        from websockets.exceptions import WebSocketException

        before = self.connections
        try:
            socket = await self._open_socket()
        except asyncio.TimeoutError:
            return f"not connected within {self._endpoint.timeout_s:g} s"
        except (OSError, WebSocketException, ValueError) as error:
            return _refusal(error)
        try:
            raw = await asyncio.wait_for(socket.recv(), self._endpoint.timeout_s)
            self._begin(socket, _bytes(raw))
            while True:
                self._receive(_bytes(await socket.recv()))
        except asyncio.TimeoutError:
            return f"it sent no metadata within {self._endpoint.timeout_s:g} s"
        except RemoteError as error:
            return str(error)
        except WireError as error:
            return f"its metadata {error}"
        except WebSocketException as error:
            dropped = self.connections > before and self._socket is not socket
            return self._why if dropped else _closed(error)
        except asyncio.CancelledError:  # this side ends: the server is told
            with contextlib.suppress(Exception):
                await asyncio.wait_for(socket.close(), _CLOSE_S)
            raise
        finally:
            self._socket = None
            socket.transport.abort()

    async def _open_socket(self) -> Any:
        from websockets.asyncio.client import connect

        endpoint = self._endpoint

        class Direct(connect):
            """Follows no redirection: the token and the pictures are for this server."""

            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        headers = {"Authorization": f"Api-Key {endpoint.token}"} if endpoint.token else None
        context = None
        if endpoint.url.startswith("wss"):
            context = ssl.create_default_context(cafile=endpoint.authority)
        opening = Direct(
            endpoint.url,
            ssl=context,
            compression=None,  # so that no small message becomes a large one
            max_size=endpoint.most_bytes,
            max_queue=1,
            additional_headers=headers,
            proxy=None,
            logger=extra.SILENT,
            open_timeout=endpoint.timeout_s,
            close_timeout=_CLOSE_S,
        )
        return await asyncio.wait_for(_awaited(opening), endpoint.timeout_s)

    def _begin(self, socket: Any, raw: bytes) -> None:
        self.metadata = wire.decode_mapping(raw)
        self.connections += 1
        self._socket = socket
        silent = "" if self._lost_s is None else f" again, after {time.monotonic() - self._lost_s:.1f} s"
        self._lost_s = None
        said = ", ".join(sorted(map(str, self.metadata)))[:_MOST_WORDS]
        about = f"; its metadata has: {said}" if said else ""
        self._news.append(
            ConnectionNews(True, shown(f"remote policy {self._endpoint.url} connected{silent}{about}"))
        )
        self._ready.set()

    def _lose(self, why: str, *, told: bool = True) -> None:
        """Note that there is no connection, and why; it is news if there was one, or if the reason is another."""
        had = self._lost_s is None
        if had:
            self._lost_s = time.monotonic()
        if told and (had or why != self._why):
            self._news.append(
                ConnectionNews(
                    False, shown(f"remote policy {self._endpoint.url} not connected: {why}; trying again")
                )
            )
        self._why = why
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(RemoteError(why))
            waiting.exception()  # asyncio reports one that nobody looks at
        self._ready.set()

    def _receive(self, raw: bytes) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            raise RemoteError("it sent a message that was not asked for, so its answers cannot be told apart")
        waiting.set_result(raw)

    async def _exchange(self, message: Mapping[str, Any]) -> dict[str, Any]:
        where, timeout_s = self._endpoint.url, self._endpoint.timeout_s
        socket = self._socket
        if socket is None:
            raise RemoteError(f"{where}: not connected: {self._why}")
        self._waiting = waiting = asyncio.get_running_loop().create_future()
        try:
            raw = await asyncio.wait_for(_sent_and_answered(socket, wire.encode(message), waiting), timeout_s)
            answer = wire.decode_mapping(raw)
            self._check_number(message, answer)
        except asyncio.TimeoutError:
            self._drop(socket, f"no answer within {timeout_s:g} s (timeout_s)")
            raise RemoteError(f"{where}: {self._why}") from None
        except WireError as error:
            self._drop(socket, f"its answer {error}")
            raise RemoteError(f"{where}: {self._why}") from error
        except RemoteError as error:
            self._drop(socket, str(error))
            raise RemoteError(f"{where}: {error}") from error
        except Exception as error:  # the connection has ended while it was sending
            self._drop(socket, _closed(error))
            raise RemoteError(f"{where}: {self._why}") from error
        return answer

    def _check_number(self, message: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        own = message.get(OWN)
        if own is None:
            return
        echoed = answer.get(OWN)
        number = echoed.get("request") if isinstance(echoed, dict) else None
        if number != own["request"]:
            raise RemoteError(f"it answered request {number!r:.40} instead of {own['request']}")

    def _drop(self, socket: Any, why: str) -> None:
        """End a connection whose next message could be the answer to an earlier request."""
        if self._socket is socket:
            self._socket = None
            self._lose(why)
            socket.transport.abort()


async def _awaited(opening: Any) -> Any:
    return await opening


async def _sent_and_answered(socket: Any, raw: bytes, waiting: asyncio.Future[bytes]) -> bytes:
    sending = asyncio.ensure_future(socket.send(raw))
    try:
        await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_EXCEPTION)
        if waiting.done():
            return waiting.result()  # raises when the connection was lost
        await sending
        return await waiting
    finally:
        sending.cancel()


def _bytes(message: bytes | str) -> bytes:
    """Return a binary message; raises RemoteError on a text, which is a server's report of an error."""
    if isinstance(message, bytes):
        return message
    lines = [line for line in message.splitlines() if line.strip()] or [""]
    raise RemoteError(f"it reports an error: {shown(lines[-1].strip()[:_MOST_WORDS])}")


def _refusal(error: BaseException) -> str:
    """Return why a connection was not made."""
    response = getattr(error, "response", None)
    code = getattr(response, "status_code", None)
    if code in (401, 403):
        return f"it refuses the token (HTTP {code}): see token_file of remote.yaml"
    if code is not None:
        return f"it answers HTTP {code} instead of opening a websocket"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; see ca_file of remote.yaml"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return shown((str(error) or type(error).__name__)[:_MOST_WORDS])


def _closed(error: BaseException) -> str:
    """Return why a connection ended."""
    sent, received = getattr(error, "sent", None), getattr(error, "rcvd", None)
    if sent is not None and sent.code != 1000 and (received is None or not error.rcvd_then_sent):  # type: ignore[attr-defined]
        too_large = " (message too big)" if sent.code == 1009 else ""
        reason = f": {shown(sent.reason[:_MOST_WORDS])}" if sent.reason else ""
        return f"it broke the protocol{too_large}, code {sent.code}{reason}"
    if received is not None:
        reason = f": {shown(received.reason[:_MOST_WORDS])}" if received.reason else ""
        return f"it closed the connection, code {received.code}{reason}"
    return "the connection broke"
