"""The robot of the campaign: `drive` in the embedded simulator, in real time, with every node in its own process.

A constant policy turns the robot on the spot, so "the robot has stopped" is one number: its measured angular speed.
This process observes the graph (decisions, commands, odometry) and publishes what a fault needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

os.environ["OMP_NUM_THREADS"] = "1"

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import Trigger

from il_ros.core import contract, messages, share
from il_ros.core.processes import prepare_child
from il_ros.episodes import layout
from il_ros.episodes.bag.reader import BagError, open_bag
from il_ros.episodes.bag.recover import recover
from il_ros.nodes.runtime import managed, process
from il_ros.nodes.runtime.streams import message_class
from il_ros.policies import checkpoint, lineage
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.lineage import Lineage
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.records import decision
from il_ros.scenarios import domain
from il_ros.scenarios.graph import NodeSpec, command

S = 1_000_000_000
TURN = (0.0, 0.5)
"""What the policy proposes: m/s, rad/s."""
STILL = 0.02  # rad/s: the robot has stopped
TIMEOUT_S, SILENCE_S, PERIOD_S = 0.25, 0.1, 0.05
LONG_S = 90.0
STRING = "std_msgs/msg/String"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NODES = ("sim", "recorder", "dagger_supervisor", "policy_server", "trainer")


class NotReachedError(RuntimeError):
    """A state of the graph was not reached in time."""


class World:
    """All nodes in one mode of the supervisor; `folder` gets episodes, versions and logs."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder, self.mode, self.root = folder, mode, folder / "episodes"
        self.versions = folder / "versions"
        for place in (self.root, self.versions, folder / "logs"):
            place.mkdir(parents=True, exist_ok=True)
        self.contract = contract.load(share.path("config", "contracts", "drive.yaml"))
        save_constant(self.contract, self.versions / "v1" / "checkpoint")
        shared = {"contract": "drive"}
        self._parameters: dict[str, dict[str, Any]] = {
            "sim": {"task": "drive", "cameras": False},
            "recorder": shared | {"root": str(self.root), "min_free_bytes": 0, "extra_topics": ["odom"]},
            "policy_server": {
                "checkpoint": str(self.versions / "v1" / "checkpoint"),
                "versions": str(self.versions),
                "candidates": "trainer/checkpoint",
            },
            "dagger_supervisor": shared
            | {"mode": mode, "silence_s": SILENCE_S, "policy.timeout_s": TIMEOUT_S},
            "trainer": shared
            | {"root": str(self.root), "checkpoint": str(self.versions), "watch": True}
            | {"train_after": 0},  # it looks at every episode, and would learn from a forged expert
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.decisions: list[tuple[float, decision.Decision]] = []
        """Arrival on this process's steady clock, and the decision."""
        self.commands: list[tuple[float, float, float]] = []
        """Arrival, m/s, rad/s."""
        self.odometry: list[tuple[float, float]] = []
        """Arrival, measured rad/s."""
        self.fault_at = 0.0
        """When the fault began; a fault with a preparation sets it anew."""
        self._closing = contextlib.ExitStack()

    # ---- life

    def __enter__(self) -> World:
        process.set_dds_profile()
        domain.isolate()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("campaign")
        self._hear("odom", "nav_msgs/msg/Odometry", self._on_odometry)
        self._hear("cmd_vel", "geometry_msgs/msg/TwistStamped", self._on_command)
        self._hear("dagger_supervisor/decision", STRING, self._on_decision)
        self._executor = managed.EventsExecutor()
        self._executor.add_node(self.node)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        for name in NODES:
            self.begin(name)
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()
        for running in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                running.send_signal(signal.SIGCONT)
                running.terminate()
        for running in self.processes.values():
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
        self._ended.set()
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(0.05)

    def begin(self, name: str, executable: str = "", **parameters: Any) -> subprocess.Popen[bytes]:
        """Start a node; its output goes to logs/NAME.log."""
        executable = executable or name
        given = {**self._parameters[executable], "use_sim_time": True, **parameters}
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            running = subprocess.Popen(
                command(NodeSpec(executable, name, given)),
                preexec_fn=prepare_child,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes[name] = running
        return running

    def send_signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def replace_dead(self) -> None:
        """Start the nodes that have ended, as a launch file with `use_respawn` or a person would."""
        for name in NODES:
            if self.processes[name].poll() is not None:
                self.begin(name)

    def log_size(self) -> dict[str, int]:
        return {path.stem: path.stat().st_size for path in (self.folder / "logs").glob("*.log")}

    def last_words(self, since: dict[str, int]) -> str:
        """Return the last warning or error that a node printed after `since`."""
        found = ""
        for path in sorted((self.folder / "logs").glob("*.log")):
            with path.open("rb") as log:
                log.seek(since.get(path.stem, 0))
                for line in log.read().decode(errors="replace").splitlines():
                    if "[WARN]" in line or "[ERROR]" in line or "Error" in line:
                        found = f"{path.stem}: {line.split(']: ', 1)[-1]}"
        return found

    # ---- what is seen

    @property
    def turning(self) -> float:
        return self.odometry[-1][1] if self.odometry else 0.0

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = LONG_S) -> Any:
        """Return the condition's result as soon as that is true; raises NotReachedError."""
        end = time.monotonic() + timeout_s
        while not (result := condition()):
            if time.monotonic() > end:
                raise NotReachedError(f"{what}: not within {timeout_s:g} s")
            time.sleep(0.01)
        return result

    def drives(self, timeout_s: float = LONG_S) -> None:
        """Wait until the policy drives: the robot turns, by what arrives from now on."""
        since = time.monotonic()

        def driven() -> bool:
            return bool(
                self.odometry
                and self.odometry[-1][0] > since
                and self.turning > 0.4
                and self.decisions
                and self.decisions[-1][0] > since
                and self.decisions[-1][1].authority == "policy"
            )

        self.until(driven, "the policy drives", timeout_s)

    def stopped_s(self, since: float) -> float | None:
        """Return the time from `since` until the robot first stood still; None if it never did."""
        return next((at - since for at, speed in self.odometry if at > since and abs(speed) < STILL), None)

    # ---- the recorder

    def ask(self, service: str, effect: Callable[[], Any], timeout_s: float = LONG_S) -> Any:
        """Call a Trigger service until it takes effect: the first response may be lost."""
        client = self.node.create_client(Trigger, service)
        called = 0.0

        def done() -> Any:
            nonlocal called
            if client.service_is_ready() and time.monotonic() - called > 1.0:
                client.call_async(Trigger.Request())
                called = time.monotonic()
            return effect()

        try:
            return self.until(done, service, timeout_s)
        finally:
            self.node.destroy_client(client)

    def open_episode(self) -> Path | None:
        """Return the folder of the episode that is being recorded."""
        for folder in reversed(layout.episode_folders(self.root)):
            with contextlib.suppress(layout.LayoutError):
                if (folder / layout.INFO_FILE).exists() and not layout.load_info(folder).complete:
                    return folder
        return None

    def record(self) -> Path:
        """Begin an episode and return its folder; an earlier one that was left open stays as it is."""
        known = set(layout.episode_folders(self.root))

        def new() -> Path | None:
            folder = self.open_episode()
            return folder if folder is not None and folder not in known else None

        folder = self.ask("recorder/start", new)
        count = len(self.decisions)
        self.until(lambda: len(self.decisions) > count + 10, "decisions while recording")
        return folder

    def end_episode(self, folder: Path, timeout_s: float = 20.0) -> bool:
        """Stop the recording; return whether the episode is complete."""

        def complete() -> bool:
            with contextlib.suppress(layout.LayoutError):
                return layout.load_info(folder).complete
            return False

        if complete():
            return True
        try:
            return bool(self.ask("recorder/stop", complete, timeout_s))
        except NotReachedError:
            return False

    def lost_before_s(self, folder: Path, begun: float, fault: float) -> float | None:
        """Return how long before the fault the oldest decision lay that the bag lacks; 0.0 when it lacks none.

        Looked for: the decisions that this process received between `begun` and `fault`. None: no readable bag.
        """
        seen = {each.stamp_ns: at for at, each in self.decisions if begun < at < fault}
        try:
            kept = decision_stamps(folder)
        except (BagError, OSError):
            return None
        missing = [at for stamp, at in seen.items() if stamp not in kept]
        return max((fault - at for at in missing), default=0.0)

    # ---- what is published

    def publisher(self, topic: str, type_name: str, qos: QoSProfile | int = 10) -> Callable[[bytes], None]:
        """Return publish(raw), for any bytes; the publisher stays until `forget`."""
        made = self.node.create_publisher(message_class(type_name), topic, qos)
        self._closing.callback(self.node.destroy_publisher, made)
        self.until(lambda: made.get_subscription_count() > 0, f"a subscription to {topic}", 10.0)
        return made.publish

    def forget(self) -> None:
        """Destroy the publishers."""
        self._closing.close()

    def _hear(self, topic: str, type_name: str, heard: Callable[[Any], None]) -> None:
        def on(raw: bytes) -> None:
            with contextlib.suppress(ValueError):  # garbage is part of the campaign
                heard(messages.decode(type_name, bytes(raw)))

        self.node.create_subscription(message_class(type_name), topic, on, 1000, raw=True)

    def _on_odometry(self, message: Any) -> None:
        self.odometry.append((time.monotonic(), message.twist.twist.angular.z))

    def _on_command(self, message: Any) -> None:
        twist = message.twist
        self.commands.append((time.monotonic(), twist.linear.x, twist.angular.z))

    def _on_decision(self, message: Any) -> None:
        self.decisions.append((time.monotonic(), decision.from_json(message.data)))


def save_constant(own: contract.Contract, folder: Path) -> None:
    """Save a policy that always proposes TURN."""
    state, actions = (Affine(np.zeros(n), np.ones(n)) for n in (len(Inputs.of(own, ()).elements), len(TURN)))
    scaling = Normaliser(state, actions)
    settings = family("bc").settings(hidden=(4,))
    network = make_network("bc", settings, own, scaling)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.linear_layers()[-1].bias.copy_(torch.tensor(TURN))
    policy = LoadedPolicy(own, "bc", settings, network, scaling, "v1")
    checkpoint.save(folder, policy)
    lineage.write(folder.parent, Lineage("v1"))


def decision_stamps(folder: Path) -> set[int]:
    """Return the ticks of the decisions in an episode's bag; a copy of an interrupted one is recovered first."""
    with tempfile.TemporaryDirectory() as place:
        if not layout.load_info(folder).complete:
            folder = Path(shutil.copytree(folder, Path(place) / folder.name))
            recover(folder)
        found = set()
        for item in open_bag(folder).messages():
            if item.topic == "/dagger_supervisor/decision":
                with contextlib.suppress(ValueError):
                    found.add(decision.from_json(messages.decode(STRING, item.raw).data).stamp_ns)
        return found
