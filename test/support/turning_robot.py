"""The `drive` robot of the embedded simulator, turning on the spot, with every node in its own process."""

import contextlib
import itertools
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from made_versions import constant_policy
from std_srvs.srv import Trigger

from il_ros.core import contract, messages, share
from il_ros.core.processes.child import prepare_child
from il_ros.episodes import layout
from il_ros.episodes.bag.mcap_scan import Scan
from il_ros.episodes.bag.reader import open_bag
from il_ros.policies import checkpoint
from il_ros.records.decision import Decision, from_json
from il_ros.scenarios.graph import NodeSpec, command

ODOMETRY, STRING = "nav_msgs/msg/Odometry", "std_msgs/msg/String"
TWIST = "geometry_msgs/msg/TwistStamped"
DECISIONS = "/dagger_supervisor/decision"
TURN = (0.0, 0.5)  # m/s, rad/s
TIMEOUT_S, SILENCE_S, PERIOD_S = 0.25, 0.1, 0.05
LONG_S = 300.0  # five processes that discover each other, one importing torch, on a busy machine
LEAVE_S = 60.0
S = 1_000_000_000


class World:
    """A simulated robot with all nodes, each in its own process."""

    def __init__(self, graph, folder: Path) -> None:
        self.graph, self.root = graph, folder / "episodes"
        own = contract.load(share.path("config", "contracts", "drive.yaml"))
        checkpoint.save(folder / "checkpoint", constant_policy(own, TURN, "v1"))
        self._parameters: dict[str, dict[str, Any]] = {
            "sim": {"task": "drive", "cameras": False},
            "recorder": {
                "contract": "drive",
                "root": str(self.root),
                "min_free_bytes": 0,
                "extra_topics": ["odom"],
            },
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
        """Terminate the running processes; a killed one leaves shared memory in its last state."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(LEAVE_S)

    @property
    def decisions(self):
        """All received decisions; each is decoded once."""
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
        count = len(self._texts)  # no message may be lost from here on
        self.graph.until(lambda: len(self._texts) > count + 5, "decisions", LONG_S)
        self.begun_ns = self.decisions[count:][0].stamp_ns

    def _ask(self, service, effect):
        """Call the recorder's service until it takes effect: the first response may be lost."""
        client = self.graph.outside.create_client(Trigger, f"recorder/{service}")
        called_s = [0.0]

        def done():
            if client.service_is_ready() and time.monotonic() - called_s[0] > 1.0:
                client.call_async(Trigger.Request())
                called_s[0] = time.monotonic()
            return effect()

        self.graph.until(done, f"the recorder's {service}", LONG_S)

    def on_disk(self):
        """Return the decisions in the running episode's file."""
        (file,) = self.root.glob("episode_*/*.mcap")
        scan = Scan(memoryview(file.read_bytes()))
        written = [
            bytes(each.data) for each in scan.messages() if scan.channels[each.channel].topic == DECISIONS
        ]
        return [_decision(raw) for raw in written]

    def recorded(self, undiscovered=range(0)):
        """End the episode; return the bag's decisions, its odometry and its commands.

        `undiscovered`: stamps of decisions that the recorder may have missed before it discovered their
        publisher.
        """
        last = self.decisions[-1].stamp_ns
        self.graph.until(lambda: self.decisions[-1].stamp_ns > last + S // 2, "a last half second", LONG_S)
        received = {each.stamp_ns: each for each in self.decisions if self.begun_ns <= each.stamp_ns <= last}
        (folder,) = self.root.glob("episode_*")
        self._ask("stop", lambda: layout.load_info(folder).complete)
        decided, odometry, commands = [], [], []
        for item in open_bag(folder).messages():
            if item.topic == DECISIONS:
                decided.append(_decision(item.raw))
            elif item.topic == "/odom":
                odometry.append(messages.decode(ODOMETRY, item.raw))
            elif item.topic == "/cmd_vel":
                twist = messages.decode(TWIST, item.raw)
                commands.append((messages.stamp_ns(twist), (twist.twist.linear.x, twist.twist.angular.z)))
        missing = set(received) - {each.stamp_ns for each in decided}
        lost = sorted(stamp_ns for stamp_ns in missing if stamp_ns not in undiscovered)
        assert not lost, f"not recorded: {lost}; the recorder may have missed {undiscovered}"
        written = [each for each in decided if each.stamp_ns in received]
        assert written == [
            each for stamp_ns, each in received.items() if stamp_ns not in missing
        ]  # word for word
        stamps = [messages.stamp_ns(each) for each in odometry]
        assert {b - a for a, b in itertools.pairwise(stamps)} == {S // 20}  # no frame is missing
        return decided, odometry, commands


def _decision(raw: bytes) -> Decision:
    return from_json(messages.decode(STRING, raw).data)


@contextlib.contextmanager
def turning_robot(graph, folder: Path):
    """Yield a `World` in which the policy drives and the recorder records."""
    world = World(graph, folder)
    try:
        for name in ("sim", "recorder", "dagger_supervisor", "policy_server"):
            world.begin(name)
        world.drives_itself()
        world.record()
        yield world
    finally:
        world.end()
