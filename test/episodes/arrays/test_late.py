"""Expert proposals that arrive after the decision of their tick become its label."""

import made_episodes as made
import numpy as np

from il_ros.core import messages
from il_ros.episodes.arrays.tick_labels import Span, label_ticks, label_topics
from il_ros.episodes.bag.reader import BagMessage, open_bag
from il_ros.episodes.bag.topics import find_streams
from il_ros.episodes.layout import load_info
from il_ros.records import proposal

MS = made.MS
WHOLE = Span(made.START_NS, made.stamp(1000))
NAMES = made.CONTRACT.action_names


def proposes(tick, chunk, source="expert", after=10 * MS):
    proposed = proposal.Proposal(
        source, made.stamp(tick), np.array(chunk, dtype=float).reshape(-1, len(NAMES))
    )
    raw = proposal.encode(proposed, NAMES, made.PERIOD_NS)
    return BagMessage("/expert/proposal", proposal.TYPE, raw, made.stamp(tick) + after)


def drawn(tick, **changes):
    """Return the decision of a tick with the policy in authority and no expert proposal yet."""
    proposals = {"expert": None, "policy": (0.0, 0.0, 0.0)}
    return made.decision(tick, authority="policy", **{"mode": "dagger", "proposals": proposals, **changes})


def labels(tmp_path, items):
    folder = made.write(tmp_path, made.recorded(4, decisions=False) + items)
    bag = open_bag(folder)
    streams = find_streams(made.CONTRACT, bag, load_info(folder))
    out, left_out = label_ticks(
        bag.messages(label_topics(made.CONTRACT, streams)), made.CONTRACT, streams, WHOLE
    )
    assert left_out == []
    return [None if moment.command is None else moment.command.tolist() for moment in out]


def test_a_late_expert_proposal_is_the_label_of_its_tick(tmp_path):
    items = [drawn(0), drawn(1), proposes(0, [7, 8, 9]), proposes(1, [[1, 2, 3], [4, 5, 6]])]
    assert labels(tmp_path, items) == [[7, 8, 9], [1, 2, 3]]


def test_the_proposal_in_the_decision_takes_precedence(tmp_path):
    items = [drawn(0, proposals={"expert": (1.0, 1.0, 1.0), "policy": None}), proposes(0, [7, 8, 9])]
    assert labels(tmp_path, items) == [[1, 1, 1]]


def test_a_proposal_joins_only_a_tick_within_half_a_period(tmp_path):
    items = [drawn(0), drawn(1), proposes(0.4, [7, 8, 9], after=0), proposes(2, [1, 2, 3])]
    assert labels(tmp_path, items) == [[7, 8, 9], None]


def test_releases_invalid_values_and_other_sources_are_not_labels(tmp_path):
    items = [drawn(0), drawn(1), drawn(2)]
    items += [proposes(0, []), proposes(1, [np.nan, 0, 0]), proposes(2, [1, 2, 3], source="intruder")]
    assert labels(tmp_path, items) == [None, None, None]


def test_in_other_modes_a_late_proposal_is_not_a_label(tmp_path):
    assert labels(tmp_path, [drawn(0, mode="hg_dagger"), proposes(0, [7, 8, 9])]) == [None]


def test_bytes_that_are_not_a_proposal_are_ignored(tmp_path):
    broken = proposes(0, [7, 8, 9])
    short, shortest = (broken._replace(raw=broken.raw[:size]) for size in (40, 6))
    assert messages.raw_stamp_ns(proposal.TYPE, short.raw) == made.stamp(0)
    assert labels(tmp_path, [drawn(0), short, shortest]) == [None]
