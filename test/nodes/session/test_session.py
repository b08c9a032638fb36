"""A session on a real graph: keys, gamepad, simulator, expert, supervisor, recorder, simulated person."""

import json
import shlex

import made_episodes as made
import numpy as np
import pytest
import yaml
from at_the_keys import AtTheKeys

from il_ros.cli.main import main
from il_ros.core import actions, contract, messages, share
from il_ros.core.specs import JOINT_STATE, STRING
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import look, scan
from il_ros.episodes.layout import load_info
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.proposer import Proposer, declare_tick
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.session.node import Session
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.sim.node import Sim
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.trainer.node import Trainer
from il_ros.records.proposal import Answer
from il_ros.session import keys, report
from il_ros.session.curves import decision_curves

JOY = "sensor_msgs/msg/Joy"


class StandStill(managed.PlainNode):
    """A policy that proposes the arm's current position."""

    def __init__(self, **kwargs):
        super().__init__("policy_server", **kwargs)
        declare_tick(self)
        self.contract = load_contract(declare_contract(self))
        self.proposer = Proposer(self, self.contract, "policy", self.answer)

    def answer(self, observation):
        still = actions.measured(self.contract, observation.values)[np.newaxis]
        return Answer(still, "still-1", uncertainty=0.5)

    def stop(self):
        self.proposer.close()


@pytest.fixture
def robot(graph, tmp_path):
    """Return a graph with all but the session."""
    shared = {"use_sim_time": True, "contract": "arm_push"}
    patient = {f"{name}__{what}": 5.0 for name in ("policy", "expert") for what in ("timeout_s", "max_age_s")}
    # in lockstep: a busy machine slows time instead of making sensors stale
    answers = "policy_server/proposal expert/advice"
    graph.start(
        Sim, task="push", cameras=False, speed=3.0, lockstep=True, lockstep_answers=answers,
        lockstep_timeout_s=2.0,
    )  # fmt: skip
    graph.start(StandStill, **shared)
    graph.start(ScriptedExpert, task="push", engaged=False, **shared)
    graph.start(
        DaggerSupervisor, mode="expert", discovery_s=0.1, silence_s=0.1, gated__ask=0.4, **patient, **shared
    )
    graph.start(Recorder, root=str(tmp_path / "episodes"), task="push", min_free_bytes=0, **shared)
    return graph


def test_a_session_from_the_keyboard(robot, tmp_path):
    person = AtTheKeys(robot)
    person.type("n", lambda state: state.recording, "an episode begins")
    person.drives("policy")
    person.type("t", lambda state: state.driver == "expert", "the expert takes over")
    person.drives("expert")
    person.type("l", lambda _: "to be labelled later" in person.screen.lines[-1], "a moment is noted")
    person.type("t", lambda state: state.driver == "policy", "hand-back")
    person.drives("policy")
    person.type("g", lambda state: state.outcome == "success", "marked")
    person.graph.until(lambda: person.state.mode == "expert" and not person.state.running, "rest")
    first = person.state.labels
    assert first >= 5

    person.type("n", lambda state: state.recording == "episode_000002", "the next start")
    assert person.state.seed == 4
    person.type("t", lambda state: state.labels > first, "labels")
    person.type(" ", lambda state: state.estop, "the stop")
    person.graph.until(lambda: "STOPPED" in person.screen.shown, "the stop on the screen")
    assert person.state.estop == "emergency stop pressed (/session)"
    person.type("u", lambda state: not state.recording and state.labels == first, "undone")
    person.type("c", lambda state: not state.estop, "cleared")
    person.type("w", lambda _: "key w has no function" in person.screen.lines[-1], "no node drives by keys")
    person.type("\x04", lambda _: person.node.ended.done(), "the end")
    assert person.node.ended.result() == 0

    wanted = {"episode_000001": "ready", "episode_000002": "discarded"}

    def states():
        return {entry.name: entry.state for entry in scan(tmp_path / "episodes").entries}

    robot.until(lambda: states() == wanted, "both on the disk")
    folder = tmp_path / "episodes" / "episode_000001"
    info = load_info(folder)
    assert (info.outcome, info.seed) == ("success", 3)
    (mark,) = open_bag(folder).messages({"/session/marks"})
    marked = json.loads(messages.decode(STRING, mark.raw).data)
    assert info.started_ns < marked["stamp_ns"] < info.stopped_ns
    curves = {curve.name.split()[0]: curve for curve in decision_curves(look(folder))}
    assert set(curves["uncertainty"].values[np.isfinite(curves["uncertainty"].values)]) == {0.5}
    assert np.isfinite(curves["policy"].values).any()  # where the expert also proposed
    assert main(["episodes", "plot", str(folder), "-o", str(tmp_path / "plot.png")]) == 0
    facts = report.read(tmp_path / "episodes")
    (kept,) = facts.kept
    assert (kept.version, kept.outcome, len(kept.takeovers), kept.labels) == ("still-1", "success", 1, first)
    assert {"policy", "expert"} <= set(kept.drivers)
    assert np.isfinite(kept.disagreements).any()
    (version,) = facts.versions
    assert (version.interventions, version.successes, version.alone) == (1, 1, 0)

    assert main(["episodes", "relabel", "--root", str(tmp_path / "episodes"), "--uncertain", "1"]) == 0
    again = sorted((tmp_path / "episodes").glob("episode_*"))[2:]
    assert [load_info(each).made_from.partition(": ")[2][:6] for each in again] != []
    for each in again:
        made = load_info(each)
        assert made.made_from.startswith("episode_000001 at ")
        assert (made.seed, made.operator, made.complete) == (3, "scripted expert, afterwards", True)
    dataset = Dataset.open(
        tmp_path / "episodes", contract.parse(info.contract_text, "recorded"), validation=0
    )
    frames = {episode.name: len(episode) for episode in dataset.train}
    assert all(frames[each.name] >= 10 for each in again)
    assert returned_to(marked, folder, dataset, again)


