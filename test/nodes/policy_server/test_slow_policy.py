"""A policy that computes for three ticks, on a real graph: no message is lost and no tick is without a proposal."""

import json
import threading

import made_versions as made
import numpy as np
import pytest
import slow_policy
from announced_versions import LATCHED
from made_versions import CONTRACT, JOINT_STATE, TEXT
from slow_policy import STEP, Slowness
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.policy_server.proposing import no_step_left
from il_ros.nodes.runtime.diagnostics import ERROR, OK
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import from_json

PERIOD_NS = CONTRACT.period_ns
STRING = "std_msgs/msg/String"
SLOW_S = 0.15
FAST_NS = 5_000_000
LONG = 100
"""Steps of a chunk that outlasts the slowest machine."""


class Robot:
    """Joints at 200 Hz while the graph spins, of which every tenth message is a tick; `a` counts the messages."""

    def __init__(self, graph):
        self.graph = graph
        self._joints = graph.publisher("joint_states", JOINT_STATE)
        self._raw = graph.received_raw("policy_server/proposal", proposal.TYPE)
        self.published = []
        """The stamps of all messages."""

    def run(self):
        self.graph.in_line(self._joints)
        self._timer = self.graph.outside.create_timer(FAST_NS / 1e9, self.publish)

    def rest(self):
        self.graph.outside.destroy_timer(self._timer)
        self.graph.settle()

    def publish(self):
        # on a busy machine two timer calls may come at once: keep the stamps evenly apart
        now_ns = self.graph.outside.get_clock().now().nanoseconds
        self.published.append(self.published[-1] + FAST_NS if self.published else now_ns)
        head, count = messages.header(self.published[-1]), len(self.published)
        values = np.array([count * 1e-6, 0.1])
        self._joints(messages.make(JOINT_STATE, header=head, name=["a", "b"], position=values))

    def observed(self, stamp_ns):
        """Return joint a as the message of this stamp had it."""
        return (self.published.index(stamp_ns) + 1) * 1e-6

    @property
    def proposals(self):
        return [proposal.decode(raw, CONTRACT.action_names, PERIOD_NS) for raw in self._raw]


def server(graph, tmp_path, horizon=LONG, **parameters):
    folder = slow_policy.write(tmp_path / "checkpoint", CONTRACT, horizon)
    node = graph.start(PolicyServer, checkpoint=folder, **parameters)
    received = []
    push = node._proposer._synchroniser.push

    def counting(topic, raw, arrival_ns):
        received.append(messages.raw_stamp_ns(JOINT_STATE, raw))
        return push(topic, raw, arrival_ns)

    node._proposer._synchroniser.push = counting
    return node, received


def supervisor(graph, tmp_path, **parameters):
    (tmp_path / "contract.yaml").write_text(TEXT)
    graph.start(
        DaggerSupervisor, contract=str(tmp_path / "contract.yaml"), mode="policy", discovery_s=0.1,
        silence_s=30.0, without_measurement="trust", policy__timeout_s=30.0, policy__max_age_s=30.0,
        policy__max_observation_age_s=30.0, **parameters,
    )  # fmt: skip
    return graph.received("dagger_supervisor/decision", STRING)


def require_each_tick(proposals):
    """Require a proposal for each tick from the first answer on.

    On a stalled machine the thread may be idle at a tick, which then waits for its own answer; if that comes after the
    next tick, it serves the later ones.
    """
    stamps, seen = [each.stamp_ns for each in proposals], {each.seen_ns for each in proposals}
    missing = set(range(stamps[0], stamps[-1], PERIOD_NS)) - set(stamps)
    assert stamps == sorted(set(stamps))
    assert missing <= seen
    assert len(missing) <= len(stamps) // 4


