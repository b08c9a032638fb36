"""The robot of the campaign: `drive` in the embedded simulator, in real time, with every node in its own process.

A constant policy turns the robot on the spot, so "the robot has stopped" is one number: its measured angular speed.
This process observes the graph (decisions, commands, odometry) and publishes what a fault needs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import rclpy
from made import JOINT_STATE, PICTURE, picture, save_constant, wheels
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from recorded import STRING, decision_stamps
from scenes import Scene, faketime
from std_srvs.srv import Trigger
from wire import Wire, enter

from il_ros.core import contract, messages
from il_ros.core.processes.child import prepare_child
from il_ros.episodes import layout
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.bag.recover import RecoverError
from il_ros.nodes.runtime import managed, process
from il_ros.nodes.runtime.streams import message_class
from il_ros.records import decision
from il_ros.scenarios import domain
from il_ros.scenarios.graph import NodeSpec, command

STILL = 0.02  # rad/s: the robot has stopped
TIMEOUT_S, SILENCE_S, PERIOD_S = 0.25, 0.1, 0.05
LONG_S = 90.0
BEST_EFFORT = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Of a subscription: it hears a reliable publisher, too."""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NODES = ("sim", "recorder", "dagger_supervisor", "policy_server", "trainer")


class NotReachedError(RuntimeError):
    """A state of the graph was not reached in time."""