def returned_to(marked, folder, dataset, again):
    """Return whether a new episode begins at the arm's state half a second before the mark."""
    joints = [
        messages.decode(JOINT_STATE, message.raw) for message in open_bag(folder).messages({"/joint_states"})
    ]
    stamps = np.array([messages.stamp_ns(message) for message in joints])
    start_ns = stamps[stamps >= load_info(folder).started_ns][0]
    wanted_ns = max(start_ns, marked["stamp_ns"] - 500_000_000)  # half a second before the mark, if recorded
    there = joints[int(np.flatnonzero(stamps <= wanted_ns)[-1])].position
    names = {each.name for each in again}
    begins = [np.asarray(e.observations["joints"])[0] for e in dataset.train if e.name in names]
    return any(np.allclose(begin, there[: len(begin)], atol=1e-9) for begin in begins)


def test_a_session_from_the_gamepad_with_the_shipped_buttons(robot, tmp_path):
    shipped = yaml.safe_load(share.path("config", "nodes", "session.yaml").read_text())
    lines = shipped["/**"]["ros__parameters"]["joy_buttons"]
    index = {command: int(at) for command, at in (line.split() for line in lines)}
    person = AtTheKeys(robot, joy_buttons=lines)
    publish = robot.publisher("joy", JOY)
    robot.until(publish.count, "the session's subscription")

    def press(command, until, what):
        robot.until(lambda: not person.node.busy, f"rest before {what}")
        for pressed in (True, False):
            buttons = np.array([pressed and at == index[command] for at in range(11)], np.int32)
            publish(messages.make(JOY, axes=np.zeros(0, np.float32), buttons=buttons))
        robot.until(lambda: until(person.state), f"{what}; shown: {person.screen.lines}")

    press("next", lambda state: state.recording, "an episode begins")
    assert any(line.endswith("10 clear") for line in person.screen.lines)  # the help of the buttons
    person.drives("policy")
    press("take", lambda state: state.driver == "expert", "the expert takes over")
    press("later", lambda _: "to be labelled later" in person.screen.lines[-1], "a moment is noted")
    press("take", lambda state: state.driver == "policy", "hand-back")
    press("success", lambda state: state.outcome == "success", "marked")
    press("record", lambda state: state.recording == "episode_000002", "recording")
    press("run", lambda state: state.driver == "policy", "the policy drives")
    press("failure", lambda state: state.outcome == "failure", "marked")
    press("undo", lambda state: state.outcome == "undone", "taken back")
    press("stop", lambda state: state.estop, "the stop")
    press("clear", lambda state: not state.estop, "cleared")
    wanted = {"episode_000001": "ready", "episode_000002": "discarded"}
    robot.until(
        lambda: {each.name: each.state for each in scan(tmp_path / "episodes").entries} == wanted, "the disk"
    )


def test_an_expert_request_rings_the_sessions_terminal(robot):
    person = AtTheKeys(robot, mode="gated", teacher=False)
    person.type("n", lambda state: state.recording, "an episode begins")
    person.graph.until(lambda: person.state.wanted, f"a request; shown: {person.screen.lines}")
    assert [line for line in person.screen.lines if "\a" in line and "expert requested" in line]
    person.graph.until(lambda: "expert requested:" in person.screen.shown, "the status line")


def test_a_refused_command_is_shown_and_the_session_continues(robot):
    person = AtTheKeys(robot)
    person.type("r", lambda state: state.recording, "recording")
    person.type("r", lambda state: not state.recording, "stopped")
    before = len(person.screen.lines)
    person.type("b", lambda _: any("refused" in line for line in person.screen.lines[before:]), "no trainer")