def test_a_policy_of_150_ms_at_20_hz_loses_no_message_and_keeps_authority(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=SLOW_S)
    texts = supervisor(graph, tmp_path)
    node, received = server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: node.status().values.get("ticks continued", 0) >= 12, "ticks while it computes")
    robot.rest()
    graph.until(lambda: received and received[-1] == robot.published[-1], "the last message")
    last_tick_ns = robot.published[(len(robot.published) - 1) // 10 * 10]
    graph.until(lambda: robot.proposals[-1].stamp_ns == last_tick_ns, "the last answer")
    assert received == robot.published  # each message once, in order
    proposals = robot.proposals
    require_each_tick(proposals)
    for each in proposals:
        passed = slow_policy.steps_passed(each, proposals[0], PERIOD_NS)
        assert len(each.chunk) == LONG - passed  # the steps that have passed are left out
        expected = robot.observed(each.seen_ns) + (passed + np.arange(len(each.chunk))) * STEP
        np.testing.assert_allclose(each.chunk[:, 0], expected, atol=1e-6)
    assert sum(each.seen_ns < each.stamp_ns for each in proposals) >= 12
    decisions = [from_json(message.data) for message in texts]
    first = next(index for index, each in enumerate(decisions) if each.authority == "policy")
    assert {each.authority for each in decisions[first:]} == {"policy"}
    for each in decisions[first:]:
        origin = next(one for one in reversed(proposals) if one.stamp_ns <= each.stamp_ns)
        assert each.age_s == pytest.approx((each.sent_ns - origin.seen_ns) / 1e9)
    values = node.status().values
    assert values["observation age p50 [ms]"] >= 100.0
    assert values["inference p50 [ms]"] >= 150.0
    assert threading.main_thread() not in slow.began[5:]


def test_a_slow_policy_is_given_the_steps_that_are_executed_while_it_computes(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=SLOW_S)
    slow.continues = True
    texts = supervisor(graph, tmp_path)
    server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()

    def given():
        return [(tick_ns, steps) for _, tick_ns, steps in slow.committed if steps is not None]

    graph.until(lambda: len(given()) >= 4, "answers that continue a chunk")
    robot.rest()
    assert from_json(texts[-1].data).authority == "policy"
    compared = 0
    for tick_ns, steps in given():
        assert 3 <= len(steps) < LONG  # 150 ms are three periods
        for each in robot.proposals:  # what was proposed for those ticks before the answer was there
            passed = (each.stamp_ns - tick_ns) // PERIOD_NS
            if 0 <= passed < len(steps) and each.seen_ns < tick_ns:
                np.testing.assert_allclose(steps[passed], each.chunk[0], atol=1e-9)
                compared += 1
    assert compared >= 4


def test_the_first_chunk_after_a_handover_begins_with_its_first_step(graph, tmp_path, monkeypatch):
    Slowness(monkeypatch, v1=SLOW_S)
    server(graph, tmp_path)
    status = graph.publisher("dagger_supervisor/status", STRING, LATCHED)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(robot.proposals) >= 6, "proposals")
    from_ns = robot.proposals[-1].stamp_ns + 2 * PERIOD_NS
    status(messages.make(STRING, data=json.dumps({"generation": 2, "generation_ns": from_ns})))

    def later():
        return [each for each in robot.proposals if each.seen_ns >= from_ns]

    graph.until(lambda: len(later()) >= 8, "proposals of the new generation")
    robot.rest()
    first = later()[0]
    assert first.stamp_ns > first.seen_ns  # it took some ticks, in which the robot held
    for each in later():
        passed = slow_policy.steps_passed(each, first, PERIOD_NS)
        assert len(each.chunk) == LONG - passed
        assert each.chunk[0, 0] == pytest.approx(robot.observed(each.seen_ns) + passed * STEP, abs=1e-6)


def test_a_policy_continues_no_chunk_of_another_version(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=SLOW_S, v2=SLOW_S)
    slow.continues = True
    supervisor(graph, tmp_path)
    server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()

    def firsts(version):
        return [steps[0, 0] for of, _, steps in slow.committed if of == version and steps is not None]

    graph.until(lambda: len(firsts("v1")) >= 2, "chunks that go on")
    slow_policy.write(tmp_path / "checkpoint", CONTRACT, LONG, name="v2", first=0.5)
    assert graph.call("policy_server/reload", Trigger).success
    graph.until(lambda: len(firsts("v2")) >= 2, "chunks of the new version that go on")
    robot.rest()
    assert max(firsts("v1")) < 0.5 <= min(firsts("v2"))


def test_a_policy_that_does_not_drive_continues_no_chunk(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=SLOW_S)
    node, _ = server(graph, tmp_path)  # and no supervisor that says it drives
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: node.status().values.get("ticks continued", 0) >= 6, "ticks while it computes")
    robot.rest()
    assert {steps is None for _, _, steps in slow.committed} == {True}


def test_a_fast_policy_answers_in_the_thread_that_receives(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch)
    server(graph, tmp_path, inference_share=1.0)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(robot.proposals) >= 5, "proposals")
    assert set(slow.began) == {threading.main_thread()}
    assert all(each.observed_ns is None for each in robot.proposals)


@pytest.mark.parametrize("where", ["inline", "thread"])
def test_where_it_computes_can_be_chosen(graph, tmp_path, monkeypatch, where):
    slow = Slowness(monkeypatch)
    server(graph, tmp_path, inference=where)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(robot.proposals) >= 3, "proposals")
    inline = [thread is threading.main_thread() for thread in slow.began[5:]]
    assert set(inline) == {where == "inline"}


