"""Sensors that send garbage, the wrong size, the wrong time, too much, another QoS; pictures that are bombs."""

from __future__ import annotations

import contextlib
import signal
import struct
import time
import zlib
from collections.abc import Callable, Iterator

import world as worlds
from fault import FLOOD_S, SILENT_S, Fault, Run
from made import JOINT_STATE, PICTURE, compressed, picture, wheels
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from scenes import JOINTS, PIXELS
from world import World

from kinds.messages import ODOMETRY, SCAN, flood, live, now_ns, published, random, scan

CAMERA, WHEELS = "camera/compressed", "joint_states"
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
TRANSIENT = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SEEN_S = SILENT_S + worlds.PERIOD_S + 0.2
"""Longest motion once a sensor sends nothing usable: the contract's `max_age_s` of 0.2 s and a tick more."""


def _shift(seconds: float) -> Callable[[World], bytes]:
    return lambda world: scan(now_ns(world) + round(seconds * 1e9))


def _changed(**sensors: Callable[[int], bytes]) -> Run:
    """The sensor itself sends something else for a while."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        for name, make in sensors.items():
            setattr(world, name, make)
        time.sleep(FLOOD_S)
        yield
        world.picture, world.wheels = picture, wheels

    return run


def _bomb(pixels: int) -> bytes:
    """Return a PNG of `pixels` x `pixels` black RGB pixels, whose data end after some rows; a few kilobytes."""
    rows = zlib.compress(bytes(3 * pixels + 1) * 20)

    def chunk(kind: bytes, raw: bytes) -> bytes:
        return struct.pack(">I", len(raw)) + kind + raw + struct.pack(">I", zlib.crc32(kind + raw))

    header = struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _picture_of(kind: str, raw: bytes) -> Callable[[World], bytes]:
    return lambda world: compressed(now_ns(world), kind, raw)


def _sim_with(reliability: str) -> Run:
    """The driver is restarted with another QoS."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        world.send_signal("sim", signal.SIGTERM)
        world.processes["sim"].wait(60)
        world.begin("sim", sensor_reliability=reliability)
        world.drives()
        yield
        world.send_signal("sim", signal.SIGTERM)
        world.processes["sim"].wait(60)

    return run


def _of_sensors(name: str, run: Run, *stop: object, **more: object) -> Fault:
    return Fault(name, run, *stop, scene="sensors", **more)  # type: ignore[arg-type]


_HUGE = _bomb(50_000)
_STOPS = ("must", SEEN_S)
FAULTS = [
    Fault("scan: random bytes", published("scan", SCAN, random(400), 50)),
    Fault("scan: no bytes", published("scan", SCAN, [b""], 50)),
    Fault("scan: cut short", published("scan", SCAN, [scan()[:60]], 50)),
    Fault("scan: another number of beams", live("scan", SCAN, lambda world: scan(now_ns(world), beams=7))),
    Fault(
        "scan: NaN in all beams", live("scan", SCAN, lambda world: scan(now_ns(world), value=float("nan")))
    ),
    Fault("scan: stamped an hour ahead", live("scan", SCAN, _shift(3600.0), count=1)),
    Fault("scan: stamped half a second ago", live("scan", SCAN, _shift(-0.5))),
    Fault("scan: stamped 0.1 s ahead", live("scan", SCAN, _shift(0.1))),
    Fault("scan: a second sensor", live("scan", SCAN, lambda world: scan(now_ns(world), value=0.3))),
    Fault("scan: a flood", flood("scan", SCAN, _shift(0.0))),
    Fault("odometry: random bytes", published("odom", ODOMETRY, random(720), 50)),
    # QoS
    Fault("scan: a second publisher, best effort", live("scan", SCAN, _shift(0.0), qos=BEST_EFFORT)),
    Fault("scan: a second publisher, transient local", live("scan", SCAN, _shift(0.0), qos=TRANSIENT)),
    Fault("sim restarted with best-effort sensors", _sim_with("best_effort"), "unseen"),
    # pictures and joints: a second publisher, then the sensor itself
    _of_sensors(
        "camera: a second publisher of picture bombs", live(CAMERA, PICTURE, _picture_of("png", _HUGE))
    ),
    _of_sensors(
        "camera: picture bombs",
        _changed(picture=lambda stamp_ns: compressed(stamp_ns, "png", _HUGE)),
        *_STOPS,
        says="50000x50000",
    ),
    _of_sensors(
        "camera: pictures cut short",
        _changed(picture=lambda stamp_ns: compressed(stamp_ns, "png", _bomb(PIXELS)[:-30])),
        *_STOPS,
        says="cut short|can be decoded|not a whole",
    ),
    _of_sensors(
        "camera: another size",
        _changed(picture=lambda stamp_ns: picture(stamp_ns, 2 * PIXELS)),
        *_STOPS,
        says=f"{2 * PIXELS}x{2 * PIXELS}",
    ),
    _of_sensors(
        "joints: another size",
        _changed(wheels=lambda stamp_ns: wheels(stamp_ns, JOINTS[:1])),
        *_STOPS,
        says=JOINTS[1],
    ),
    _of_sensors(
        "joints: other names",
        _changed(wheels=lambda stamp_ns: wheels(stamp_ns, ("front_left", "front_right"))),
        *_STOPS,
        says=JOINTS[0],
    ),
    _of_sensors(
        "joints: NaN", _changed(wheels=lambda stamp_ns: wheels(stamp_ns, JOINTS, float("nan"))), *_STOPS
    ),
    _of_sensors("joints: random bytes", published(WHEELS, JOINT_STATE, random(300), 50)),
    _of_sensors("camera: random bytes", published(CAMERA, PICTURE, random(3000), 50)),
]