def test_the_session_says_its_instructions_and_labels_the_episode(robot, tmp_path):
    """The key i, on the contract's topic, which the recorder hears; and the parameter, at the start."""
    words = ("touch the red block", "touch the blue block")
    heard = robot.received("instruction", STRING)
    person = AtTheKeys(robot, contract="arm_touch", instructions=list(words))
    robot.until(lambda: heard and heard[-1].data == words[0], "the first instruction, again and again")
    person.type("i", lambda state: state.instruction == words[1], "the second instruction")
    robot.until(lambda: heard[-1].data == words[1], "the second instruction")
    person.type("n", lambda state: state.recording, "an episode begins")
    person.type("g", lambda state: not state.recording, "its end")
    assert load_info(tmp_path / "episodes" / "episode_000001").instruction == words[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"instructions": ["go"]}, "contract arm_push has 0 texts among its observations; one is needed"),
        ({"instructions": ["go", " "], "contract": "arm_touch"}, "' ' must be one line that is not empty"),
        ({"instructions": ["go", "go"], "contract": "arm_touch"}, "has a text twice"),
    ],
)
def test_instructions_that_cannot_be_said_are_refused(graph, given, message):
    with pytest.raises((managed.Refusal, ValueError), match=message):
        graph.start(lambda **kwargs: Session(None, **kwargs), **{"contract": "arm_push", **given})


@pytest.mark.parametrize(
    ("command", "then"), [(keys.NEXT, ("episode_000002", "unmarked")), (keys.FAILURE, ("", "failure"))]
)
def test_task_success_while_a_command_ends_the_episode_marks_neither_that_nor_the_next(robot, command, then):
    done = robot.publisher("task/success", "std_msgs/msg/Bool", LATCHED)
    person = AtTheKeys(robot)
    robot.until(done.count, "the session's subscription")
    person.type("n", lambda state: state.recording, "an episode begins")
    person.drives("policy")
    person.node.command(command)
    done(messages.make("std_msgs/msg/Bool", data=True))  # received while the command runs
    robot.until(lambda: not person.node.busy and person.state.last, "the end of the episode")
    robot.settle()
    robot.until(
        lambda: (person.state.recording, person.state.outcome) == then,
        f"only what {command} asks",
        timeout_s=10,
    )


def test_a_simulated_person_operates_a_whole_session(robot, tmp_path):
    node = robot.start(
        lambda **kwargs: Session(None, **kwargs), use_sim_time=True, person="simulated", episodes=2,
        contract="arm_push", time_limit_s=15.0, seed=11, report=str(tmp_path / "episodes"),
    )  # fmt: skip
    try:
        robot.until(node.ended.done, "the end of the sitting", timeout_s=240)
    except AssertionError as error:
        raise AssertionError(f"{error}: {node.state}") from None
    episodes = tmp_path / "episodes"
    robot.until(lambda: len(scan(episodes).usable) == 2, "both saved")
    node.stop()
    assert (tmp_path / "episodes_report" / "index.html").exists()
    facts = report.read(episodes)
    assert [episode.outcome for episode in facts.kept] == ["success", "success"]  # by the scripted expert
    assert facts.versions[0].interventions >= 2
    assert all(episode.drivers[0] != "expert" for episode in facts.kept)


def test_an_end_during_a_training_is_offered_to_wait_and_leaves_the_policy(robot, tmp_path):
    for number in range(2):
        made.write(tmp_path / "shown", made.recorded(20), number=number)
    policies = tmp_path / "policies"
    changes = ["inputs=[joints]", "hidden=[8]", "epochs=1000000", "seconds=10.0"]  # on any machine
    robot.start(
        Trainer, root=str(tmp_path / "shown"), checkpoint=str(policies), changes=changes, background=False
    )
    person = AtTheKeys(robot)
    person.type(
        "b", lambda state: state.training_began_s and state.training_share, "a training with its share"
    )
    person.type("\x04", lambda _: "y: wait for it" in person.screen.lines[-1], "the offer")
    assert person.screen.lines[-1].count("training v1 (") == 1
    assert not person.node.ended.done()
    assert not (policies / "v1").exists()
    person.type("y", lambda _: "the session ends when the training is done" in person.screen.shown, "waiting")
    robot.until(person.node.ended.done, "the end")
    assert (policies / "v1" / "checkpoint").is_dir()
    assert not (policies / "v1.running").exists()


def test_a_session_that_is_stopped_during_a_training_says_how_to_finish_it(robot, tmp_path):
    for number in range(2):
        made.write(tmp_path / "shown", made.recorded(20), number=number)
    policies = tmp_path / "policies"
    changes = ["inputs=[joints]", "hidden=[8]", "epochs=1000000"]
    trainer = robot.start(
        Trainer, root=str(tmp_path / "shown"), checkpoint=str(policies), changes=changes, background=False
    )
    person = AtTheKeys(robot)
    person.type("b", lambda state: state.training_share is not None, "a training")
    person.node.stop()
    (line,) = [line for line in person.screen.lines if "ends unfinished" in line]
    words = shlex.split(line.partition("this trains it: ")[2].partition("\x1b")[0])
    assert words[:5] == ["il-ros", "train", str(tmp_path / "shown"), "--out", str(policies / "v1")]
    trainer.stop()
    words[words.index("epochs=1000000")] = "epochs=3"
    assert main(words[1:]) == 0
    assert (policies / "v1" / "checkpoint").is_dir()
