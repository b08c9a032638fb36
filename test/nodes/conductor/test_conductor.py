"""The conductor against a made-up simulator, supervisor and recorder on a real graph."""

import json
import time

import pytest
from rcl_interfaces.msg import SetParametersResult
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from il_ros.nodes.conductor.node import Conductor
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.records.decision import Decision, to_json

PERIOD_NS = 50_000_000
IMPATIENT_S = 3.0  # longer than any available node needs on a busy machine
SUCCEEDS_AT = {5: 3, 6: None, 7: 1, 8: None}
BREAKS_AT = {8: 2}


class World(managed.PlainNode):
    """Answers like `sim`; an episode succeeds after SUCCEEDS_AT ticks."""

    def __init__(self, **kwargs):
        super().__init__("sim", **kwargs)
        self.declare_parameter("seed", 0)
        self.log, self.time_ns, self.ticks, self.paused, self.stuck = [], 0, 0, True, False
        self.clock = self.create_publisher(Clock, "/clock", QoSProfile(depth=10))
        self.success = self.create_publisher(Bool, "task/success", LATCHED)
        self.failed = self.create_publisher(Bool, "task/failed", LATCHED)
        self.decision = self.create_publisher(String, "dagger_supervisor/decision", QoSProfile(depth=10))
        self.unanswered = 0
        self.create_service(SetBool, "~/pause", self.on_pause)
        self.create_service(Trigger, "~/reset", self.on_reset)
        self.create_timer(0.002, self.on_timer)

    def on_pause(self, request, response):
        self.log.append("pause" if request.data else "go")
        self.paused, response.success = request.data, True
        return response

    def on_reset(self, _request, response):
        self.seed = self.get_parameter("seed").value
        self.log.append(f"reset {self.seed}")
        self.ticks, response.success = 0, True
        self.publish()
        if self.unanswered:
            self.unanswered -= 1
        else:
            self.decision.publish(
                String(data=to_json(Decision(self.time_ns, self.time_ns, "expert", "made up")))
            )
        return response

    def on_timer(self):
        if not (self.paused or self.stuck):
            self.ticks += 1
            self.publish()

    def publish(self):
        self.time_ns += PERIOD_NS
        seconds, nanoseconds = divmod(self.time_ns, 1_000_000_000)
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = seconds, nanoseconds
        self.clock.publish(clock)
        wanted = SUCCEEDS_AT[self.seed]
        self.success.publish(Bool(data=wanted is not None and self.ticks >= wanted))
        breaks = BREAKS_AT.get(self.seed)
        self.failed.publish(Bool(data=breaks is not None and self.ticks >= breaks))


class Services(managed.PlainNode):
    """A node whose Trigger services log their calls."""

    def __init__(self, name, services, log, refuse=0):
        super().__init__(name)
        self.refuse = refuse
        for parameter, default in (("outcome", "unmarked"), ("seed", 0)):
            self.declare_parameter(parameter, default)
        self.add_on_set_parameters_callback(lambda given: self.on_set(given, log))
        for service in services:
            self.create_service(
                Trigger, f"~/{service}", lambda _, response, s=service: self.on_call(s, response, log)
            )

    def on_set(self, given, log):
        log += [f"{parameter.name}={parameter.value}" for parameter in given]
        return SetParametersResult(successful=True)

    def on_call(self, service, response, log):
        if service == "start" and self.refuse:
            self.refuse -= 1
            response.success, response.message = False, "silent: /joint_states"
            return response
        log.append(service)
        response.success, response.message = True, "episode_000000"
        return response


class SlowRecorder(Services):
    """Reports an episode as saved some time after its stop."""

    def __init__(self, log):
        super().__init__("recorder", ["start", "stop"], log)
        self.log, self.unsaved_since_s = log, None
        self.publisher = self.create_publisher(String, "~/status", LATCHED)
        self.create_timer(0.01, self.on_timer)
        self.tell("episode_000099")  # of an earlier run

    def on_call(self, service, response, log):
        if service == "stop":
            self.unsaved_since_s = time.monotonic()
        return super().on_call(service, response, log)

    def on_timer(self):
        if self.unsaved_since_s is not None and time.monotonic() > self.unsaved_since_s + 0.5:
            self.unsaved_since_s = None
            self.log.append("saved")
            self.tell("episode_000000")

    def tell(self, name):
        self.publisher.publish(String(data=json.dumps({"state": "idle", "last": {"episode": name}})))


@pytest.fixture
def world(graph):
    return graph.start(World)


def add(graph, node):
    graph._add(node)
    return node


def conduct(graph, **parameters):
    conductor = graph.start(Conductor, timeout_s=60.0, **parameters)
    graph.until(conductor.ended.done, "the conductor's end", 120.0)
    return conductor


