"""The scripted expert on a real graph, with a simulated task's own messages."""

import pytest

from il_ros import contract, share
from il_ros.control import proposal
from il_ros.nodes.parameters import ParameterError
from il_ros.nodes.scripted_expert import ScriptedExpert
from il_ros.nodes.shell import Refusal
from il_ros.sim.experts import make_expert
from il_ros.sim.task import make_task
from il_ros.synchroniser import Synchroniser


def test_it_proposes_exactly_what_the_expert_answers_to_the_tasks_messages(graph):
    from il_ros import messages

    task = make_task("drive")
    task.reset(3)
    readings = task.readings()
    own = contract.load(share.path("config", "contracts", "drive.yaml"))
    node = graph.start(ScriptedExpert, contract="drive", task="drive")
    heard = graph.received("expert/proposal", proposal.TYPE)
    publish = {
        reading.topic: graph.publisher(reading.topic, reading.type)
        for reading in readings
        if reading.topic in own.topics
    }
    graph.until(lambda: all(publish[spec.topic].count() for spec in own.observations), "subscriptions")
    graph.spin(0.25)  # until the subscriptions are in line with these publishers
    graph.until(lambda: all(publish[spec.topic].count() for spec in own.observations), "subscriptions")
    offline = Synchroniser(own.observations)
    for reading in readings:
        if reading.topic in publish:
            publish[reading.topic](reading.message)
            if reading.topic in offline.topics:
                offline.push(reading.topic, messages.encode(reading.type, reading.message), task.time_ns)
    graph.until(lambda: heard, f"a proposal; the node says: {node.status().message}")
    got = proposal.from_message(heard[0], own.action_names, own.period_ns)
    seen = offline.sample(got.stamp_ns)
    assert (got.chunk == make_expert("drive").act(seen.values)).all()
    assert got.source == "expert"


def test_a_task_without_expert_is_refused_naming_those_there_are(graph):
    with pytest.raises((Refusal, ParameterError), match="dance"):
        graph.start(ScriptedExpert, contract="drive", task="dance")


def test_without_a_contract_it_says_what_to_give(graph):
    with pytest.raises(Refusal, match="parameter contract is empty"):
        graph.start(ScriptedExpert, task="drive")
