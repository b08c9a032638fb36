"""Moments to label later are read from marks, states and decisions; an odd message costs itself."""

import made_episodes as made
import numpy as np
import pytest

from il_ros.episodes.catalogue import look
from il_ros.session.curves import decision_curves
from il_ros.session.relabelling.moments import moments, to_label

MARK = '{"stamp_ns": %d, "kind": "label_later", "episode": "episode_000001"}' % made.stamp(6)  # noqa: UP031


def state(tick, *numbers):
    return made.command("/task/state", [made.stamp(tick), *numbers], made.stamp(tick))


def driven(ticks=10):
    """The policy drives; its uncertainty is highest at tick 2."""
    items = made.recorded(ticks, decisions=False)
    items += [made.decision(t, authority="policy", uncertainty=1.0 if t == 2 else 0.1) for t in range(ticks)]
    return items + [state(tick, float(tick), 0.5) for tick in range(ticks)]


def test_a_mark_is_moved_back_and_the_most_uncertain_tick_is_added(tmp_path):
    folder = made.write(tmp_path, [*driven(), made.text(6, MARK, "/session/marks")])
    found = moments(folder, uncertain=1, before_s=0.1, apart_s=0.05)
    assert [(each.at_s, each.why) for each in found] == [(0.1, "doubt 1"), (0.2, "marked")]
    np.testing.assert_array_equal([each.state for each in found], [[2.0, 0.5], [4.0, 0.5]])


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (
            made.text(3, "[" * 100_000, "/session/marks"),
            "/session/marks: not a mark: the JSON is nested too deeply",
        ),
        (made.text(3, '{"kind": "label_later"}', "/session/marks"), "a mark without 'stamp_ns'"),
        (made.text(3, '{"stamp_ns": "now", "kind": ""}', "/session/marks"), "stamp_ns is 'now'"),
        (
            made.command("/task/state", [], made.stamp(3)),
            "/task/state: a stamp and a state of finite numbers",
        ),
        (
            made.command("/task/state", [np.nan, 1.0], made.stamp(3)),
            "/task/state: a stamp and a state of finite",
        ),
        (made.text(3, made.odd_decisions()["sent is 5; it must be a list"]), "sent is 5; it must be a list"),
    ],
)
def test_an_odd_message_costs_itself_and_is_named(tmp_path, odd, says):
    folder = made.write(tmp_path, [*driven(), made.text(6, MARK, "/session/marks"), odd])
    found = to_label([look(folder)], uncertain=1)
    assert [moment.why for moment in found.moments] == ["marked"]  # tick 2 is near the mark
    (sentence,) = found.left_out
    assert says in sentence


def test_the_curves_leave_an_odd_decision_out_and_name_it(tmp_path):
    odd = made.odd_decisions()["sent is 5; it must be a list"]
    folder = made.write(tmp_path, [*driven(), made.text(3, odd)])
    warnings = []
    uncertainty, _ = decision_curves(look(folder), warnings.append)
    assert uncertainty.values.tolist() == [0.1, 0.1, 1.0, *[0.1] * 7]
    (sentence,) = warnings
    assert sentence.startswith(
        "episode_000001: a message of /dagger_supervisor/decision is not a decision: sent is 5"
    )
