"""An odd message on a topic costs itself: the node names it once, without a traceback, and goes on."""

import json

import pytest
from at_the_keys import Screen
from watched_episodes import Watched

from il_ros.core import messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.session.node import Session
from il_ros.records.decision import Decision, to_json

STRING, MS = "std_msgs/msg/String", 1_000_000
DECISIONS = "dagger_supervisor/decision"
ODD = (
    '{"sent": 5}',
    "[" * 10_000,
    to_json(Decision(1, 1, "policy", "")).replace('"mode":""', '"mode":"future"'),
)


def published(graph, topic):
    """Return publish(text) on a topic that a node has subscribed to."""
    publish = graph.publisher(topic, STRING)
    graph.until(publish.count, f"a subscription to {topic}")
    return lambda text: publish(messages.make(STRING, data=text))


def named(graph, node, says):
    graph.until(lambda: node._last_error and says in node._last_error[1], f"an error with {says}")


@pytest.mark.parametrize("odd", ODD, ids=["field", "depth", "mode"])
def test_the_policy_servers_driving_record_goes_on_after_an_odd_decision(graph, tmp_path, capfd, odd):
    server = graph.start(PolicyServer, candidates=f"{tmp_path.name}/checkpoint")
    decide = published(graph, DECISIONS)

    began_ns = graph.outside.get_clock().now().nanoseconds

    def drive(tick):
        stamp_ns = began_ns + tick * 50 * MS
        decide(to_json(Decision(stamp_ns, stamp_ns, "policy", "", version="v1", mode="gated")))

    drive(1)
    drive(2)
    decide(odd)
    drive(3)
    # the first decision only sets the driver; 50 ms each for the second and the third
    graph.until(lambda: server._versions._log.of("v1").seconds == pytest.approx(0.1), "both counted")
    named(graph, server, "not a decision: ")
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    assert (printed.out + printed.err).count("not a decision: ") == 1


def test_the_trainer_names_an_odd_decision_and_goes_on(graph, tmp_path, capfd):
    trainer = Watched(graph, tmp_path, train_after=0)
    decide = published(graph, DECISIONS)
    decide('{"sent": 5}')
    named(graph, trainer.node, "not a decision: a decision without 'stamp_ns'")
    assert trainer.until("noticed")["labels"] == 40
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err


def test_the_session_names_odd_messages_and_shows_the_next_ones(graph, capfd):
    node = graph.start(lambda **kwargs: Session(Screen(), **kwargs))
    decide, recorder = published(graph, DECISIONS), graph.publisher("recorder/status", STRING, LATCHED)
    graph.until(recorder.count, "a subscription to the recorder's status")
    decide(ODD[2])
    named(graph, node, "mode is 'future'; it must be one of")
    recorder(messages.make(STRING, data='{"episode": 5}'))
    named(graph, node, "not a message of recorder/status: episode is 5; it must be a text")
    decide(to_json(Decision(7, 7, "policy", "why")))
    recorder(messages.make(STRING, data=json.dumps({"episode": "episode_000001", "last": None})))
    graph.until(lambda: (node.state.driver, node.state.recording) == ("policy", "episode_000001"), "both")
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
