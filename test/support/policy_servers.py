"""Policy servers of others: in a thread with any behaviour, and the one of docs/remote_policies.md as a process."""

import asyncio
import logging
import re
import sys
import threading
from pathlib import Path

import msgpack
import numpy as np
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "remote_policies.md"
WAIT_S = 60.0


def program(folder, title="A server of your own"):
    """Write the first program of a section of the document to a file; return its path."""
    section = DOCUMENT.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    file = folder / "my_server.py"
    file.write_text(re.search(r"```python\n(.*?)```", section, re.DOTALL)[1])
    return file


def mapping(folder, port, *lines, contract="contract.yaml", scheme="ws", host="127.0.0.1"):
    """Write a remote.yaml; return its folder."""
    folder.mkdir(exist_ok=True)
    text = [f"url: {scheme}://{host}:{port}", f"contract: {contract}", *lines]
    (folder / "remote.yaml").write_text("\n".join(text) + "\n")
    return folder


def packed(value):
    """Encode as openpi's msgpack_numpy does, for `msgpack.packb(..., default=packed)`."""
    if isinstance(value, np.ndarray):
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(type(value))


def unpacked(value):
    """Decode what `packed` encodes, as `object_hook`."""
    if b"__ndarray__" in value:
        return np.frombuffer(value[b"data"], value[b"dtype"]).reshape(value[b"shape"])
    return value


def pack(message):
    return msgpack.packb(message, default=packed)


def unpack(raw):
    return msgpack.unpackb(raw, object_hook=unpacked)


def answering(answer, delay_s=lambda: 0.0, metadata=None):
    """Return a conversation: metadata, then `answer(request)` for each; bytes and texts are sent as they are."""

    async def converse(socket):
        await socket.send(pack(metadata or {}))
        async for raw in socket:
            found = answer(unpack(raw))
            await asyncio.sleep(delay_s())
            await socket.send(found if isinstance(found, (bytes, str)) else pack(found))

    return converse


class Server:
    """Runs `converse(socket)` for each client, in a thread, at a free port of this computer or at `port`."""

    def __init__(self, converse, port=0, **options):
        self._converse, self._options = converse, {"compression": None, "max_size": None, **options}
        self.clients = 0
        """How many connections were made."""
        self._sockets = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """End at once, as a killed process does: no client is told."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._abort)
            self._thread.join(WAIT_S)

    def _abort(self):
        self._main.cancel()
        for socket in self._sockets:
            socket.transport.abort()

    def _run(self):
        self._main = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left))
            self._loop.close()

    async def _serve(self):
        async def counted(socket):
            self.clients += 1
            self._sockets.add(socket)
            try:
                await self._converse(socket)
            except ConnectionClosed:
                pass
            finally:
                self._sockets.discard(socket)

        quiet = logging.getLogger("test.websockets")
        quiet.setLevel(logging.CRITICAL)
        listening = await serve(counted, "127.0.0.1", self.port, logger=quiet, **self._options)
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            listening.close(close_connections=False)


def running(file, port):
    """Return the command that runs a server's program at a port."""
    return [sys.executable, str(file), str(port)]
