"""The scripted expert on a real graph, with the messages of a simulated task."""

import made_episodes as made
import pytest
from std_srvs.srv import SetBool

from il_ros.core import contract, messages, share
from il_ros.core.synchroniser import Synchroniser
from il_ros.episodes.bag.reader import BagMessage
from il_ros.nodes.runtime.parameters import ParameterError
from il_ros.nodes.runtime.shell import Refusal
from il_ros.nodes.runtime.streams import message_class
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.records import proposal
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task


def test_it_proposes_the_experts_actions_for_the_tasks_messages(graph):
    task = make_task("drive")
    task.reset(3)
    readings = task.readings()
    own = contract.load(share.path("config", "contracts", "drive.yaml"))
    node = graph.start(ScriptedExpert, contract="drive", task="drive")
    proposals = graph.received("expert/proposal", proposal.TYPE)
    publish = {
        reading.topic: graph.publisher(reading.topic, reading.type)
        for reading in readings
        if reading.topic in own.topics
    }
    graph.in_line(*(publish[topic] for topic in {spec.topic for spec in own.observations}))
    offline = Synchroniser(own.observations)
    for reading in readings:
        if reading.topic in publish:
            publish[reading.topic](reading.message)
            if reading.topic in offline.topics:
                offline.push(reading.topic, messages.encode(reading.type, reading.message), task.time_ns)
    graph.until(lambda: proposals, f"a proposal; the node says: {node.status().message}")
    got = proposal.from_message(proposals[0], own.action_names, own.period_ns)
    seen = offline.sample(got.stamp_ns)
    assert (got.chunk == make_expert("drive").act(seen.values)).all()
    assert got.source == "expert"


def frames(graph, own):
    """Return a function that steps a `drive` and publishes its sensors."""
    task = make_task("drive")
    task.reset(3)
    publish = {
        reading.topic: graph.publisher(reading.topic, reading.type)
        for reading in task.readings()
        if reading.topic in own.topics
    }

    def show():
        task.step({})
        for reading in task.readings():
            if reading.topic in publish:
                publish[reading.topic](reading.message)
        graph.spin(0.05)

    return show


def test_it_only_advises_until_engaged_and_releases_when_disengaged(graph):
    own = contract.load(share.path("config", "contracts", "drive.yaml"))
    node = graph.start(ScriptedExpert, contract="drive", task="drive", engaged=False)
    proposals = graph.received("expert/proposal", proposal.TYPE)
    advice = graph.received("expert/advice", proposal.TYPE)
    show = frames(graph, own)

    def seen(received, steps):
        """Publish frames until a message with that many steps has come."""

        def one():
            show()
            return any(len(message.points) == steps for message in received)

        return graph.until(one, f"{steps} steps; the node says: {node.status().message}")

    assert seen(advice, 1)
    assert proposals == []
    assert graph.call("expert/engage", SetBool, data=True).success
    assert seen(proposals, 1)
    assert graph.call("expert/engage", SetBool, data=False).success
    assert seen(proposals, 0)  # the releasing proposal


def demonstrated(root):
    """Write an episode of `drive` in which the commands alternate between two."""
    file = share.path("config", "contracts", "drive.yaml")
    own = contract.load(file)
    task, items = make_task("drive"), []
    task.reset(1)
    for tick in range(20):
        stamp_ns = made.START_NS + tick * own.period_ns
        for reading in task.readings():
            if reading.topic in own.topics:
                seconds, nanoseconds = divmod(stamp_ns, 10**9)
                reading.message.header.stamp.sec, reading.message.header.stamp.nanosec = seconds, nanoseconds
                raw = messages.encode(reading.type, reading.message)
                items.append(BagMessage(f"/{reading.topic}", reading.type, raw, stamp_ns + made.MS))
        sent = (0.5, 1.0) if tick % 2 else (0.5, -1.0)
        items.append(made.decision(tick, sent=sent, mode="expert"))
        task.step({})
    made.write(root, items, text=file.read_text(), task="drive")


def test_a_simulated_intervener_proposes_only_after_the_policy_errs(graph, tmp_path):
    demonstrated(tmp_path)
    own = contract.load(share.path("config", "contracts", "drive.yaml"))
    node = graph.start(ScriptedExpert, contract="drive", task="drive", demonstrations=str(tmp_path))
    proposals = graph.received("expert/proposal", proposal.TYPE)
    advice = graph.received("expert/advice", proposal.TYPE)
    policy = graph.outside.create_publisher(message_class(proposal.TYPE), "policy_server/proposal", 10)
    show = frames(graph, own)

    def ticks(off, until):
        """Publish frames, and the expert's own advice plus `off` as the policy's proposal."""

        def one():
            show()
            if advice:
                advised = proposal.from_message(advice[-1], own.action_names, own.period_ns)
                wrong = proposal.Proposal("policy", advised.stamp_ns, advised.chunk + off, "v1")
                policy.publish(proposal.encode(wrong, own.action_names, own.period_ns))
                graph.spin(0.02)
            return until()

        return graph.until(one, f"an effect; the node says: {node.status().message}", 30.0)

    ticks(0.0, lambda: len(advice) > 20)
    assert proposals == []
    ticks(5.0, lambda: proposals and len(proposals[-1].points) == 1)
    ticks(0.0, lambda: len(proposals[-1].points) == 0)  # it releases


def test_missing_demonstrations_are_refused(graph, tmp_path):
    with pytest.raises(Refusal, match="parameter demonstrations"):
        graph.start(ScriptedExpert, contract="drive", task="drive", demonstrations=str(tmp_path / "none"))


def test_a_task_without_expert_is_refused_with_the_known_ones(graph):
    with pytest.raises((Refusal, ParameterError), match="dance"):
        graph.start(ScriptedExpert, contract="drive", task="dance")


def test_without_a_contract_the_error_names_the_parameter(graph):
    with pytest.raises(Refusal, match="parameter contract is empty"):
        graph.start(ScriptedExpert, task="drive")
