"""Training or trainer killed while it writes during an episode: no frame is lost or untrained."""

import json
import signal
import subprocess
import sys
import time

import made_versions as made
import numpy as np
import psutil
import pytest
from driven_robot import PATIENT
from recorded import Recorded
from watched_episodes import BIG, LONG_S, Watched, stopped_while_writing

from il_ros.core import messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.policies import lineage
from il_ros.policies.versions import versions
from il_ros.records import proposal

CLOCK = "rosgraph_msgs/msg/Clock"
PACE_S = 0.02  # between two ticks, to leave processor time for the training
TAUGHT = 10
"""Ticks that the expert demonstrates after the kill."""


class Episode:
    """Lockstep in simulated time: the policy drives, an expert may take over, a recorder records."""

    def __init__(self, graph, folder):
        self.graph, self.policies = graph, folder / "policies"
        (folder / "contract.yaml").write_text(made.TEXT)
        self.server = graph.start(PolicyServer, candidates="trainer/checkpoint", versions=str(self.policies))
        graph.start(
            DaggerSupervisor, contract=str(folder / "contract.yaml"), mode="hg_dagger", use_sim_time=True,
            discovery_s=0.1, expert__timeout_s=5.0, expert__max_age_s=5.0, **PATIENT,
        )  # fmt: skip
        self.recorded = Recorded(graph, folder / "contract.yaml", folder / "episodes", use_sim_time=True)
        self._clock = graph.publisher("/clock", CLOCK)
        self._joints = graph.publisher("joint_states", made.JOINT_STATE)
        self._expert = graph.publisher("expert/proposal", proposal.TYPE)
        self._decided = graph.received("dagger_supervisor/decision", "std_msgs/msg/String", 100)
        self.stamp_ns, self._ticked_s = 1_000_000_000, 0.0

    def begin(self):
        """Wait for the first policy, then record."""
        graph = self.graph
        graph.until(lambda: self.server.state == "active", "the first policy in control", LONG_S)
        graph.until(lambda: self._clock.count() == 2 and self._expert.count() >= 2, "subscriptions")
        graph.in_line(self._joints)
        self.until(lambda: self.decision["authority"] == "policy", "the policy drives")
        self.recorded.start()
        self._begun = self.stamp_ns

    @property
    def decision(self):
        return json.loads(self._decided[-1].data)

    def until(self, condition, what):
        """Tick until the condition holds."""

        def after_a_tick():
            if time.monotonic() > self._ticked_s + PACE_S:
                self.tick()
            return condition()

        return self.graph.until(after_a_tick, what, LONG_S)

    def tick(self, *proposals):
        """Publish a tick and the expert's proposal; wait for the decision."""
        self._ticked_s = time.monotonic()
        self.stamp_ns += made.CONTRACT.period_ns
        head = messages.header(self.stamp_ns)
        self._clock(messages.make(CLOCK, clock=head.stamp))
        for each in proposals:
            names, period_ns = made.CONTRACT.action_names, made.CONTRACT.period_ns
            self._expert(proposal.to_message(each(self.stamp_ns), names, period_ns))
        self._joints(
            messages.make(made.JOINT_STATE, header=head, name=["a", "b"], position=np.array([0.1, 0.1]))
        )
        answered = lambda: self._decided and self.decision["stamp_ns"] >= self.stamp_ns  # noqa: E731
        self.graph.until(answered, "its decision")

    def demonstrate(self):
        """Let the expert demonstrate TAUGHT ticks and release."""
        for _ in range(TAUGHT):
            self.tick(lambda stamp_ns: proposal.Proposal("expert", stamp_ns, np.array([made.RIGHT])))
        self.tick(lambda stamp_ns: proposal.releasing("expert", stamp_ns, 2))

    def end(self):
        """Save the episode; return its name and the authority at each tick, none missing."""
        kept = self.recorded.stop()
        period_ns = made.CONTRACT.period_ns
        ticks = range(self._begun + period_ns, self.stamp_ns + 1, period_ns)
        assert [each.stamp_ns for each in kept.decisions] == list(ticks)
        assert kept.stamps("/joint_states") == list(ticks)
        for authority, policy, expert, sent, *_ in kept.account:
            assert policy is not None
            assert sent == {"policy": policy, "expert": expert}[authority]
        assert sum(expert == made.RIGHT for _, _, expert, *_ in kept.account) == TAUGHT
        return kept.info.name, [each.version for each in kept.decisions if each.authority == "policy"]


@pytest.fixture
def episode(graph, tmp_path):
    return Episode(graph, tmp_path)


def caught_writing(episode, process, root, until_announced):
    """Train on corrections until one is caught writing; return its number and the partial folder."""
    number = 2
    while True:
        made.episode(root, 100 + number, taken_over_at=12)
        place = stopped_while_writing(episode.until, process, episode.policies, number)
        if place is not None:
            return number, place
        process.send_signal(signal.SIGCONT)  # it finished first: try the next one
        until_announced(number)
        number += 1


def test_a_training_killed_while_writing_does_not_affect_the_episode_and_the_next_one_trains_on_it(
    graph, tmp_path, episode
):
    trainer = Watched(
        graph, tmp_path, BIG, poor=True
    )  # in a long episode the few taught ticks are little motion
    episode.begin()

    def announced(number):
        announcements = lambda: [each for each in trainer.events if each["event"] == "announced"]  # noqa: E731
        episode.until(lambda: len(announcements()) >= number, f"v{number}")

    process = trainer.node._resident.process
    number, place = caught_writing(episode, process, trainer.root, announced)
    process.kill()
    episode.until(lambda: "failed" in [each["event"] for each in trainer.events], "the failed training")
    assert place.exists()
    episode.demonstrate()
    name, drove = episode.end()
    assert set(drove) <= {f"v{k}" for k in range(1, number)}
    announced(number)
    assert name in lineage.read(episode.policies / f"v{number}").episodes
    episode.until(lambda: episode.decision["version"] == f"v{number}", "the next one in control")


def test_a_trainer_killed_while_writing_does_not_affect_the_episode_and_another_trains_on_it(
    graph, tmp_path, episode
):
    """The trainer is a separate process, with the training as its child."""
    for number in (1, 2):
        made.episode(tmp_path / "episodes", number)
    parameters = {
        "root": str(tmp_path / "episodes"),
        "checkpoint": str(episode.policies),
        "recipe": "bc_mlp",
        "changes": BIG,
        "watch": True,
        "train_after": 30,
        "warm_epochs": 2,
        "background": False,
        "poor": True,
    }
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
    trainer = subprocess.Popen([sys.executable, "-m", "il_ros.nodes.trainer.node", "--ros-args", *words])
    try:
        episode.begin()
        (child,) = psutil.Process(trainer.pid).children()
        number, place = caught_writing(
            episode, child, tmp_path / "episodes",
            lambda number: episode.until((episode.policies / f"v{number}").exists, f"v{number}"),
        )  # fmt: skip
    finally:
        trainer.kill()
        trainer.wait()
    episode.until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "its end")
    assert place.exists()
    assert [run.name for run in versions(episode.policies)] == [f"v{k}" for k in range(1, number)]
    episode.demonstrate()
    name, drove = episode.end()
    assert set(drove) <= {f"v{k}" for k in range(1, number)}
    Watched(graph, tmp_path, BIG)
    episode.until(lambda: episode.decision["version"] == f"v{number}", "the next one in control")
    assert name in lineage.read(episode.policies / f"v{number}").episodes
