"""The faults of the campaign: each is begun while the policy drives and the recorder records, and ended again.

`stop`: what a fault does by itself to the motion. "must": the robot has to stand still within `safe_s` of the fault;
"may": it may drive on or stop; "unseen": the simulator itself is gone, so there is no motion to measure.
In every case each command stays within the contract's limits, and the session goes on after the fault.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_srvs.srv import SetBool, Trigger
from world import (
    LATCHED,
    NODES,
    PERIOD_S,
    SILENCE_S,
    STRING,
    TIMEOUT_S,
    NotReachedError,
    World,
    save_constant,
)

from il_ros.core import messages
from il_ros.records import decision, proposal
from il_ros.sim.tasks.drive import COMMAND_TIMEOUT_S

SCAN, ODOMETRY, CLOCK = "sensor_msgs/msg/LaserScan", "nav_msgs/msg/Odometry", "rosgraph_msgs/msg/Clock"
PROPOSAL, POINT = proposal.TYPE, "trajectory_msgs/msg/JointTrajectoryPoint"
SILENT_S = TIMEOUT_S + SILENCE_S + 2 * PERIOD_S
"""Longest motion after the policy's last proposal: its time-out, the watchdog's period, one step of the ramp each."""
UNCOMMANDED_S = COMMAND_TIMEOUT_S + 4 * PERIOD_S
"""Longest motion after the supervisor's last command: the base's own time-out, and a period each for the last command
before the fault, a step of the ramp, rounding, and the odometry by which it is measured."""
FREEZE_S = 5.0
FLOOD_S = 3.0
Run = Callable[[World], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """A named fault; `run` is a context: the fault lasts as long as it is open."""

    name: str
    run: Run
    stop: str = "may"
    safe_s: float = 0.0
    kept: bool = True
    """Whether the recorder survives it, so that the episode is complete."""
    needs_root: bool = False


def _all() -> list[Fault]:
    found: list[Fault] = []

    def add(name: str, run: Run, *rest: object, **more: object) -> None:
        found.append(Fault(name, run, *rest, **more))  # type: ignore[arg-type]

    # ---- processes
    stops = {
        "sim": ("unseen", 0.0),
        "policy_server": ("must", SILENT_S),
        "dagger_supervisor": ("must", UNCOMMANDED_S),
    }
    for name in NODES:
        add(
            f"{name} killed",
            _ended(name, signal.SIGKILL),
            *stops.get(name, ("may", 0.0)),
            kept=name != "recorder",
        )
    for name in NODES:
        add(f"{name} frozen for {FREEZE_S:g} s", _frozen(name), *stops.get(name, ("may", 0.0)))
    for name in ("policy_server", "dagger_supervisor"):
        add(f"{name} restarted while it moves", _ended(name, signal.SIGTERM), "may")
    add("all nodes starved of the processor", _starved)
    for name in ("policy_server", "recorder"):
        add(f"{name}: no more memory", _memory(name), kept=name != "recorder")
    # ---- disks and files
    add("recorder: disk full", _full_disk, kept=False, needs_root=True)
    add("recorder: writes refused", _no_writes("recorder"), kept=False)
    add("trainer: writes refused", _no_writes("trainer"))
    add("folder of versions deleted", _versions_deleted)
    add("announced: flipped bits in the weights", _announced(_flip_weights))
    add("announced: version.json is a pipe", _announced(_pipe))
    add("announced: version.json of somebody else", _announced(_foreign))
    add(
        "announced: control characters",
        _published("trainer/checkpoint", STRING, [_text("\x1b]0;x\x07\n")], 3, True),
    )
    # ---- sensors
    add("scan: random bytes", _published("scan", SCAN, _random(400), 50))
    add("scan: no bytes", _published("scan", SCAN, [b""], 50))
    add("scan: cut short", _published("scan", SCAN, [_scan(_now)[:60]], 50))
    add("scan: another number of beams", _live("scan", SCAN, lambda w: _scan(_now(w), beams=7)))
    add("scan: NaN in all beams", _live("scan", SCAN, lambda w: _scan(_now(w), value=float("nan"))))
    add("scan: stamped an hour ahead", _live("scan", SCAN, lambda w: _scan(_now(w) + 3600 * 10**9), count=1))
    add("scan: stamped half a second ago", _live("scan", SCAN, lambda w: _scan(_now(w) - 5 * 10**8)))
    add("scan: stamped 0.1 s ahead", _live("scan", SCAN, lambda w: _scan(_now(w) + 10**8)))
    add("scan: a second sensor", _live("scan", SCAN, lambda w: _scan(_now(w), value=0.3)))
    add("scan: a flood", _flood("scan", SCAN, lambda w: _scan(_now(w))))
    add("odometry: random bytes", _published("odom", ODOMETRY, _random(720), 50))
    # ---- proposals and decisions
    for source, topic in (("policy", "policy_server/proposal"), ("expert", "expert/proposal")):
        add(f"{source}: random bytes", _published(topic, PROPOSAL, _random(200), 50))
        add(f"{source}: 1e308", _live(topic, PROPOSAL, lambda w, s=source: _proposal(w, s, (1e308, -1e308))))
        add(f"{source}: NaN", _live(topic, PROPOSAL, lambda w, s=source: _proposal(w, s, (np.nan, np.inf))))
        add(
            f"{source}: forged, full speed to and fro",
            _live(
                topic, PROPOSAL, lambda w, s=source: _proposal(w, s, (0.6, 2.0 * (-1) ** (_now(w) // 10**8)))
            ),
        )
        add(f"{source}: burst stamped ahead", _burst(topic, source))
        add(f"{source}: a flood", _flood(topic, PROPOSAL, lambda w, s=source: _proposal(w, s, (0.0, 2.0))))
    add("decisions: random bytes", _published("dagger_supervisor/decision", STRING, _random(90), 50))
    add("decisions: odd JSON", _published("dagger_supervisor/decision", STRING, _odd_json(), 50))
    add("decisions: forged take-overs", _live("dagger_supervisor/decision", STRING, _forged_decision))
    add(
        "status of the supervisor: odd JSON",
        _published("dagger_supervisor/status", STRING, _odd_json(), 50, True),
    )
    # ---- time
    add("/clock set back by 3 s", _clock(-3.0, 2.0))
    add("/clock an hour ahead, once", _clock(3600.0, 0.0))
    # ---- duplicates
    for name in ("recorder", "policy_server", "dagger_supervisor", "sim"):
        add(f"a second {name}", _second(name))
    # ---- people and services
    add("emergency stop in a flood of proposals", _estop, "must", SILENT_S)
    add("mode set to nonsense", _parameter("dagger_supervisor", "mode", "banana"))
    add("policy server deactivated", _lifecycle("policy_server"), "must", SILENT_S)
    add("recorder deactivated", _lifecycle("recorder"))
    return found


# ---- processes


def _ended(name: str, number: int) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        world.send_signal(name, number)
        world.processes[name].wait(60)
        yield

    return run


def _frozen(name: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        world.send_signal(name, signal.SIGSTOP)
        time.sleep(FREEZE_S)
        yield
        world.send_signal(name, signal.SIGCONT)

    return run


@contextlib.contextmanager
def _starved(world: World) -> Iterator[None]:
    cores = len(os.sched_getaffinity(0))
    burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * cores)]
    try:
        time.sleep(FREEZE_S)
        yield
    finally:
        for each in burning:
            each.kill()
            each.wait()


def _limited(name: str, resource: str, value: Callable[[int], int]) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        pid = world.processes[name].pid
        subprocess.run(["prlimit", f"--pid={pid}", f"--{resource}={value(pid)}:"], check=True)
        time.sleep(FLOOD_S)
        yield
        if world.processes[name].poll() is None:
            subprocess.run(["prlimit", f"--pid={pid}", f"--{resource}=unlimited:"], check=True)

    return run


def _memory(name: str) -> Run:
    def present(pid: int) -> int:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        return pages * os.sysconf("SC_PAGE_SIZE")

    return _limited(name, "as", present)


# ---- disks and files


def _no_writes(name: str) -> Run:
    return _limited(name, "fsize", lambda _pid: 1)


@contextlib.contextmanager
def _full_disk(world: World) -> Iterator[None]:
    ballast = world.root / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    time.sleep(FLOOD_S)
    yield
    ballast.unlink()


@contextlib.contextmanager
def _versions_deleted(world: World) -> Iterator[None]:
    shutil.rmtree(world.versions)
    time.sleep(1.0)
    yield
    save_constant(world.contract, world.versions / "v1" / "checkpoint")


def _announced(change: Callable[[Path], None]) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        made = world.versions / "v2"
        save_constant(world.contract, made / "checkpoint")
        change(made)
        publish = world.publisher("trainer/checkpoint", STRING, LATCHED)
        publish(_text(str(made / "checkpoint")))
        time.sleep(FLOOD_S)
        yield
        shutil.rmtree(made)

    return run


def _flip_weights(made: Path) -> None:
    file = made / "checkpoint" / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 0x10
    file.write_bytes(raw)


def _pipe(made: Path) -> None:
    (made / "version.json").unlink()
    os.mkfifo(made / "version.json")


def _foreign(made: Path) -> None:
    (made / "version.json").write_text('{"version": "1.2.3", "build": 7}')


# ---- messages


def _published(topic: str, type_name: str, raws: list[bytes], count: int, latched: bool = False) -> Run:
    """Publish `count` messages at 20 Hz, taken in turn from `raws`."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, type_name, LATCHED if latched else 10)
        for k in range(count):
            publish(raws[k % len(raws)])
            time.sleep(PERIOD_S)
        yield

    return run


