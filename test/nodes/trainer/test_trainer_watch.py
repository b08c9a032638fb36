"""The trainer with `watch` on a real graph: automatic training, events, throttling, kills."""

import json
import signal
import subprocess
import sys

import made_versions as made
import psutil
import pytest
from std_srvs.srv import Trigger
from watched_episodes import BIG, ENDLESS, LONG_S, Watched, stopped_while_writing

from il_ros.core import messages
from il_ros.episodes import layout
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.runtime.diagnostics import WARN
from il_ros.policies import lineage
from il_ros.policies.versions import RUNNING, versions
from il_ros.records.decision import Decision, to_json

STRING = "std_msgs/msg/String"
MS = 1_000_000


def test_it_trains_on_existing_episodes_then_on_each_correction_from_the_newest_weights(graph, tmp_path):
    trainer = Watched(graph, tmp_path)
    began = trainer.until("began")
    assert (began["version"], began["parent"], began["why"]) == ("v1", "", "40 new labels")
    assert trainer.until("announced")["version"] == "v1"
    made.episode(trainer.root, 3, taken_over_at=12)
    began = trainer.until("began", 2)
    assert (began["version"], began["parent"]) == ("v2", "v1")
    assert began["why"] == "corrected: episode_000003; 8 new labels"
    trainer.until("announced", 2)
    record = lineage.read(trainer.versions / "v2")
    assert (record.parent, record.labels, record.metrics["epochs"]) == ("v1", 48, 2)
    assert record.episodes == {"episode_000001", "episode_000002", "episode_000003"}
    # discarded: versions trained on it are not a starting point
    layout.discard(trainer.root / "episode_000003", "undone", "now")
    began = trainer.until("began", 3)
    assert (began["version"], began["parent"], began["why"]) == ("v3", "v1", "discarded: episode_000003")
    trainer.until("announced", 3)
    assert lineage.read(trainer.versions / "v3").episodes == {"episode_000001", "episode_000002"}


def test_a_warm_start_ends_within_its_time_limit(graph, tmp_path):
    trainer = Watched(graph, tmp_path, warm_s=1e-6)
    trainer.until("announced")
    made.episode(trainer.root, 3, taken_over_at=12)
    trainer.until("announced", 2)
    record = lineage.read(trainer.versions / "v2")
    assert (record.parent, record.metrics["epochs"]) == ("v1", 1)  # one step of the two epochs


def test_a_requested_training_starts_from_the_newest_good_version(graph, tmp_path):
    trainer = Watched(graph, tmp_path, train_after=0)
    trainer.until("noticed")  # 40 labels
    assert graph.call("trainer/train", Trigger).message == "v1"
    trainer.until("announced")
    made.episode(trainer.root, 3, taken_over_at=12)
    trainer.until("noticed", 2)
    graph.spin(0.5)  # no training starts automatically
    assert graph.call("trainer/train", Trigger).message == "v2"
    graph.until(lambda: len([e for e in trainer.events if e["event"] == "began"]) == 2, "the second training")
    began = [event for event in trainer.events if event["event"] == "began"]
    assert [(event["parent"], event["why"]) for event in began] == [("", "requested"), ("v1", "requested")]
    trainer.until("announced", 2)
    assert lineage.read(trainer.versions / "v2").labels == 48


def test_a_damaged_episode_is_reported_and_the_others_are_trained_on(graph, tmp_path):
    damaged = made.episode(tmp_path / "episodes", 0)
    bag = layout.bag_file(damaged)
    bag.write_bytes(bag.read_bytes()[:-50])
    trainer = Watched(graph, tmp_path)
    damage = trainer.until("damaged")
    assert damage["episode"] == "episode_000000"
    assert "never closed" in damage["reason"]
    trainer.until("announced")
    status = trainer.node.status()
    assert status.level == WARN
    assert "episode_000000" in status.message
    assert lineage.read(trainer.versions / "v1").episodes == {"episode_000001", "episode_000002"}


def test_a_killed_training_leaves_no_version_and_the_next_one_runs(graph, tmp_path):
    trainer = Watched(graph, tmp_path, ENDLESS)
    trainer.until("epoch")
    trainer.node._resident.process.kill()
    trainer.until("failed")
    assert versions(trainer.versions) == []
    assert (
        trainer.versions / f"v1{RUNNING}"
    ).exists()  # the partial version, under a name that is never loaded
    made.episode(trainer.root, 3, taken_over_at=12)
    assert trainer.until("began", 2)["version"] == "v1"
    trainer.until("start", 2)


