"""Uncertainty of the policy and its distance from the expert, at each decision of an episode."""

from __future__ import annotations

import numpy as np

from il_ros.core import messages
from il_ros.core.specs import STRING
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.plots import Curve
from il_ros.records.decision import from_json


def decision_curves(entry: Entry) -> list[Curve]:
    """Return both curves, none without decisions. Raises BagError when the bag cannot be read."""
    topic = "" if entry.info is None else entry.info.decision_topic
    if entry.info is None or not topic:
        return []
    decisions = [
        from_json(messages.decode(STRING, message.raw).data)
        for message in open_bag(entry.folder).messages({topic})
        if message.log_ns >= entry.info.started_ns
    ]
    ticks_ns = np.array([decision.stamp_ns for decision in decisions], dtype=np.int64)
    found = {
        "uncertainty": [decision.uncertainty for decision in decisions],
        "policy to\nexpert (rms)": [decision.disagreement for decision in decisions],
    }
    return [
        Curve(
            name,
            ticks_ns,
            np.array([np.nan if value is None else value for value in values], dtype=np.float64),
        )
        for name, values in found.items()
    ]
