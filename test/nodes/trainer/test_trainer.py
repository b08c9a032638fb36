"""The trainer on a real graph: training, progress, cancelling, evaluation."""

import json

import made_episodes as made
import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import contract, share
from il_ros.nodes.runtime.diagnostics import ERROR, OK
from il_ros.nodes.trainer.node import Trainer
from il_ros.policies import checkpoint
from il_ros.policies.families.behaviour_cloning import BehaviourCloning
from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.versions import CHECKPOINT

STRING = "std_msgs/msg/String"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LONG_S = 150.0  # a process that imports torch, on a busy machine
QUICK = ["inputs=[joints]", "hidden=[8]", "epochs=3"]
ENDLESS = ["inputs=[joints]", "hidden=[8]", "epochs=1000000"]


@pytest.fixture
def root(tmp_path):
    for number in range(2):
        made.write(tmp_path / "episodes", made.recorded(20), number=number)
    return tmp_path / "episodes"


class Trained:
    """A trainer and its progress events."""

    def __init__(self, graph, root, changes):
        self._graph = graph
        self.versions = root.parent / "policies"
        self.progress = graph.received("trainer/progress", STRING, 100)
        self.node = graph.start(
            Trainer, root=str(root), checkpoint=str(self.versions), changes=changes, background=False
        )
        self.announced = graph.received("trainer/checkpoint", STRING, LATCHED)

    def call(self, name):
        return self._graph.call(f"trainer/{name}", Trigger)

    @property
    def events(self):
        return [json.loads(message.data) for message in self.progress]

    def until_event(self, name):
        return self._graph.until(
            lambda: [event for event in self.events if event["event"] == name], f"event {name}", LONG_S
        )[0]

    def until_idle(self):
        self._graph.until(lambda: self.node._job is None, "the end of the job", LONG_S)


def test_a_training_reports_progress_and_announces_its_policy(graph, root):
    trainer = Trained(graph, root, QUICK)
    answer = trainer.call("train")
    assert (answer.success, answer.message) == (True, "v1")
    trainer.until_event("done")
    graph.until(lambda: trainer.announced, "the checkpoint's path")
    assert [event["epoch"] for event in trainer.events if event["event"] == "epoch"] == [1, 2, 3]
    assert {event["job"] for event in trainer.events} == {"training v1"}
    policy = checkpoint.load(trainer.announced[-1].data)
    assert policy.version == "v1"
    assert trainer.announced[-1].data == str(trainer.versions / "v1")
    assert trainer.node.status().level == OK
    late = graph.received("trainer/checkpoint", STRING, LATCHED)
    graph.until(lambda: late, "the latched path for a late subscriber")


def test_a_cancelled_training_leaves_no_policy_and_the_next_may_begin(graph, root):
    trainer = Trained(graph, root, ENDLESS)
    trainer.call("train")
    trainer.until_event("epoch")
    busy = trainer.call("train")
    assert not busy.success
    assert "busy: training v1" in busy.message
    assert trainer.call("cancel").success
    trainer.until_event("cancelled")
    assert trainer.node.status().message == "training v1: cancelled"
    assert not (trainer.versions / "v1").exists()
    assert trainer.announced == []
    assert trainer.call("train").message == "v1"


def test_a_failed_training_gives_its_reason(graph, root):
    trainer = Trained(graph, root, ["epcohs=3"])
    trainer.call("train")
    trainer.until_idle()
    status = trainer.node.status()
    assert status.level == ERROR
    assert "did you mean 'epochs'" in status.message
    assert "did you mean 'epochs'" in trainer.until_event("failed")["reason"]


def test_without_a_job_there_is_nothing_to_cancel_nor_a_policy_to_evaluate(graph, root):
    trainer = Trained(graph, root, QUICK)
    cancelled, evaluated = trainer.call("cancel"), trainer.call("evaluate")
    assert (cancelled.success, cancelled.message) == (False, "nothing to cancel")
    assert not evaluated.success
    assert "holds no trained policy" in evaluated.message


def test_at_start_the_newest_policy_is_announced_and_evaluating_a_damaged_one_fails(graph, root):
    for version in ("v9", "v10"):
        (root.parent / "policies" / version / CHECKPOINT).mkdir(parents=True)
    trainer = Trained(graph, root, QUICK)
    graph.until(lambda: trainer.announced, "the checkpoint's path")
    assert trainer.announced[0].data == str(trainer.versions / "v10")
    assert trainer.call("evaluate").message == "v10"
    assert "v10: holds no checkpoint" in trainer.until_event("failed")["reason"]


def test_the_newest_policy_is_evaluated_in_the_simulator(graph, root):
    reach = contract.load(share.path("config", "contracts", "arm_reach.yaml"))
    numbers, commands = len(Inputs.of(reach).groups), reach.action_size
    normaliser = Normaliser(
        Affine(np.zeros(numbers), np.ones(numbers)), Affine(np.zeros(commands), np.ones(commands))
    )
    settings = BehaviourCloning(hidden=(4,))
    network = make_network("bc", settings, reach, normaliser)
    trainer = Trained(graph, root, QUICK)
    policy = LoadedPolicy(reach, "bc", settings, network, normaliser, "v1", {"tasks": ["reach"]})
    checkpoint.save(trainer.versions / "v1" / CHECKPOINT, policy)
    trainer.node.set_parameters([Parameter("episodes", value=2)])
    assert trainer.call("evaluate").message == "v1"
    done = trainer.until_event("done")
    assert (done["task"], done["version"], done["count"]) == ("reach", "v1", 2)
    assert [event["seed"] for event in trainer.events if event["event"] == "episode"] == [
        1_000_000,
        1_000_001,
    ]


def test_a_trainer_that_ends_stops_its_process(graph, root):
    trainer = Trained(graph, root, ENDLESS)
    trainer.call("train")
    trainer.until_event("epoch")
    process = trainer.node._job._process
    trainer.node.stop()
    assert process.poll() is not None
