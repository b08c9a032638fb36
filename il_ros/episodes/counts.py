"""Count an episode's labels and interventions from its decisions, without decoding images."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from il_ros.episodes.bag.reader import bag_files, open_bag
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.decisions import read_decisions
from il_ros.records.decision import NOBODY, Decision
from il_ros.records.labelling import BY_MODE, EXPERT, Rule
from il_ros.records.takeovers import group_takeovers

LARGE_BYTES = 200_000_000
"""A larger bag is not read: each decision counts as a label, and the episode as one intervention."""


@dataclass(frozen=True)
class EpisodeCounts:
    """Labelled ticks, takeovers, and the policy's version.

    A tick counts as labelled if a group of actions has a label, and groups that are taken at one tick are one takeover.

    `version`: the version in authority at most of the policy's ticks; "" when no policy had authority.
    `left_out`: the reason for each message that is no decision and was not counted.
    """

    labelled: int
    interventions: int
    version: str = ""
    left_out: tuple[str, ...] = ()


def count_episode(entry: Entry, rule: Rule = BY_MODE) -> EpisodeCounts:
    """Return the counts of a finished episode, whose labels are those of a rule.

    In a bag without decisions, every message of the busiest topic counts as a label.
    Raises BagError when the bag can't be read.
    """
    bag = open_bag(entry.folder)
    topic = entry.info.decision_topic if entry.info is not None else ""
    if not topic or topic not in bag.topics:
        return EpisodeCounts(max((item.messages for item in bag.topics.values()), default=0), 0)
    if sum(file.stat().st_size for file in bag_files(entry.folder)) > LARGE_BYTES:
        return EpisodeCounts(bag.topics[topic].messages, 1)
    start_ns = entry.info.started_ns if entry.info is not None else 0  # earlier messages are pre-roll
    demonstrated = (message for message in bag.before_step([topic]) if message.log_ns >= start_ns)
    found, left_out = read_decisions(demonstrated)
    return replace(count_decisions([each.decision for each in found], rule), left_out=tuple(left_out))


def count_decisions(decisions: list[Decision], rule: Rule = BY_MODE) -> EpisodeCounts:
    """Return the counts of an episode's decisions, given in time order, with the labels of a rule."""
    labelled = 0
    versions: Counter[str] = Counter()
    for decision in decisions:
        driving = [name for name in decision.authorities.values() if name not in (NOBODY, EXPERT)]
        if driving:
            versions[decision.version_of(driving[0])] += 1
        # in mode dagger the expert's proposal may arrive after the decision; arrays join it later
        labelled += decision.mode == "dagger" or rule.choose(decision) is not None
    interventions = len(group_takeovers((each.authorities, each.mode) for each in decisions))
    return EpisodeCounts(labelled, interventions, versions.most_common(1)[0][0] if versions else "")