def _live(topic: str, type_name: str, make: Callable[[World], bytes], count: int = 60) -> Run:
    """Publish `count` messages at 20 Hz, made at the moment."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, type_name)
        for _ in range(count):
            publish(make(world))
            time.sleep(PERIOD_S)
        yield

    return run


def _flood(topic: str, type_name: str, make: Callable[[World], bytes]) -> Run:
    """Publish as many messages as this process can."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, type_name)
        end = time.monotonic() + FLOOD_S
        while time.monotonic() < end:
            publish(make(world))
        yield

    return run


def _burst(topic: str, source: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, PROPOSAL)
        for _ in range(20):
            for ahead in range(5):
                publish(_proposal(world, source, (0.0, -2.0), ahead * 5 * 10**7 - 10**6))
            time.sleep(3 * PERIOD_S)
        yield

    return run


def _now(world: World | None) -> int:
    """Return the present simulated time, in nanoseconds."""
    if world is None or not world.decisions:
        return 10**9
    at, last = world.decisions[-1]
    return last.stamp_ns + round((time.monotonic() - at) * 1e9)


def _text(text: str) -> bytes:
    return messages.encode(STRING, messages.make(STRING, data=text))


def _random(size: int) -> list[bytes]:
    generator = np.random.default_rng(0)
    return [b"\x00\x01\x00\x00" + generator.bytes(int(generator.integers(size))) for _ in range(50)]


