"""Uncertainty of the policy and its distance from the expert, at each decision of an episode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.decisions import read_decisions, summary
from il_ros.episodes.plots import Curve


def decision_curves(entry: Entry, refuse: Callable[[str], None] = lambda reason: None) -> list[Curve]:
    """Return both curves, none without decisions. Raises BagError when the bag cannot be read.

    `refuse` is called with a sentence about the messages that are no decision, if there are any.
    """
    topic = "" if entry.info is None else entry.info.decision_topic
    if entry.info is None or not topic:
        return []
    start_ns = entry.info.started_ns
    recorded = open_bag(entry.folder).messages({topic})
    read, left_out = read_decisions(message for message in recorded if message.log_ns >= start_ns)
    if left_out:
        refuse(f"{entry.name}: {summary(left_out)}")
    decisions = [each.decision for each in read]
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


def limited_ticks(entry: Entry) -> dict[str, NDArray[np.int64]]:
    """Return, by the name of an action's element, the ticks (N,) at which the limiter changed its command.

    Raises BagError when the bag cannot be read.
    """
    if entry.info is None or not entry.info.decision_topic:
        return {}
    read, _ = read_decisions(open_bag(entry.folder).messages({entry.info.decision_topic}))
    found: dict[str, list[int]] = {}
    for each in read:
        for sentence in each.decision.limited:
            found.setdefault(sentence.partition(" ")[0], []).append(each.decision.stamp_ns)
    return {name: np.unique(np.array(ticks_ns, dtype=np.int64)) for name, ticks_ns in found.items()}
