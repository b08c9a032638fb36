"""A partial checkpoint while the policy drives: refused, and the bag has an answer for every tick."""

import json
import os

import pytest
from driven_robot import AHEAD, LONG_S, PATIENT, PERIOD_NS, Robot
from made_versions import constant_policy
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.policies import checkpoint, lineage
from il_ros.policies.lineage import Lineage
from il_ros.policies.versions import CHECKPOINT

STRING = "std_msgs/msg/String"
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SLOWER = (0.125,)


def cut(folder):
    weights = folder / checkpoint.MODEL
    weights.write_bytes(weights.read_bytes()[:-8])


def without_weights(folder):
    (folder / checkpoint.MODEL).unlink()


def without_config(folder):
    (folder / checkpoint.CONFIG).unlink()


def without_contract(folder):
    (folder / checkpoint.CONTRACT).unlink()


def config_cut(folder):
    config = folder / checkpoint.CONFIG
    config.write_bytes(config.read_bytes()[:-20])


def not_renamed(folder):
    folder.rename(folder.with_name(f".{folder.name}.4711"))


WAYS = {
    cut: "checksum",
    without_weights: "model.safetensors",
    without_config: "config.json",
    without_contract: "contract.yaml",
    config_cut: "config.json",
    not_renamed: "holds no checkpoint",
}


class Announced:
    """A robot in lockstep with a policy server and announced versions; every tick is recorded."""

    def __init__(self, graph, folder):
        self.graph, self._folder = graph, folder / "policies"
        topic = f"{folder.name}/checkpoint"
        self._verdicts = graph.received("policy_server/version", STRING, LATCHED)
        self.robot = Robot(graph, folder, PATIENT, candidates=topic, versions=str(self._folder))
        self._announce = graph.publisher(topic, STRING, LATCHED)
        graph.in_line(self._announce)
        self._begun = self.robot.record()

    def version(self, number):
        run = self._folder / f"v{number}"
        own = self.robot.contract
        checkpoint.save(run / CHECKPOINT, constant_policy(own, SLOWER, run.name, inputs=("joints",)))
        return run

    def announce(self, run):
        self._announce(messages.make(STRING, data=str(run)))

    def order(self, run):
        """Reload by service; return success and message."""
        self.robot.server.set_parameters([Parameter("checkpoint", value=str(run))])
        answer = self.graph.call("policy_server/reload", Trigger)
        return answer.success, answer.message

    def verdict(self, run):
        """Tick until there is a verdict on a version; return its state and reason."""

        def found():
            self.robot.tick()
            verdicts = [json.loads(message.data)["verdict"] for message in self._verdicts]
            return next((each for each in verdicts if each["version"] == run.name), None)

        verdict = self.graph.until(found, f"the verdict on {run.name}", LONG_S)
        return verdict["state"], verdict["reason"]

    def answers(self):
        """Return version and answer at each recorded tick; none may be missing."""
        kept = self.robot.recorded.stop()
        ticks = range(self._begun + PERIOD_NS, self.robot.stamp_ns + 1, PERIOD_NS)
        assert [each.stamp_ns for each in kept.decisions] == list(ticks)
        assert {row[0] for row in kept.account} == {"policy"}
        assert all(policy == sent for _, policy, _, sent, *_ in kept.account)
        assert len(kept.messages["/joint_states"]) == len(ticks)
        return [(each.version, each.sent) for each in kept.decisions]


@pytest.fixture
def announced(graph, tmp_path):
    return Announced(graph, tmp_path)


def test_a_partial_checkpoint_is_refused_in_every_way_and_each_tick_is_answered(announced):
    for number, (spoil, reason) in enumerate(WAYS.items(), start=2):
        run = announced.version(number)
        spoil(run / CHECKPOINT)
        announced.announce(run)
        state, why = announced.verdict(run)
        assert state == "refused"
        assert reason in why
    whole = announced.version(9)
    announced.announce(whole)
    assert announced.verdict(whole)[0] == "active"
    announced.robot.tick()
    answers = announced.answers()
    swapped = answers.index(("v9", SLOWER))
    assert swapped > len(WAYS)
    assert answers == [("v1", AHEAD)] * swapped + [("v9", SLOWER)] * (len(answers) - swapped)


def test_a_reload_of_a_partial_checkpoint_is_refused_and_each_tick_is_answered(announced):
    for number, (spoil, reason) in enumerate(WAYS.items(), start=2):
        run = announced.version(number)
        spoil(run / CHECKPOINT)
        begins, why = announced.order(run)
        if begins:
            state, why = announced.verdict(run)
            assert state == "refused"
        assert reason in why
    announced.robot.tick()
    assert set(announced.answers()) == {("v1", AHEAD)}


@pytest.mark.parametrize(
    "name", [lineage.FILE, f"{CHECKPOINT}/{checkpoint.MODEL}", f"{CHECKPOINT}/{checkpoint.CONFIG}"]
)
def test_a_fifo_in_a_version_costs_no_tick(announced, name):
    """A FIFO has no writer: whoever opens it for reading waits for ever."""
    run = announced.version(2)
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    announced.announce(run)
    server = announced.robot.server
    for _ in range(20):
        announced.robot.tick()
    if name == lineage.FILE:  # not examined, as any version that is not good
        whole = announced.version(3)
        announced.announce(whole)
        assert announced.verdict(whole)[0] == "active"
        assert server.status().values["version"] == "v3"
    else:
        state, why = announced.verdict(run)
        assert (state, "is a FIFO, not a regular file" in why) == ("refused", True)
    announced.robot.tick()
    answers = announced.answers()
    assert len(answers) > 20
    assert "v2" not in {version for version, _ in answers}


def test_a_fifo_beside_the_driving_version_costs_no_tick(announced):
    """The server looks at the file of the version in control every second."""
    run = announced.version(2)
    lineage.write(run, Lineage("v2"))
    announced.announce(run)
    assert announced.verdict(run)[0] == "active"
    (run / lineage.FILE).unlink()
    os.mkfifo(run / lineage.FILE)
    versions = announced.robot.server._versions
    announced.graph.until(
        lambda: announced.robot.tick() or run.resolve() in versions._foreign, "a look at the file", LONG_S
    )
    assert len(announced.answers()) > 3