class World:
    """All nodes of a scene in one mode of the supervisor; `folder` gets episodes, versions and logs."""

    def __init__(self, folder: Path, mode: str, scene: Scene) -> None:
        self.folder, self.mode, self.scene, self.root = folder, mode, scene, folder / "episodes"
        self.versions = folder / "versions"
        self.learnt = folder / "learnt"
        self.report = folder / "episodes_report"  # where a session writes it
        for name in ("episodes", "versions", "learnt", "logs", "points", "clocks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        file = folder / "contract.yaml"
        file.write_text(scene.contract)
        self.contract = contract.load(file)
        save_constant(self.contract, self.versions / "v1" / "checkpoint")
        shared = {"contract": str(file)}
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
            "session": {"teacher": False, "root": str(self.root)},
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
        self.picture: Callable[[int], bytes] = picture
        self.wheels: Callable[[int], bytes] = wheels
        """What the sensors of the campaign send at a stamp."""
        self._log_sizes: dict[str, int] = {}
        self._closing = contextlib.ExitStack()
        self._living = contextlib.ExitStack()
        self.wire: Wire | None = None

    # ---- life

    def __enter__(self) -> World:
        process.set_dds_profile()
        domain.isolate()
        if self.scene.far:
            self._lay_wire()
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("campaign")
        self._hear("odom", "nav_msgs/msg/Odometry", self._on_odometry, BEST_EFFORT)
        self._hear("cmd_vel", "geometry_msgs/msg/TwistStamped", self._on_command)
        self._hear("dagger_supervisor/decision", STRING, self._on_decision)
        if self.scene.sensors:
            self._publish_sensors()
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
        self._living.close()

    def _lay_wire(self) -> None:
        """Enter the near end's namespace, as every near node then does; leave it with the world."""
        profile = shutil.copy(
            process.DDS_PROFILE_UDP, self.folder
        )  # a copy: a user's own choice, which counts
        settings = {process.DDS_PROFILE_VARIABLE: str(profile), domain.RANGE_VARIABLE: "SUBNET"}
        before = {name: os.environ[name] for name in settings}
        os.environ.update(settings)
        self._living.callback(os.environ.update, before)
        self.wire = self._living.enter_context(Wire())

    def _publish_sensors(self) -> None:
        """Publish a picture and the wheels at each scan."""
        camera, joints = (
            self.node.create_publisher(message_class(kind), topic, 10)
            for topic, kind in (("camera/compressed", PICTURE), ("joint_states", JOINT_STATE))
        )

        def on_scan(message: Any) -> None:
            stamp_ns = messages.stamp_ns(message)
            camera.publish(self.picture(stamp_ns))
            joints.publish(self.wheels(stamp_ns))

        self._hear("scan", "sensor_msgs/msg/LaserScan", on_scan, BEST_EFFORT)

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(0.05)

    def begin(
        self, name: str, executable: str = "", *, terminal: int | None = None, **parameters: Any
    ) -> subprocess.Popen[bytes]:
        """Start a node; its output goes to logs/NAME.log, or to the pseudo-terminal with this descriptor."""
        executable = executable or name
        given = {**self._parameters[executable], "use_sim_time": not self.scene.own_clocks, **parameters}
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            running = subprocess.Popen(
                command(NodeSpec(executable, name, given)),
                preexec_fn=functools.partial(
                    _prepare, self.wire.far if self.wire and name in self.scene.far else None
                ),
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=log if terminal is None else terminal,
                stderr=log if terminal is None else terminal,
                start_new_session=terminal is not None,
                env=self.environment(name),
            )
        self.processes[name] = running
        return running

    def environment(self, name: str) -> Mapping[str, str]:
        """Return the environment of a node: it may be killed at a chosen point, and have a clock of its own."""
        inside = str(Path(__file__).with_name("inside"))
        found = {**os.environ, "PYTHONPATH": os.pathsep.join((inside, os.environ.get("PYTHONPATH", "")))}
        found |= {
            "FAULT_POINT": str(self.point(name)),
            "FAULT_SYNCED": str(self.folder / "points" / f"{name}.synced"),
        }
        found["OMP_NUM_THREADS"] = "1"
        if self.scene.own_clocks:
            self.set_clock(name, 0.0)
            found |= {
                "LD_PRELOAD": str(faketime()),
                "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clocks" / name),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1",
            }
        return found

    def point(self, name: str) -> Path:
        """Return the file that says at which point a node kills itself (see `inside/sitecustomize.py`)."""
        return self.folder / "points" / name

    def set_clock(self, name: str, offset_s: float) -> None:
        """Set the system's clock, as a node sees it, off the real one; the node notices within two seconds."""
        place = self.folder / "clocks" / name
        fresh = place.with_suffix(".new")
        fresh.write_text(f"{offset_s:+g}")
        fresh.replace(place)

    def send_signal(self, name: str, number: int) -> None:
        self.processes[name].send_signal(number)

    def replace_dead(self) -> None:
        """Start the nodes that have ended, as a launch file with `use_respawn` or a person would."""
        for name in NODES:
            if self.processes[name].poll() is not None:
                self.begin(name)

    def said(self, name: str, pattern: str) -> bool:
        """Return whether a node's log has the pattern since the fault's beginning (`mark_logs`)."""
        path = self.folder / "logs" / f"{name}.log"
        if not path.exists():
            return False
        with path.open("rb") as log:
            log.seek(self._log_sizes.get(name, 0))
            return re.search(pattern, log.read().decode(errors="replace")) is not None

    def anyone_said(self, pattern: str) -> bool:
        return any(self.said(path.stem, pattern) for path in (self.folder / "logs").glob("*.log"))

    def mark_logs(self) -> None:
        """Let `said` and `last_words` look at what is printed from now on."""
        self._log_sizes = {path.stem: path.stat().st_size for path in (self.folder / "logs").glob("*.log")}

    def last_words(self) -> str:
        """Return the last warning or error that a node printed since the fault's beginning."""
        found = ""
        for path in sorted((self.folder / "logs").glob("*.log")):
            with path.open("rb") as log:
                log.seek(self._log_sizes.get(path.stem, 0))
                for line in log.read().decode(errors="replace").splitlines():
                    if "[WARN]" in line or "[ERROR]" in line or "Error" in line:
                        found = f"{path.stem}: {line.split(']: ', 1)[-1]}"
        return found

    def go_back_to_v1(self) -> None:
        """End the policy server, which `replace_dead` starts anew with version v1."""
        self.send_signal("policy_server", signal.SIGTERM)
        self.processes["policy_server"].wait(60)

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
        except (BagError, RecoverError, OSError):
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

    def _hear(
        self, topic: str, type_name: str, heard: Callable[[Any], None], qos: QoSProfile | int = 1000
    ) -> None:
        def on(raw: bytes) -> None:
            with contextlib.suppress(ValueError):  # garbage is part of the campaign
                heard(messages.decode(type_name, bytes(raw)))

        self.node.create_subscription(message_class(type_name), topic, on, qos, raw=True)

    def _on_odometry(self, message: Any) -> None:
        self.odometry.append((time.monotonic(), message.twist.twist.angular.z))

    def _on_command(self, message: Any) -> None:
        twist = message.twist
        self.commands.append((time.monotonic(), twist.linear.x, twist.angular.z))

    def _on_decision(self, message: Any) -> None:
        self.decisions.append((time.monotonic(), decision.from_json(message.data)))


def _prepare(namespace: int | None) -> None:
    prepare_child()
    if namespace is not None:
        enter(namespace)