def _scan(stamp_ns: object, beams: int = 60, value: float = 2.0) -> bytes:
    message = messages.make(
        SCAN,
        header=messages.header(stamp_ns if isinstance(stamp_ns, int) else 10**9),
        angle_min=-2.0,
        angle_max=2.0,
        angle_increment=4.0 / (beams - 1),
        range_min=0.05,
        range_max=4.0,
        ranges=np.full(beams, value, np.float32),
    )
    return messages.encode(SCAN, message)


def _proposal(world: World, source: str, action: tuple[float, float], ahead_ns: int = 0) -> bytes:
    trajectory = messages.make(
        PROPOSAL,
        header=messages.header(_now(world) + ahead_ns, f"source={source} version=v1"),
        joint_names=list(world.contract.action_names),
        points=[messages.make(POINT, positions=np.array(action))],
    )
    return messages.encode(PROPOSAL, trajectory)


def _odd_json() -> list[bytes]:
    texts = (
        '{"sent": 5, "limited": []}',
        "[" * 100_000,
        "null",
        '{"stamp_ns": 1e400}',
        '{"mode": "future", "stamp_ns": 1, "authority": 7}',
        "{}",
        '{"event": {"event": []}}',
        '{"verdict": "good"}',
        "\x1b[2J",
    )
    return [_text(text) for text in texts]


