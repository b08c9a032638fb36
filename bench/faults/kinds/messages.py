"""Messages that a fault publishes, and the runs that publish them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy as np
from fault import FLOOD_S, Run
from rclpy.qos import QoSProfile
from recorded import STRING
from world import LATCHED, PERIOD_S, World

from il_ros.core import messages
from il_ros.records import proposal

SCAN, ODOMETRY, CLOCK = "sensor_msgs/msg/LaserScan", "nav_msgs/msg/Odometry", "rosgraph_msgs/msg/Clock"
PROPOSAL, POINT = proposal.TYPE, "trajectory_msgs/msg/JointTrajectoryPoint"


def published(topic: str, type_name: str, raws: list[bytes], count: int, latched: bool = False) -> Run:
    """Publish `count` messages at 20 Hz, taken in turn from `raws`."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, type_name, LATCHED if latched else 10)
        for k in range(count):
            publish(raws[k % len(raws)])
            time.sleep(PERIOD_S)
        yield

    return run


def live(
    topic: str, type_name: str, make: Callable[[World], bytes], count: int = 60, qos: QoSProfile | int = 10
) -> Run:
    """Publish `count` messages at 20 Hz, made at the moment."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, type_name, qos)
        for _ in range(count):
            publish(make(world))
            time.sleep(PERIOD_S)
        yield

    return run


def flood(topic: str, type_name: str, make: Callable[[World], bytes]) -> Run:
    """Publish as many messages as this process can."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, type_name)
        end = time.monotonic() + FLOOD_S
        while time.monotonic() < end:
            publish(make(world))
        yield

    return run


def now_ns(world: World | None) -> int:
    """Return the nodes' present time, in nanoseconds."""
    if world is None or not world.decisions:
        return 10**9
    at, last = world.decisions[-1]
    return last.stamp_ns + round((time.monotonic() - at) * 1e9)


def text(words: str) -> bytes:
    """Return a String."""
    return messages.encode(STRING, messages.make(STRING, data=words))


def random(size: int) -> list[bytes]:
    """Return 50 messages of random bytes after CDR's header, up to `size` each."""
    generator = np.random.default_rng(0)
    return [b"\x00\x01\x00\x00" + generator.bytes(int(generator.integers(size))) for _ in range(50)]


def scan(stamp_ns: int = 10**9, beams: int = 60, value: float = 2.0) -> bytes:
    """Return a LaserScan with equal beams."""
    message = messages.make(
        SCAN,
        header=messages.header(stamp_ns),
        angle_min=-2.0,
        angle_max=2.0,
        angle_increment=4.0 / (beams - 1),
        range_min=0.05,
        range_max=4.0,
        ranges=np.full(beams, value, np.float32),
    )
    return messages.encode(SCAN, message)


def proposed(world: World, source: str, action: tuple[float, float], ahead_ns: int = 0) -> bytes:
    """Return a proposal of one step, stamped now."""
    trajectory = messages.make(
        PROPOSAL,
        header=messages.header(now_ns(world) + ahead_ns, f"source={source} version=v1"),
        joint_names=list(world.contract.action_names),
        points=[messages.make(POINT, positions=np.array(action))],
    )
    return messages.encode(PROPOSAL, trajectory)


def odd_json() -> list[bytes]:
    """Return Strings of JSON that is no decision and no status."""
    texts = (
        '{"sent": 5, "limited": []}',
        "[" * 100_000,
        "null",
        '{"stamp_ns": 1e400}',
        '{"mode": "future", "stamp_ns": 1, "authority": 7}',
        "{}",
        '{"event": {"event": []}}',
        '{"verdict": "good"}',
        "\x1b[2J",
    )
    return [text(each) for each in texts]
