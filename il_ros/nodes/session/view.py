"""A camera image in the session's terminal."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from il_ros.core.specs import COMPRESSED_IMAGE, IMAGE
from il_ros.episodes.video import picture_of
from il_ros.nodes.runtime.parameters import declare
from il_ros.session.view import picture_lines

QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class View:
    """Keeps the newest image of the camera that parameter `view` names; draws it unless switched off."""

    def __init__(self, node: Node) -> None:
        topic = declare(node, "view", "", "camera that the console shows, key v; empty: none", read_only=True)
        compressed = declare(
            node, "view_compressed", False, "the camera publishes CompressedImage, not Image", read_only=True
        )
        self._type = COMPRESSED_IMAGE if compressed else IMAGE
        self.camera = self.shown = bool(topic)
        self._raw = b""
        self._drawn: tuple[bytes, int, int] = (b"", 0, 0)
        self._lines: list[str] = []
        if topic:
            kind = CompressedImage if compressed else Image
            node.create_subscription(kind, topic, self._take, QOS, raw=True)

    def lines(self, width: int, height: int) -> list[str]:
        """Return the image as lines for a terminal of this size; [] without an image."""
        if not (self.shown and self._raw):
            return []
        wanted = (self._raw, width, height)
        if wanted != self._drawn:
            self._drawn = wanted
            try:
                self._lines = picture_lines(picture_of(self._type, self._raw), width, height)
            except ValueError as error:
                self.shown, self._lines = False, [f"no view: {error}"]
        return self._lines

    def _take(self, raw: bytes) -> None:
        self._raw = raw
