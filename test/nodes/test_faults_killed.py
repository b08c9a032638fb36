"""A process killed in the middle of an episode: the robot stands in time, the bag has it all, it goes on.

The `drive` robot of the embedded simulator, in real time, turns on the spot as a constant policy says.
Every node is a process of its own, and one is killed as the system would: without a word.
"""

import itertools
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from made_versions import constant_policy
from std_srvs.srv import Trigger

from il_ros import contract, messages, share
from il_ros.control.decision import NOBODY, Decision, from_json
from il_ros.episodes import layout
from il_ros.episodes.reader import open_bag
from il_ros.graph import NodeSpec, command
from il_ros.policies import checkpoint
from il_ros.processes import prepare_child

ODOMETRY, STRING = "nav_msgs/msg/Odometry", "std_msgs/msg/String"
TURN = (0.0, 0.5)  # m/s, rad/s
TIMEOUT_S, SILENCE_S, PERIOD_S = 0.25, 0.1, 0.05
LONG_S = 90.0  # a process that imports torch, on a busy machine
S = 1_000_000_000


class World:
    """A simulated robot with everything around it."""

    def __init__(self, graph, folder: Path) -> None:
        self.graph, self.root = graph, folder / "episodes"
        own = contract.load(share.path("config", "contracts", "drive.yaml"))
        checkpoint.save(folder / "checkpoint", constant_policy(own, TURN, "v1"))
        self._parameters: dict[str, dict[str, Any]] = {
            "sim": {"task": "drive", "cameras": False},
            "recorder": {"contract": "drive", "root": str(self.root), "min_free_bytes": 0},
            "policy_server": {"checkpoint": str(folder / "checkpoint")},
            "dagger_supervisor": {
                "contract": "drive",
                "mode": "policy",
                "silence_s": SILENCE_S,
                "policy.timeout_s": TIMEOUT_S,
            },
        }
        self.processes: dict[str, subprocess.Popen] = {}
        self._texts = graph.received("dagger_supervisor/decision", STRING, 100)
        self._decoded: list[Decision] = []
        self.odometry = graph.received("odom", ODOMETRY, 100)

    def begin(self, name: str) -> None:
        spec = NodeSpec(name, name, {**self._parameters[name], "use_sim_time": True})
        self.processes[name] = subprocess.Popen(command(spec), preexec_fn=prepare_child)

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        assert self.processes[name].wait(10) == -signal.SIGKILL

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(10)

    @property
    def decisions(self):
        """All that were heard; each is decoded once, for this is asked again and again."""
        self._decoded += [from_json(message.data) for message in self._texts[len(self._decoded) :]]
        return self._decoded

    @property
    def turning(self) -> float:
        return self.odometry[-1].twist.twist.angular.z

    def drives_itself(self) -> None:
        """Wait until the policy drives and the robot turns."""

        def driven():
            return self.odometry and self.turning > 0.4 and self.decisions[-1].authority == "policy"

        try:
            self.graph.until(driven, "the policy drives", LONG_S)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.decisions[-1:]}, {self.odometry[-1:]}") from None

    def record(self) -> None:
        self._ask("start", lambda: any(self.root.glob("episode_*/episode.json")))
        count = len(self._texts)  # from here on nothing may be lost
        self.graph.until(lambda: len(self._texts) > count + 5, "decisions", LONG_S)
        self._begun = self.decisions[count:][0].stamp_ns

    def _ask(self, service, effect):
        """Call the recorder's service until its effect is there: the first answer may get lost."""
        client = self.graph.outside.create_client(Trigger, f"recorder/{service}")
        asked_s = [0.0]

        def done():
            if client.service_is_ready() and time.monotonic() - asked_s[0] > 1.0:
                client.call_async(Trigger.Request())
                asked_s[0] = time.monotonic()
            return effect()

        self.graph.until(done, f"the recorder's {service}", LONG_S)

    def recorded(self):
        """End the episode; return the bag's decisions and the stamps of its odometry."""
        last = self.decisions[-1].stamp_ns
        self.graph.until(lambda: self.decisions[-1].stamp_ns > last + S // 2, "a last half second", LONG_S)
        heard = [each.stamp_ns for each in self.decisions if self._begun <= each.stamp_ns <= last]
        (folder,) = self.root.glob("episode_*")
        self._ask("stop", lambda: layout.load_info(folder).complete)
        decided, stamps = [], []
        for item in open_bag(folder).messages():
            if item.topic == "/dagger_supervisor/decision":
                decided.append(from_json(messages.decode(STRING, item.raw).data))
            elif item.topic == "/odom":
                stamps.append(messages.raw_stamp_ns(ODOMETRY, item.raw))
        assert set(heard) <= {each.stamp_ns for each in decided}
        assert {b - a for a, b in itertools.pairwise(stamps)} == {S // 20}  # no frame is missing
        return decided


@pytest.fixture
def world(graph, tmp_path):
    world = World(graph, tmp_path)
    try:
        for name in ("sim", "recorder", "dagger_supervisor", "policy_server"):
            world.begin(name)
        world.drives_itself()
        world.record()
        yield world
    finally:
        world.end()


def test_a_policy_server_killed_mid_run_stops_the_robot_in_time_and_drives_again_when_it_is_back(world):
    world.kill("policy_server")
    world.graph.until(
        lambda: world.decisions[-1].authority == NOBODY and abs(world.turning) < 0.02, "the stop", LONG_S
    )
    world.begin("policy_server")
    world.drives_itself()
    decided = world.recorded()
    gone = next(each for each in decided if "policy silent for" in each.reason)
    last = [each for each in decided if each.stamp_ns < gone.stamp_ns and each.reason == "proposed"][-1]
    # the time-out, the watchdog's look, and a period for rounding; a ramp of 0.5 rad/s takes one step
    late = [each for each in decided if gone.epoch == each.epoch]
    safe_ns = last.sent_ns + round((TIMEOUT_S + SILENCE_S + 2 * PERIOD_S) * S)
    assert all(each.sent == (0.0, 0.0) for each in late if each.sent_ns > safe_ns)
    assert late[0].authority == NOBODY