def _forged_decision(world: World) -> bytes:
    _, last = world.decisions[-1]
    forged = replace(last, stamp_ns=_now(world), authority="expert", mode="hg_dagger")
    return _text(decision.to_json(forged))


# ---- time, duplicates, people


def _clock(offset_s: float, lasts_s: float) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher("/clock", CLOCK)
        began, base_ns = time.monotonic(), _now(world) + round(offset_s * 1e9)
        while True:
            stamp = messages.header(base_ns + round((time.monotonic() - began) * 1e9)).stamp
            publish(messages.encode(CLOCK, messages.make(CLOCK, clock=stamp)))
            if time.monotonic() - began >= lasts_s:
                break
            time.sleep(0.005)
        yield

    return run


def _second(name: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        second = world.begin(f"second_{name}", name)
        time.sleep(FREEZE_S)
        yield
        second.terminate()
        second.wait(60)
        del world.processes[f"second_{name}"]
        if (
            name == "dagger_supervisor"
        ):  # beside another commander both stop; a person activates the one that stays
            _change(world, name, Transition.TRANSITION_ACTIVATE)

    return run


@contextlib.contextmanager
def _estop(world: World) -> Iterator[None]:
    publish = world.publisher("expert/proposal", PROPOSAL)
    flooding = threading.Event()

    def flood() -> None:
        while not flooding.wait(0.0005):
            publish(_proposal(world, "expert", (0.0, 0.5)))

    thread = threading.Thread(target=flood)
    thread.start()
    time.sleep(0.5)
    client = world.node.create_client(SetBool, "dagger_supervisor/estop")
    world.until(client.service_is_ready, "the service ~/estop")
    world.fault_at = time.monotonic()
    client.call_async(SetBool.Request(data=True))
    time.sleep(FLOOD_S)
    flooding.set()
    thread.join()
    yield
    client.call_async(SetBool.Request(data=False))
    time.sleep(0.2)
    reset = world.node.create_client(Trigger, "dagger_supervisor/reset_estop")
    world.until(reset.service_is_ready, "the service ~/reset_estop")
    reset.call_async(Trigger.Request())
    time.sleep(0.5)
    world.node.destroy_client(client)
    world.node.destroy_client(reset)


def _parameter(node: str, name: str, text: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        client = world.node.create_client(SetParameters, f"{node}/set_parameters")
        world.until(client.service_is_ready, "the parameters")
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=text)
        client.call_async(SetParameters.Request(parameters=[Parameter(name=name, value=value)]))
        time.sleep(1.0)
        yield
        world.node.destroy_client(client)

    return run


def _change(world: World, name: str, number: int) -> None:
    """Request a lifecycle transition; a node that is in that state already refuses it."""
    client = world.node.create_client(ChangeState, f"{name}/change_state")
    world.until(client.service_is_ready, "the lifecycle")
    answers, called = [], 0.0
    while not any(answer.done() for answer in answers):  # the first response may be lost
        if time.monotonic() > called + 3.0:
            called = time.monotonic()
            answers.append(client.call_async(ChangeState.Request(transition=Transition(id=number))))
        if len(answers) > 20:
            raise NotReachedError(f"transition {number} of {name}: no answer within a minute")
        time.sleep(0.01)
    world.node.destroy_client(client)


def _lifecycle(name: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        world.fault_at = time.monotonic()
        _change(world, name, Transition.TRANSITION_DEACTIVATE)
        time.sleep(FLOOD_S)
        yield
        _change(world, name, Transition.TRANSITION_ACTIVATE)

    return run


FAULTS = _all()