def test_an_episode_is_prepared_run_marked_and_stopped_in_order(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    add(graph, Services("recorder", ["start", "stop"], world.log, refuse=2))
    conductor = conduct(graph, episodes=1, seed=5)
    assert conductor.ended.result() == 0
    assert world.log[-9:] == [
        *("restart", "reset 5", "outcome=unmarked", "seed=5", "start"),
        *("go", "pause", "outcome=success", "stop"),
    ]
    assert conductor.trials.done[0].episode == "episode_000000"


def test_a_failed_task_ends_its_episode(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    (trial,) = conduct(graph, seed=8, record=False).trials.done
    assert (trial.outcome, trial.reason) == ("failure", "the task can no longer be completed")
    assert trial.simulated_s < 1.0


def test_success_and_time_limit_are_distinguished_and_written(graph, world, tmp_path):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    result = tmp_path / "result.json"
    conduct(graph, episodes=3, seed=5, record=False, time_limit_s=2.0, result=str(result))
    trials = json.loads(result.read_text())["trials"]
    assert [(trial["seed"], trial["outcome"]) for trial in trials] == [
        (5, "success"),
        (6, "failure"),
        (7, "success"),
    ]
    assert trials[1]["simulated_s"] >= 2.0
    assert trials[0]["simulated_s"] < 2.0


def test_a_missing_node_ends_it_and_the_service_is_named(graph):
    conductor = graph.start(Conductor, timeout_s=0.3)
    graph.until(conductor.ended.done, "the conductor's end")
    assert conductor.ended.result() == 1
    assert "service /sim/pause: not there within 0.3 s" in conductor._last_error[1]


def test_a_recorder_that_keeps_refusing_ends_it_with_its_reason(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    add(graph, Services("recorder", ["start", "stop"], world.log, refuse=10_000))
    conductor = graph.start(Conductor, timeout_s=IMPATIENT_S, seed=5)
    graph.until(conductor.ended.done, "the conductor's end")
    assert "recorder/start refused: silent: /joint_states" in conductor._last_error[1]


def test_an_episode_begins_only_after_a_decision_with_authority(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    world.unanswered = 1
    conduct(graph, seed=5, record=False)
    assert world.log.count("reset 5") >= 2
    assert world.log.index("go") > len(world.log) - 3


def test_a_missing_decision_ends_it_with_that_reason(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    world.unanswered = 10_000
    conductor = graph.start(Conductor, timeout_s=IMPATIENT_S, seed=5, record=False)
    graph.until(conductor.ended.done, "the conductor's end")
    assert "a decision for the first frame (is there a proposal?)" in conductor._last_error[1]


class Improving(Services):
    """A trainer and a policy server that gives verdicts, in one node."""

    def __init__(self, log, verdicts):
        super().__init__("trainer", ["train"], log)
        self.verdicts = list(verdicts)
        self.publisher = self.create_publisher(String, "policy_server/version", LATCHED)
        self.progress = self.create_publisher(String, "trainer/progress", QoSProfile(depth=10))

    def on_call(self, service, response, log):
        super().on_call(service, response, log)
        response.message, state, reason = self.verdicts.pop(0)
        if state == "failed":
            event = {"event": "failed", "job": f"training {response.message}", "reason": reason}
            # repeated: the conductor may not have discovered this topic yet
            self.create_timer(0.05, lambda: self.progress.publish(String(data=json.dumps(event))))
        elif state:
            verdict = {"version": response.message, "state": state, "reason": reason}
            self.publisher.publish(String(data=json.dumps({"verdict": verdict})))
        return response


def test_after_each_round_a_policy_is_trained_and_examined_before_the_next_begins(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    add(graph, Improving(world.log, [("v2", "active", "promoted")]))
    conductor = conduct(graph, episodes=3, seed=5, record=False, time_limit_s=0.5, per_round=2)
    assert conductor.ended.result() == 0
    steps = [word for word in world.log if word == "train" or word.startswith("reset")]
    # a reset is repeated until a decision follows
    assert [step for step, before in zip(steps, ["", *steps], strict=False) if step != before] == [
        *("reset 5", "reset 6", "train", "reset 7"),
    ]


def test_a_round_is_trained_from_once_its_last_episode_is_saved(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    add(graph, SlowRecorder(world.log))
    add(graph, Improving(world.log, [("v2", "active", "promoted")]))
    assert conduct(graph, seed=5, per_round=1).ended.result() == 0
    steps = [word for word in world.log if word in ("stop", "saved", "train")]
    assert steps == ["stop", "saved", "train"]


def test_a_version_that_is_refused_ends_a_round_too(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    add(graph, Improving(world.log, [("v2", "refused", "it is slow")]))
    assert conduct(graph, seed=5, record=False, per_round=1).ended.result() == 0


def test_a_failed_training_ends_it_with_its_reason(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    add(graph, Improving(world.log, [("v2", "failed", "no episode can be used")]))
    conductor = conduct(graph, seed=5, record=False, per_round=1)
    assert conductor.ended.result() == 1
    assert "training v2 failed: no episode can be used" in conductor._last_error[1]


def test_a_missing_verdict_ends_it_and_is_named(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    add(graph, Improving(world.log, [("v2", "", "")]))
    conductor = conduct(graph, seed=5, record=False, per_round=1, training_s=1.0)
    assert conductor.ended.result() == 1
    assert "training v2 and the verdict on it" in conductor._last_error[1]


def test_a_stopped_simulator_ends_it(graph, world):
    add(graph, Services("dagger_supervisor", ["restart"], world.log))
    world.stuck = True
    conductor = graph.start(Conductor, timeout_s=IMPATIENT_S, seed=6, record=False)
    graph.until(conductor.ended.done, "the conductor's end")
    assert "the simulator's next simulated second" in conductor._last_error[1]
