"""How much a recorded episode teaches, counted from its decisions alone: no picture is decoded for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from il_ros.core import messages
from il_ros.core.specs import STRING
from il_ros.episodes.bag.reader import Bag, bag_files, open_bag
from il_ros.episodes.catalogue import Entry
from il_ros.records.decision import NOBODY, Decision, from_json
from il_ros.records.labelling import EXPERT, label
from il_ros.records.takeovers import takeovers

LARGE_BYTES = 200_000_000
"""A larger bag isn't read for this: each of its decisions counts as a label, and it as corrected."""


@dataclass(frozen=True)
class EpisodeCounts:
    """Labelled ticks, takeovers, and the policy's version.

    `version`: the one that drove most of the policy's ticks; "" when no policy drove.
    """

    labelled: int
    interventions: int
    version: str = ""


def tally(entry: Entry) -> EpisodeCounts:
    """Return the count of a finished episode; raises BagError when its bag can't be read.

    Of a bag without decisions every message of the busiest topic counts as a label.
    """
    bag = open_bag(entry.folder)
    topic = entry.info.decision_topic if entry.info is not None else ""
    if not topic or topic not in bag.topics:
        return EpisodeCounts(max((item.messages for item in bag.topics.values()), default=0), 0)
    if sum(file.stat().st_size for file in bag_files(entry.folder)) > LARGE_BYTES:
        return EpisodeCounts(bag.topics[topic].messages, 1)
    return counted(_decisions(entry, bag, topic))


def _decisions(entry: Entry, bag: Bag, topic: str) -> list[Decision]:
    assert entry.info is not None
    found = []
    for message in bag.messages([topic]):
        if message.log_ns < entry.info.started_ns:
            continue  # pre-roll
        try:
            found.append(from_json(messages.decode(STRING, message.raw).data))
        except (ValueError, IndexError):
            continue  # the conversion to arrays names it
    return found


def counted(decisions: list[Decision]) -> EpisodeCounts:
    """Return the counts of an episode's decisions, in their order."""
    labelled = 0
    versions = Counter(
        decision.version for decision in decisions if decision.authority not in (NOBODY, EXPERT)
    )
    for decision in decisions:
        # in dagger the expert's proposal may come after the decision: it is joined when arrays are made
        labelled += decision.mode == "dagger" or label(decision.mode or "priority", decision) is not None
    interventions = len(takeovers((decision.authority, decision.mode) for decision in decisions))
    return EpisodeCounts(labelled, interventions, versions.most_common(1)[0][0] if versions else "")
