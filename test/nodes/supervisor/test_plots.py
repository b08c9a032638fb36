"""The supervisor's plottable numbers on a real graph, and in a bag."""

import numpy as np
import pytest
from supervised import Rig

from il_ros.nodes.supervisor.plots import PlotTopics
from il_ros.records import proposal
from il_ros.records.decision import Decision
from il_ros.records.scalars import SCALARS


@pytest.fixture
def plotted(graph, contract_file):
    """Start a supervisor; return it, and by name the numbers that it publishes."""

    def start(**parameters):
        topics = {
            each.name: graph.received(f"dagger_supervisor/plot/{each.name}", each.type) for each in SCALARS
        }
        rig = Rig(graph, contract_file, **parameters).ready()
        for name in topics:
            graph.until(
                lambda name=name: rig.node._plots._publishers[name][0].get_subscription_count(),
                "the plots' reader",
            )
        return rig, topics

    return start


def newest(topics, name):
    return topics[name][-1].data if topics[name] else None


def test_authority_uncertainty_and_age_are_published_as_numbers(plotted):
    rig, topics = plotted()
    rig.graph.until(lambda: newest(topics, "authority") == 0, "no source")
    rig.measure(0.1, 0.2)
    rig.answered("policy", 0.2, 0.1, 0.0, uncertainty=0.25)
    rig.graph.until(lambda: newest(topics, "authority") == 1, "the policy")
    rig.graph.until(lambda: newest(topics, "uncertainty") == 0.25, "the uncertainty")
    rig.graph.until(lambda: topics["observation_age"], "an age")
    rig.answered("expert", 0.2, 0.1, 0.0)
    rig.graph.until(lambda: newest(topics, "authority") == 2, "the expert")
    assert topics["beta"] == topics["threshold"] == []  # mode priority has neither


def test_the_limiter_at_work_is_a_number_above_zero(plotted):
    rig, topics = plotted()
    rig.measure(0.1, 0.2)
    rig.answered("policy", 0.9, 0.9, 0.0)  # both joints are farther than one step of 0.05 rad
    rig.graph.until(lambda: (newest(topics, "limited") or 0) > 0, "limits")
    assert (
        max(message.data for message in topics["limited"]) <= 2 + 2
    )  # speed and acceleration of two joints at most


def test_mode_dagger_shows_the_share_of_the_expert(plotted):
    rig, topics = plotted(mode="dagger", dagger__beta="constant:0.3")
    rig.measure(0.1, 0.2)

    def share():
        for source in ("policy", "expert"):
            proposed = proposal.Proposal(source, rig.now, np.array([[0.2, 0.1, 0.0]]))
            message = proposal.to_message(proposed, rig.contract.action_names, rig.contract.period_ns)
            rig.sources[source](message)
        return newest(topics, "beta") is not None

    rig.graph.until(share, "the share")
    assert newest(topics, "beta") == pytest.approx(0.3)


def decided(stamp_ms, limited=()):
    return Decision(stamp_ns=stamp_ms * 1_000_000, sent_ns=0, authority="policy", reason="a", limited=limited)


def test_a_fast_loop_is_plotted_fifty_times_a_second_with_every_limit_that_acted(graph, contract_file):
    rig = Rig(graph, contract_file)
    limits = graph.received("dagger_supervisor/plot/limited", "std_msgs/msg/Int8")
    plots = rig.node._plots
    graph.until(lambda: plots._publishers["limited"][0].get_subscription_count(), "the reader")
    rig.node.trigger_deactivate()  # its timer decides no more
    plots = PlotTopics(rig.node, rig.contract, ("policy", "expert"))
    try:
        graph.until(lambda: plots._publishers["limited"][0].get_subscription_count(), "the reader")
        limits.clear()
        shown = []
        for stamp_ms in range(1000, 1100, 2):  # 500 Hz for 0.1 s
            made = decided(stamp_ms, ("a speed", "b speed") if stamp_ms == 1004 else ())
            if plots.is_due(made):
                plots.show(made, None)
                shown.append(stamp_ms)
        assert shown == [1000, 1020, 1040, 1060, 1080]
        graph.until(lambda: len(limits) == 5, "the numbers")
        assert [message.data for message in limits] == [0, 2, 0, 0, 0]
        assert plots.is_due(decided(10))  # simulated time began again
    finally:
        plots.close()
