"""The codec of `geometry_msgs/msg/PolygonStamped`: an outline becomes its centre.

Numbers that a message has need no codec: a contract names them by their paths. This one computes what it returns.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.codecs.base import Array, Codec, Decoder, Selected
from il_ros.core.messages import Message
from il_ros.core.specs import ObservationSpec
from il_ros.core.strict_yaml import Section


class OutlineCodec(Codec):
    """Observes the mean of the polygon's corners, x and y; it has no command."""

    observed = True

    def select(self, type_name: str, section: Section) -> Selected:
        """Return the names of the numbers; the contract selects nothing among them."""
        return Selected((), ("centre",), ("centre.x", "centre.y"))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the function that computes the centre (2,) in m; it raises ValueError without corners."""

        def centre(message: Message) -> Array:
            corners = [(point.x, point.y) for point in message.polygon.points]
            if not corners:
                raise ValueError("the polygon has no corners")
            return np.mean(corners, axis=0, dtype=np.float64)

        return centre
