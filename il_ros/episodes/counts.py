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

LARGE_BYTES = 200_000_000
"""A larger bag isn't read for this: each of its decisions counts as a label, and it as corrected."""


@dataclass(frozen=True)
class Tally:
    """Labelled ticks, how often the expert took over from another driver, and the policy's version.

    `version`: the one that drove most of the policy's ticks; "" when no policy drove.
    """

    labelled: int
    interventions: int
    version: str = ""


def tally(entry: Entry) -> Tally:
    """Return the count of a finished episode; raises BagError when its bag can't be read.

    Of a bag without decisions every message of the busiest topic counts as a label.
    """
    bag = open_bag(entry.folder)
    topic = entry.info.decision_topic if entry.info is not None else ""
    if not topic or topic not in bag.topics:
        return Tally(max((item.messages for item in bag.topics.values()), default=0), 0)
    if sum(file.stat().st_size for file in bag_files(entry.folder)) > LARGE_BYTES:
        return Tally(bag.topics[topic].messages, 1)
    return _counted(_decisions(entry, bag, topic))


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


def _counted(decisions: list[Decision]) -> Tally:
    labelled = interventions = 0
    driver = NOBODY
    versions = Counter(
        decision.version for decision in decisions if decision.authority not in (NOBODY, EXPERT)
    )
    for decision in decisions:
        # in dagger the expert's proposal may come after the decision: it is joined when arrays are made
        labelled += decision.mode == "dagger" or label(decision.mode or "priority", decision) is not None
        interventions += decision.authority == EXPERT and driver not in (NOBODY, EXPERT)
        if decision.authority != NOBODY:
            driver = decision.authority
    return Tally(labelled, interventions, versions.most_common(1)[0][0] if versions else "")