def test_a_policy_that_becomes_slow_moves_to_the_thread_and_back(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch)
    node, _ = server(graph, tmp_path, inference_share=1.0)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(robot.proposals) >= 3, "proposals")
    slow.seconds["v1"] = 0.06
    graph.until(lambda: node._proposer.beside, "the thread")
    slow.seconds["v1"] = 0.0
    graph.until(lambda: not node._proposer.beside, "the node's thread")


def test_a_chunk_too_short_for_its_computing_time_is_an_error_that_says_so(graph, tmp_path, monkeypatch):
    Slowness(monkeypatch, v1=SLOW_S)
    node, received = server(graph, tmp_path, horizon=1)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: node.status().level == ERROR, "the error")
    assert (
        "its chunk covers 0.050 s, so no step is left; train with a longer horizon" in node.status().message
    )
    robot.rest()
    assert robot.proposals == []
    assert received == robot.published


def test_a_failing_inference_is_reported_and_the_next_one_answers(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=SLOW_S)
    node, received = server(graph, tmp_path)
    robot = Robot(graph)
    slow.fails = ZeroDivisionError("no gain")
    robot.run()
    graph.until(lambda: node._last_error, "the report")
    assert "ZeroDivisionError: no gain" in node._last_error[1]
    assert robot.proposals == []
    slow.fails = ValueError("joints: missing")
    graph.until(lambda: node.status().message == "not proposed: joints: missing", "the refusal")
    slow.fails = None
    graph.until(lambda: robot.proposals, "a proposal")
    robot.rest()
    assert received == robot.published


def test_deactivated_while_it_computes_it_is_silent_and_answers_again_after_activation(
    graph, tmp_path, monkeypatch
):
    slow = Slowness(monkeypatch, v1=SLOW_S)
    node, _ = server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: robot.proposals and len(slow.began) > len(slow.ended), "a running inference")
    node.trigger_deactivate()
    graph.until(lambda: robot.proposals[-1].releases, "the release")
    count = len(robot.proposals)
    graph.until(lambda: len(slow.began) == len(slow.ended), "its end")
    graph.settle()
    assert len(robot.proposals) == count
    node.trigger_activate()
    begun = len(robot.published)
    graph.until(lambda: not robot.proposals[-1].releases, "a proposal")
    assert robot.proposals[-1].seen_ns >= robot.published[begun - 1]


def test_activation_waits_for_an_inference_that_still_runs(graph, tmp_path, monkeypatch):
    """The policy is not thread-safe: the warm-up must not run beside it."""
    slow = Slowness(monkeypatch, v1=SLOW_S)
    node, _ = server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(slow.began) > len(slow.ended), "a running inference")
    node.trigger_deactivate()
    assert len(slow.began) > len(slow.ended)
    warm = len(slow.began)
    node.trigger_activate()
    assert node.state == "active"
    assert slow.ended[warm - 1] is not threading.main_thread()  # it ended before the first of the warm-up
    assert slow.ended[warm] is threading.main_thread()


def test_stopped_while_it_computes_the_node_ends(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=SLOW_S)
    node, _ = server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(slow.began) > len(slow.ended), "a running inference")
    thread = slow.began[-1]
    node.stop()
    assert not thread.is_alive()


def test_a_reload_while_it_computes_proposes_the_running_answer_under_its_own_version(
    graph, tmp_path, monkeypatch
):
    Slowness(monkeypatch, v1=SLOW_S, v2=SLOW_S)
    node, _ = server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(robot.proposals) >= 4, "proposals")
    slow_policy.write(tmp_path / "checkpoint", CONTRACT, LONG, name="v2", first=0.5)
    assert graph.call("policy_server/reload", Trigger).success
    graph.until(lambda: robot.proposals[-1].version == "v2", "the new version")
    robot.rest()
    require_each_tick(robot.proposals)
    versions = [each.version for each in robot.proposals]
    assert versions == sorted(versions)
    for each in robot.proposals:  # none is mixed
        passed = slow_policy.steps_passed(each, robot.proposals[0], PERIOD_NS)
        first = {"v1": 0.0, "v2": 0.5}[each.version]
        assert each.chunk[0, 0] == pytest.approx(
            first + robot.observed(each.seen_ns) + passed * STEP, abs=1e-6
        )
    assert node.status().level == OK


def test_after_a_roll_back_the_running_answer_of_the_bad_version_is_dropped(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=0.0, v2=SLOW_S)
    server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: robot.proposals, "proposals")
    slow_policy.write(tmp_path / "checkpoint", CONTRACT, LONG, name="v2", first=0.5)
    assert graph.call("policy_server/reload", Trigger).success
    graph.until(lambda: robot.proposals[-1].version == "v2", "the new version")
    graph.until(lambda: len(slow.began) > len(slow.ended), "a running inference of v2")
    assert graph.call("policy_server/rollback", Trigger).success
    bad = [each.version for each in robot.proposals].count("v2")
    graph.until(lambda: robot.proposals[-1].version == "v1", "the version before")
    graph.until(lambda: len(slow.began) == len(slow.ended), "the end of the inference of v2")
    robot.rest()
    assert [each.version for each in robot.proposals].count("v2") == bad


