"""The judge on a real graph: it ends episodes that it is sure of, and requests the expert where nothing goes on."""

import time

import hand_rewards
import numpy as np
import pytest
from hand_rewards import CONTRACT
from std_srvs.srv import Trigger
from supervised import Session

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.episodes import layout
from il_ros.nodes.judge.node import JudgeNode
from il_ros.nodes.recorder.node import Recorder
from il_ros.records import rating
from il_ros.records.decision import NOBODY
from il_ros.rewards import checkpoint

JOINTS, STRING = "sensor_msgs/msg/JointState", "std_msgs/msg/String"


class Scene:
    """A joint that is somewhere, a recorder, and a judge whose probability of success is sigmoid(place)."""

    def __init__(self, graph, tmp_path, **parameters):
        self.graph, self.root = graph, tmp_path / "episodes"
        path = tmp_path / "joint.yaml"
        path.write_text(CONTRACT.text)
        checkpoint.save(tmp_path / "reward", hand_rewards.success(CONTRACT, hold_s=0.1))
        given = {"contract": str(path), "root": str(self.root), "min_free_bytes": 0}
        self.recorder = graph.start(Recorder, judge_topic="judge/rating", **given)
        self.judge = graph.start(
            JudgeNode, contract=str(path), success=str(tmp_path / "reward"), tick="timer", **parameters
        )
        self.texts = graph.received("judge/rating", STRING)
        self.joints = graph.publisher("joint_states", JOINTS)
        graph.in_line(self.joints)

    @property
    def newest(self):
        return rating.from_json(self.texts[-1].data)

    def at(self, place, condition, what):
        """Publish the place until the condition holds; return what it returned."""

        published_s = [0.0]

        def held():
            if time.monotonic() - published_s[0] < 0.02:  # the executor handles one message at a time
                return condition()
            published_s[0] = time.monotonic()
            stamp = messages.header(time.time_ns())
            self.joints(messages.make(JOINTS, header=stamp, name=["joint1"], position=np.array([place])))
            return condition()

        return self.graph.until(held, what)

    def began(self):
        """Start an episode, and wait until the judge knows it; return its name."""
        answer = self.at(
            -3.0, lambda: not self.recorder._recorder.watch.silent() and self._start(), "an episode"
        )
        self.at(
            -3.0,
            lambda: self.texts and self.newest.episode == answer and self.newest.probability < 0.1,
            "rated",
        )
        return answer

    def _start(self):
        response = self.graph.call("recorder/start", Trigger)
        return response.message if response.success else ""

    def info(self, name):
        return layout.load_info(self.root / name)


def test_an_episode_of_whose_success_the_model_is_sure_ends_as_one_and_a_person_may_object(graph, tmp_path):
    scene = Scene(graph, tmp_path)
    name = scene.began()
    scene.at(3.0, lambda: scene.recorder._recorder.writer is None, "the end of the episode")
    graph.until(lambda: scene.info(name).complete, "the episode on the disk")
    info = scene.info(name)
    assert info.outcome == "success"
    assert info.outcome_by == "success-by-hand, p = 0.95"
    assert info.stop_reason == "success by model success-by-hand, p = 0.95"
    assert info.succeeded_ns is not None
    assert graph.call("recorder/mark_failure", Trigger).success
    assert (scene.info(name).outcome, scene.info(name).outcome_by) == ("failure", "")


def test_a_model_that_is_not_sure_ends_nothing_and_neither_does_one_beside_a_persons_verdict(graph, tmp_path):
    scene = Scene(graph, tmp_path, end_at=0.9)
    name = scene.began()
    count = len(scene.texts)
    scene.at(2.0, lambda: len(scene.texts) > count + 20, "ratings of 0.88")
    assert scene.newest.probability == pytest.approx(0.88, abs=0.01)
    assert scene.recorder._recorder.writer.info.name == name
    assert graph.call("recorder/mark_failure", Trigger).success
    scene.at(5.0, lambda: scene.newest.ends, "a sure success")
    count = len(scene.texts)
    scene.at(5.0, lambda: len(scene.texts) > count + 5, "more ratings")
    assert scene.recorder._recorder.writer.info.outcome == "failure"
    assert graph.call("recorder/stop", Trigger).success


def test_without_progress_the_supervisor_requests_the_expert(graph, tmp_path, contract_file):
    """The joints of `supervised` stand still; the model knows 0.2 s (4 ticks) of that, and above 0.3 s is too long."""
    model = hand_rewards.progress(contracts.load(contract_file), stall_s=0.2)
    checkpoint.save(tmp_path / "reward", model)
    session = Session(
        graph, contract_file, mode="gated", gated__sources="progress", judge_topic="judge/rating"
    )
    graph.start(JudgeNode, contract=str(contract_file), progress=str(tmp_path / "reward"), use_sim_time=True)
    graph.in_line(session.rig.joints)
    graph.until(lambda: graph.outside.count_subscribers("judge/rating") == 1, "the supervisor's subscription")
    policy = (-0.02, 0.0, -0.1)
    assert session.until_driven_by("policy", policy=policy).authority == "policy"
    for _ in range(200):
        decision = session.tick(policy=policy)
        graph.settle(2)  # the judge's rating of this tick arrives
        if decision.authority == NOBODY:
            break
    assert decision.reason.startswith("waiting for the expert: no progress for 0.")
    assert "at 50 %; successes had at most 0.2 s" in decision.reason


def test_a_model_of_another_contract_leaves_the_judge_unconfigured(graph, tmp_path, contract_file):
    checkpoint.save(tmp_path / "reward", hand_rewards.success(CONTRACT))
    for given, message in (
        ({"success": str(tmp_path / "reward")}, "another contract"),
        ({"progress": str(tmp_path / "nothing")}, "no such folder"),
        ({}, "success and progress are both empty"),
    ):
        node = graph.start(JudgeNode, contract=str(contract_file), **given)
        assert node.state == "unconfigured"
        assert message in node._last_error[1]
        node.destroy_node()
