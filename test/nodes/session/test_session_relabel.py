"""Relabelling: return to a marked moment of an episode and demonstrate the action with the keys."""

import numpy as np
import pytest
from at_the_keys import AtTheKeys
from std_srvs.srv import Trigger

from il_ros.core import contract, messages
from il_ros.core.specs import STRING
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.catalogue import look, scan
from il_ros.episodes.layout import load_info
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.sim.node import Sim
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.keyboard_node import TeleopKeyboard
from il_ros.records.decision import NOBODY
from il_ros.session.relabelling.moments import to_label
from il_ros.session.relabelling.starts import write_starts

JOINT1_UP, RELEASED = "k", "x"


@pytest.fixture
def sim(graph, tmp_path):
    """Return the simulator of a graph in which the session's keys drive."""
    shared = {"use_sim_time": True, "contract": "arm_push"}
    patient = {"expert__timeout_s": 5.0, "expert__max_age_s": 5.0}
    # in lockstep: a busy machine slows time instead of making sensors stale
    sim = graph.start(
        Sim, task="push", cameras=False, speed=2.0, seed=5, lockstep=True, lockstep_timeout_s=2.0
    )
    keys = {"keys_topic": "session/keys", "silent_after": 20.0}
    graph.start(lambda **kwargs: TeleopKeyboard(None, **kwargs), **keys, **shared)
    graph.start(DaggerSupervisor, mode="expert", discovery_s=0.1, silence_s=0.1, **patient, **shared)
    root = str(tmp_path / "episodes")
    graph.start(Recorder, root=root, task="push", seed=5, min_free_bytes=0, **shared)
    return sim


def recorded_with_a_mark(graph, sim, root):
    """Record an episode without a driver and with one marked moment; return its folder."""
    mark = graph.publisher("session/marks", STRING)
    graph.until(mark.count, "the recorder's subscription")
    graph.until(lambda: graph.call("recorder/start", Trigger).success, "streams that flow")
    started_ns = sim.task.time_ns
    graph.until(lambda: sim.task.time_ns > started_ns + 1_500_000_000, "1.5 s of an episode")
    text = f'{{"stamp_ns": {started_ns + 1_000_000_000}, "kind": "label_later"}}'
    mark(messages.make(STRING, data=text))
    graph.until(lambda: sim.task.time_ns > started_ns + 2_000_000_000, "2 s of an episode")
    assert graph.call("recorder/stop", Trigger).success
    graph.until(lambda: scan(root).usable, "an episode")
    return root / "episode_000001"


def test_a_marked_moment_is_relabelled_with_the_keys(graph, sim, tmp_path):
    root = tmp_path / "episodes"
    folder = recorded_with_a_mark(graph, sim, root)
    (moment,) = to_label([look(folder)]).moments
    write_starts(tmp_path / "moments.json", [moment])
    person = AtTheKeys(
        graph, moments=str(tmp_path / "moments.json"), mode="expert", teacher=False, contract="arm_push",
        driving_keys=True,
    )  # fmt: skip
    assert any("select: 1 " in line for line in person.screen.lines)
    person.type("w", lambda _: "key w has no function" in person.screen.lines[-1], "a base's key, for an arm")

    person.type("n", lambda state: state.recording and state.paused, "the moment")
    graph.until(lambda: not person.node.busy, "all commands")
    assert f"moment 1 of 1: {moment.words}" in " ".join(person.screen.lines)
    assert sim.task.state().tolist() == moment.state.tolist()  # time is paused
    graph.until(lambda: "time is paused until you drive" in person.screen.shown, "the hint")
    still_ns = sim.task.time_ns
    graph.until(
        lambda: (person.state.now_ns, person.state.driver) == (still_ns, NOBODY),
        "the supervisor's decision without authority on the tick",
    )
    joint1 = sim.task.scene.joints.position[0]

    person.type(JOINT1_UP, lambda state: state.driver == "expert" and not state.paused, "the person drives")
    person.drives("expert")

    def moved():
        if not person.screen.typed:
            person.screen.typed.append(JOINT1_UP)
        return sim.task.scene.joints.position[0] > joint1 + 0.05

    graph.until(moved, "joint 1 moves")
    person.type("g", lambda state: state.outcome == "success", "content")
    person.type("n", lambda _: "that was the last moment" in person.screen.lines[-1], "no more moments")
    graph.until(lambda: len(scan(root).usable) == 2, "the new episode")

    made = load_info(root / "episode_000002")
    assert (made.made_from, made.seed, made.outcome) == (moment.words, 5, "success")
    assert to_label([look(folder)]).labelled == 1
    dataset = Dataset.open(root, contract.parse(made.contract_text, "recorded"), validation=0)
    (shown,) = (episode for episode in dataset.train if episode.name == "episode_000002")
    # the tick of the moment itself was answered before the person drove: the demonstration begins a tick
    # later
    assert np.asarray(shown.observations["joints"])[0][0] == pytest.approx(joint1, abs=0.03)
    assert np.ptp(np.asarray(shown.actions)[:, 0]) > 0.04  # joint 1, as commanded