def test_late_decisions_pause_the_training_until_the_loop_recovers(graph, tmp_path):
    trainer = Watched(graph, tmp_path, ENDLESS, throttle__longest_s=600.0)
    decide = graph.publisher("dagger_supervisor/decision", STRING)
    graph.until(decide.count, "the decisions' subscription")
    trainer.until("epoch")
    stamp = [1_000_000 * MS]

    def decided(late_ms, count):
        for _ in range(count):
            stamp[0] += 50 * MS
            decision = Decision(stamp[0], stamp[0] + late_ms * MS, "policy", "proposed")
            decide(messages.make(STRING, data=to_json(decision)))
            graph.spin(0.005)

    def state():
        stat = f"/proc/{trainer.node._resident.process.pid}/stat"
        with open(stat) as file:
            return file.read().rpartition(")")[2].split()[0]

    decided(1, 10)
    assert state() != "T"
    decided(40, 4)
    trainer.until("paused")
    graph.until(lambda: state() == "T", "the pause")
    decided(1, 25)
    trainer.until("resumed")
    graph.until(lambda: state() != "T", "going on")
    count = sum(event["event"] == "epoch" for event in trainer.events)
    trainer.until("epoch", count + 1)


@pytest.mark.parametrize("paused", [False, True])
def test_a_trainer_that_ends_stops_its_process(graph, tmp_path, paused):
    trainer = Watched(graph, tmp_path, ENDLESS)
    trainer.until("epoch")
    process = trainer.node._resident.process
    if paused:
        trainer.node._pause(True)
    trainer.node.stop()
    assert process.poll() is not None


def test_a_correction_leads_to_a_new_policy_without_a_missed_tick(graph, tmp_path):
    server = graph.start(
        PolicyServer,
        candidates="trainer/checkpoint",
        versions=str(tmp_path / "policies"),
        promotion__root=str(tmp_path / "episodes"),
        promotion__slack=1.0,
    )
    assert server.state == "unconfigured"
    assert server._last_error is None  # that the trainer is still to make the first policy is no error
    assert server.status().message == "no policy yet: waiting for the first one"
    trainer = Watched(graph, tmp_path)
    graph.until(lambda: server.state == "active", "the first policy in control", LONG_S)
    robot = made.Robot(graph).ready()
    robot.run()
    graph.until(lambda: robot.proposals, "a proposal")
    made.episode(trainer.root, 3, taken_over_at=12)
    graph.until(lambda: robot.proposals[-1].version == "v2", "v2 in control", LONG_S)
    robot.rest()
    proposals = robot.proposals
    begun = [stamp for stamp in robot.stamps if stamp >= proposals[0].stamp_ns]
    assert [each.stamp_ns for each in proposals] == begun  # one for each tick
    assert [each.version for each in proposals] == sorted(each.version for each in proposals)
    assert lineage.read(trainer.versions / "v2").state == "active"


def test_a_trainer_killed_during_training_leaves_no_process_and_no_version(graph, tmp_path):
    """A separate process, killed by SIGKILL; the next trainer trains the same version again."""
    for number in (1, 2):
        made.episode(tmp_path / "episodes", number)
    progress = graph.received("trainer/progress", STRING, 1000)
    parameters = {
        "root": str(tmp_path / "episodes"),
        "checkpoint": str(tmp_path / "policies"),
        "recipe": "bc_mlp",
        "changes": ENDLESS,
        "watch": True,
        "train_after": 30,
    }
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
    trainer = subprocess.Popen([sys.executable, "-m", "il_ros.nodes.trainer.node", "--ros-args", *words])
    try:
        graph.until(lambda: any('"epoch"' in each.data for each in progress), "an epoch", LONG_S)
        (child,) = psutil.Process(trainer.pid).children()
    finally:
        trainer.kill()
        trainer.wait()
    graph.until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its end")
    assert versions(tmp_path / "policies") == []
    assert lineage.newest_good(tmp_path / "policies") is None
    again = Watched(graph, tmp_path)
    assert again.until("announced")["version"] == "v1"
    assert not (again.versions / f"v1{RUNNING}").exists()


def test_a_partial_checkpoint_of_a_killed_training_is_never_loaded_and_the_next_one_continues(
    graph, tmp_path
):
    server = graph.start(PolicyServer, candidates="trainer/checkpoint", versions=str(tmp_path / "policies"))
    trainer = Watched(graph, tmp_path, BIG)
    graph.until(lambda: server.state == "active", "the first policy in control", LONG_S)
    robot = made.Robot(graph).ready()
    robot.run()
    made.episode(trainer.root, 3, taken_over_at=12)
    number, place = 2, None
    while place is None:
        place = stopped_while_writing(graph.until, trainer.node._resident.process, trainer.versions, number)
        if place is None:  # it finished first: try the next one
            trainer.node._resident.process.send_signal(signal.SIGCONT)
            trainer.until("announced", number)
            number += 1
            made.episode(trainer.root, number + 1, taken_over_at=12)
    trainer.node._resident.process.kill()
    trainer.until("failed")
    assert place.exists()
    good = [run.name for run in versions(trainer.versions)]
    assert good == [f"v{k}" for k in range(1, number)]
    made.episode(trainer.root, number + 2, taken_over_at=12)
    assert trainer.until("announced", number)["version"] == f"v{number}"
    graph.until(lambda: robot.proposals[-1].version == f"v{number}", "the next one in control", LONG_S)
    robot.rest()
    seen = list(dict.fromkeys(each.version for each in robot.proposals))
    assert seen == [*good[-len(seen) + 1 :], f"v{number}"]
    assert not place.exists()
    assert not list(trainer.versions.glob("*/.*"))