def test_a_slow_candidate_in_shadow_does_not_delay_the_driving_policy(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=0.0)
    folder = tmp_path / "policies"
    first = made.version(folder, 1)
    node = graph.start(
        PolicyServer, checkpoint=str(first), versions=str(folder), candidates=f"{tmp_path.name}/checkpoint",
        promotion__shadow_ticks=3, promotion__shadow_s=60.0, promotion__latency=100.0, inference_share=1.0,
    )  # fmt: skip
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: robot.proposals, "proposals")
    slow.seconds["v2"] = 0.3  # the shadow run lasts for six ticks per answer
    second = slow_policy.write(folder / "v2" / "checkpoint", CONTRACT, LONG, name="v2")
    monkeypatch.setattr("il_ros.interactive.promotion.examination.TIMED", 2)
    announce = graph.publisher(f"{tmp_path.name}/checkpoint", STRING, LATCHED)
    graph.until(announce.count, "the subscription")
    announce(messages.make(STRING, data=second))
    graph.until(lambda: node._candidates.shadow.active, "the shadow run")
    begun = len(robot.proposals)
    graph.until(lambda: not node._candidates.shadow.active, "its end")
    stamps = [each.stamp_ns for each in robot.proposals[begun:]]
    assert len(stamps) >= 6
    assert np.diff(stamps).tolist() == [PERIOD_NS] * (len(stamps) - 1)
    assert all(each.observed_ns is None for each in robot.proposals[begun:])


def test_when_the_clock_is_set_back_the_running_answer_is_dropped(graph, tmp_path, monkeypatch):
    slow = Slowness(monkeypatch, v1=SLOW_S)
    server(graph, tmp_path)
    robot = Robot(graph)
    robot.run()
    graph.until(lambda: len(robot.proposals) >= 2 and len(slow.began) > len(slow.ended), "an inference")
    before_ns = robot.published[-1]
    robot.published.append(before_ns - 3600 * 10**9)
    count = len(robot.proposals)
    graph.until(lambda: len(robot.proposals) >= count + 3, "proposals after it")
    robot.rest()
    after = [each for each in robot.proposals if each.stamp_ns < before_ns - 10**9]
    assert after
    assert all(each.seen_ns < before_ns - 10**9 for each in after)


CLOCK = "rosgraph_msgs/msg/Clock"


def test_in_lockstep_each_tick_waits_for_its_own_answer(graph, tmp_path, monkeypatch):
    """The simulator waits for the decision, so a run depends on its seed only, however slow the policy is."""
    Slowness(monkeypatch, v1=SLOW_S)
    texts = supervisor(graph, tmp_path, use_sim_time=True)
    clock = graph.publisher("/clock", CLOCK)
    joints = graph.publisher("joint_states", JOINT_STATE)
    server(graph, tmp_path, use_sim_time=True)
    graph.until(lambda: clock.count() == 2, "subscriptions of /clock")
    graph.in_line(joints)
    found = []
    for tick in range(6):
        stamp_ns = 1_000_000_000 + tick * PERIOD_NS
        sec, nanosec = divmod(stamp_ns, 10**9)
        clock(
            messages.make(CLOCK, clock=messages.make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec))
        )
        values = np.array([0.01 * tick, 0.1])
        joints(messages.make(JOINT_STATE, header=messages.header(stamp_ns), name=["a", "b"], position=values))
        graph.until(
            lambda stamp_ns=stamp_ns: texts and from_json(texts[-1].data).stamp_ns >= stamp_ns, "answer"
        )
        found.append(from_json(texts[-1].data))
    assert [each.stamp_ns for each in found] == [1_000_000_000 + tick * PERIOD_NS for tick in range(6)]
    assert [each.age_s for each in found] == [0.0] * 6
    for tick, each in enumerate(found):
        assert each.proposals["policy"] == pytest.approx((0.01 * tick, 0.1), abs=1e-6)
    assert len(texts) == 6


def test_an_answer_that_is_late_by_the_computers_load_is_not_called_slow():
    assert no_step_left(0.05, 0.0004, 0.2) == (
        "not proposed: an answer was there after 0.200 s, and its chunk covers 0.050 s, so no step is left; its "
        "computation took only 0.000 s: the computer is overloaded"
    )
    assert "an answer took 0.150 s to compute" in no_step_left(0.05, 0.15, 0.16)
