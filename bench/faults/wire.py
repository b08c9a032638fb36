"""A wire between two network namespaces, which loses, doubles and delays packets (this kernel need not have netem).

    python bench/faults/wire.py          # as root; prints "PID NEAR FAR", then reads a line of JSON per change

Each namespace has an Ethernet device (TAP); this process carries the frames between the two. NEAR and FAR are
descriptors of the namespaces in this process: /proc/PID/fd/NEAR. The namespaces end with it. A line of the standard
input: {"loss": share, "twice": share, "delay_s": each way, "jitter_s": more, drawn for each frame, so that some
overtake others}.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

NEAR, FAR = "10.77.0.1", "10.77.0.2"
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _TAP, _NO_HEADER = 0x400454CA, 0x0002, 0x1000
_FRAME_BYTES = 65536


@dataclass(frozen=True)
class Weather:
    """What happens to a frame; a wire that is cut loses all."""

    loss: float = 0.0
    twice: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0


def enter(descriptor: int) -> None:
    """Put this thread, and the processes that it starts, into a network namespace; raises OSError."""
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def why_not() -> str:
    """Return why this user or machine cannot have such a wire, "" if it can."""
    if shutil.which("ip") is None:
        return "the wire needs the command ip (Debian: apt-get install iproute2)"
    if not os.path.exists("/dev/net/tun"):
        return "the wire needs /dev/net/tun"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        return "the wire needs the right to make network namespaces, such as root's"
    return ""


class Wire:
    """A wire, and this thread at its near end; both end with the context. `.far`: descriptor of the other namespace."""

    def __enter__(self) -> Wire:
        words = [sys.executable, __file__]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        number, near, far = self._process.stdout.readline().split()
        paths = ("/proc/thread-self/ns/net", f"/proc/{number}/fd/{near}", f"/proc/{number}/fd/{far}")
        self._home, self._near, self.far = (os.open(path, os.O_RDONLY) for path in paths)
        enter(self._near)
        return self

    def __exit__(self, *_error: object) -> None:
        enter(self._home)
        for descriptor in (self._home, self._near, self.far):
            os.close(descriptor)
        self._process.communicate(timeout=10.0)

    def weather(self, weather: Weather) -> None:
        """Change what happens to packets."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(weather)) + "\n")
        self._process.stdin.flush()


def main() -> int:
    (near, near_space), (far, far_space) = _end(NEAR), _end(FAR)
    print(os.getpid(), near_space, far_space, flush=True)
    weather, chance = Weather(), random.Random(0)
    other, waiting, count = {near: far, far: near}, [], 0
    while True:
        wait_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready, _, _ = select.select([near, far, sys.stdin], [], [], wait_s)
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return 0
            weather = Weather(**json.loads(line))
        for end in set(ready) & set(other):
            frame = os.read(end, _FRAME_BYTES)
            for _ in range(1 + (chance.random() < weather.twice)):
                if chance.random() >= weather.loss:
                    due = time.monotonic() + weather.delay_s + weather.jitter_s * chance.random()
                    count += 1
                    heapq.heappush(waiting, (due, count, other[end], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, frame = heapq.heappop(waiting)
            os.write(end, frame)


def _end(address: str) -> tuple[int, int]:
    """Make a namespace with a device of this address; return descriptors of the device and of the namespace."""
    if _LIBC.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"wire", _TAP | _NO_HEADER))
    for words in (
        "link set lo up",
        f"addr add {address}/24 dev wire",
        "link set wire up multicast on",
        "route add 224.0.0.0/4 dev wire",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    return device, os.open("/proc/thread-self/ns/net", os.O_RDONLY)


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    sys.exit(main())
