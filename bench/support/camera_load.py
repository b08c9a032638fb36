"""The load of bench/recorder.py: publishers of three cameras and joint states, and reference receivers.

    python bench/support/camera_load.py publish left/image_raw OUT.json      # one process per topic
    python bench/support/camera_load.py subscribe decoded OUT.json           # or: receiving

Each runs until SIGINT, then writes the stamps it sent, or received with their arrival times. The file
OUT.ready marks that it is running.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy

from il_ros.core import messages
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.streams import message_class

IMAGE, JOINTS = "sensor_msgs/msg/Image", "sensor_msgs/msg/JointState"
CAMERAS = ("left/image_raw", "right/image_raw", "wrist/image_raw")
RATES = {**dict.fromkeys(CAMERAS, 30.0), "joint_states": 200.0}
NAMES = [f"joint{k}" for k in range(1, 8)]


def contract_text() -> str:
    cameras = "\n".join(
        f"  camera{k}: {{topic: {topic}, type: {IMAGE}, max_age_s: 0.5, "
        "image: {width: 640, height: 480, encoding: rgb8}}"
        for k, topic in enumerate(CAMERAS)
    )
    names = ", ".join(NAMES)
    return f"""name: bench
rate_hz: 30
observations:
{cameras}
  joints: {{topic: joint_states, type: {JOINTS}, fields: [position], names: [{names}], max_age_s: 0.5}}
actions:
  arm:
    topic: commands
    type: std_msgs/msg/Float64MultiArray
    names: [{names}]
    reference: joints
    limits: {{lower: -3.0, upper: 3.0, speed: 2.0}}
"""


def frames(topic: str) -> list[bytearray]:
    """Return eight encoded messages: a lit scene with a moving block and camera noise."""
    if topic == "joint_states":
        values = {"name": NAMES, "position": np.zeros(7), "velocity": np.zeros(7), "effort": np.zeros(7)}
        return [
            bytearray(messages.encode(JOINTS, messages.make(JOINTS, header=messages.header(1), **values)))
        ]
    rng = np.random.default_rng(0)
    light = np.linspace(40, 200, 640)[None, :, None] * np.linspace(1.0, 0.6, 480)[:, None, None]
    encoded = []
    for k in range(8):
        picture = np.repeat(light, 3, axis=2)
        picture[200:280, 60 * k : 60 * k + 80] = (200, 40, 40)
        picture = np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
        size = {"height": 480, "width": 640, "step": 1920, "encoding": "rgb8"}
        message = messages.make(IMAGE, header=messages.header(1, "camera"), data=picture.reshape(-1), **size)
        encoded.append(bytearray(messages.encode(IMAGE, message)))
    return encoded


class Publisher(managed.PlainNode):
    """Publishes one topic at its rate and records the stamps."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic.replace("/", "_") + "_driver")
        reliable = topic == "joint_states"
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        kind = message_class(JOINTS if reliable else IMAGE)
        self._frames = frames(topic)
        self.sent: list[int] = []
        self._out = self.create_publisher(kind, topic, QoSProfile(depth=10, reliability=reliability))
        self.create_timer(1.0 / RATES[topic], self._tick)

    def _tick(self) -> None:
        frame = self._frames[len(self.sent) % len(self._frames)]
        now_ns = time.time_ns()
        frame[4:12] = np.array(divmod(now_ns, 10**9), dtype="<u4").tobytes()
        self._out.publish(bytes(frame))
        self.sent.append(now_ns)


class Subscriber(managed.PlainNode):
    """Receives all topics, `decoded` by rclpy or as bytes, and records stamps and arrival times."""

    def __init__(self, decoded: bool) -> None:
        super().__init__("subscriber")
        self.came: dict[str, list[tuple[int, int]]] = {topic: [] for topic in RATES}
        for topic in RATES:
            kind = JOINTS if topic == "joint_states" else IMAGE
            qos = QoSProfile(depth=60, reliability=ReliabilityPolicy.BEST_EFFORT)
            self.create_subscription(
                message_class(kind), topic, self._keep(topic, kind, decoded), qos, raw=not decoded
            )

    def _keep(self, topic: str, kind: str, decoded: bool):
        came = self.came[topic]

        def from_message(message) -> None:
            stamp = message.header.stamp
            came.append((stamp.sec * 10**9 + stamp.nanosec, time.time_ns()))

        def from_bytes(raw: bytes) -> None:
            came.append((messages.raw_stamp_ns(kind, raw), time.time_ns()))

        return from_message if decoded else from_bytes


def main() -> int:
    role, argument, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    made = []

    def make():
        made.append(Publisher(argument) if role == "publish" else Subscriber(argument == "decoded"))
        out.with_suffix(".ready").touch()
        return made[0]

    managed.main(make, [])
    node = made[0]
    out.write_text(json.dumps({argument: node.sent} if role == "publish" else node.came))
    return 0


if __name__ == "__main__":
    sys.exit(main())
