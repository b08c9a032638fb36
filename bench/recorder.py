"""Record 3 x 640x480 rgb8 at 30 Hz and joint states at 200 Hz (83 MB/s); print cost and losses as JSON.

    python bench/recorder.py [--seconds 60] [--compression none] [--only recorder]

Every publisher is a separate process. Variants, all in one run:
  recorder      the recorder node with all features (diagnostics, statistics, checksums, pre-roll)
  receiving     a node that receives the same streams as bytes and discards them: the lower bound
  decoded       a plain rclpy node that deserialises the messages in Python
  default_dds   the recorder with Fast DDS's default settings instead of the packaged profile
  checks        what the doctor's checks cost the thread that writes, by its processor time: also on a busy machine
CPU is in cores, user and system time of the process. Latency is stamp to reception.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(101 + os.getpid() % 100))

import numpy as np
import psutil
from mcap.reader import make_reader
from support import camera_load
from support.camera_load import RATES, contract_text
from support.processes import started

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.episodes import layout
from il_ros.episodes.doctor.live import TakeWatch

WARM_UP_S = 2.0


class Run:
    """The processes of one variant, ended on exit."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self._environment = folder, {**os.environ, **environment}
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    def start(self, *words: str) -> psutil.Process:
        command = [sys.executable, *words]
        process = started(command, stderr=subprocess.DEVNULL, env=self._environment)
        return psutil.Process(self._running.enter_context(process).pid)

    def role(self, role: str, argument: str) -> psutil.Process:
        out = self.folder / f"{role}_{argument.replace('/', '_')}.json"
        return self.start(camera_load.__file__, role, argument, str(out))

    def until_ready(self, count: int) -> None:
        """Wait until that many roles are running and discovery has finished."""
        end_s = time.monotonic() + 60
        while len(list(self.folder.glob("*.ready"))) < count:
            if time.monotonic() > end_s:
                raise TimeoutError("publishers or subscriber did not come up within 60 s")
            time.sleep(0.1)
        time.sleep(WARM_UP_S)

    def sent(self) -> dict[str, list[int]]:
        found = [json.loads(path.read_text()) for path in self.folder.glob("publish_*.json")]
        return {topic: stamps for result in found for topic, stamps in result.items()}


def watch(process: psutil.Process, seconds: float) -> dict[str, float]:
    """Return CPU (cores) and memory of a process over a time."""
    before, memory, begun_s = process.cpu_times(), [process.memory_info().rss], time.monotonic()
    while (left_s := begun_s + seconds - time.monotonic()) > 0:
        time.sleep(min(1.0, left_s))
        memory.append(process.memory_info().rss)
    after, took_s = process.cpu_times(), time.monotonic() - begun_s
    used_s = after.user + after.system - before.user - before.system
    half = len(memory) // 2
    return {
        "cpu_percent_of_a_core": round(100 * used_s / took_s, 1),
        "rss_mb_max": round(max(memory) / 1e6, 1),
        "rss_growth_second_half_mb": round((memory[-1] - memory[half]) / 1e6, 1),
    }


def call(name: str) -> None:
    """Call a Trigger service of the recorder until it succeeds, in a child process."""
    code = (
        "import rclpy, sys, time\nfrom std_srvs.srv import Trigger\nrclpy.init()\n"
        "node = rclpy.create_node('caller')\n"
        f"client = node.create_client(Trigger, '/recorder/{name}')\n"
        "end = time.monotonic() + 30\n"
        "while time.monotonic() < end:\n"
        "    if client.wait_for_service(1.0):\n"
        "        time.sleep(0.2)\n"
        "        future = client.call_async(Trigger.Request())\n"
        "        rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)\n"
        "        if future.done() and future.result().success: sys.exit(0)\n"
        "sys.exit('no: ' + str(future.result()))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def accounts(
    sent: dict[str, list[int]], came: dict[str, list[tuple[int, int]]], window: tuple[int, int]
) -> dict:
    """Return losses and latency of the messages sent within the window."""
    lost, total, latency_ms = {}, 0, {"images": [], "joint_states": []}
    for topic, stamps in sent.items():
        wanted = {stamp for stamp in stamps if window[0] <= stamp <= window[1]}
        arrived = {stamp: at for stamp, at in came.get(topic, []) if stamp in wanted}
        lost[topic] = len(wanted) - len(arrived)
        total += len(wanted)
        kind = "joint_states" if topic == "joint_states" else "images"
        latency_ms[kind] += [(at - stamp) / 1e6 for stamp, at in arrived.items()]
    quantiles = {
        kind: {name: round(float(np.percentile(values, q)), 2) for name, q in (("p50", 50), ("p99", 99))}
        for kind, values in latency_ms.items()
        if values
    }
    return {"messages": total, "lost": lost, "latency_ms": quantiles}


def from_bag(root: Path) -> tuple[dict[str, list[tuple[int, int]]], tuple[int, int], dict]:
    """Return stamps and receptions in the bag, the demonstration's span, and the recorder's metadata."""
    folder = layout.episode_folders(root)[0]
    info = layout.load_info(folder)
    came: dict[str, list[tuple[int, int]]] = {}
    with layout.bag_file(folder).open("rb") as file:
        for schema, channel, message in make_reader(file).iter_messages():
            stamp_ns = messages.raw_stamp_ns(schema.name, message.data[:12])
            came.setdefault(channel.topic.lstrip("/"), []).append((stamp_ns, message.log_time))
    size = layout.bag_file(folder).stat().st_size
    recorded = {
        "mb_per_s": round(size / 1e6 / info.duration_s, 1),
        "grade": info.grade.level,
        "reasons": list(info.grade.reasons),
    }
    return came, (info.started_ns, info.stopped_ns - 1_000_000_000), recorded


def bench_recorder(seconds: float, compression: str, environment: dict[str, str], root: Path) -> dict:
    folder = root / "work"
    folder.mkdir()
    (folder / "contract.yaml").write_text(contract_text())
    given = {"contract": folder / "contract.yaml", "root": root / "episodes", "compression": compression}
    words = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    with Run(folder, environment) as run:
        for topic in RATES:
            run.role("publish", topic)
        recorder = run.start("-m", "il_ros.nodes.recorder.node", "--ros-args", *words)
        run.until_ready(len(RATES))
        call("start")
        figures = watch(recorder, seconds)
        call("stop")
    came, window, recorded = from_bag(root / "episodes")
    return {**figures, **accounts(run.sent(), came, window), **recorded}


def bench_subscriber(seconds: float, kind: str, root: Path) -> dict:
    with Run(root, {}) as run:
        for topic in RATES:
            run.role("publish", topic)
        subscriber = run.role("subscribe", kind)
        run.until_ready(len(RATES) + 1)
        begun_ns = time.time_ns()
        figures = watch(subscriber, seconds)
        window = (begun_ns, time.time_ns() - 1_000_000_000)
    came = json.loads((root / f"subscribe_{kind}.json").read_text())
    return {**figures, **accounts(run.sent(), came, window)}


def bench_checks(seconds: float) -> dict:
    """Return the processor time of the checks of a take, for each second that is recorded."""
    own = contracts.parse(contract_text(), "the bench's contract")
    watch, costs = TakeWatch(own, "take"), dict[str, list[float]]()
    for topic, rate_hz in RATES.items():
        shown = [bytes(frame) for frame in camera_load.frames(topic)]
        for number in range(round(rate_hz * seconds)):
            raw, log_ns = shown[number % len(shown)], round(1e9 * (1 + number / rate_hz))
            began_s = time.thread_time()
            watch.message(topic, raw, log_ns)
            costs.setdefault(topic, []).append(1e3 * (time.thread_time() - began_s))
    return {
        "ms_of_each_recorded_second": round(sum(map(sum, costs.values())) / seconds, 2),
        "longest_ms": round(max(map(max, costs.values())), 2),
    }


def default_dds(folder: Path) -> dict[str, str]:
    """Return an environment in which Fast DDS uses its default settings."""
    empty = folder / "default.xml"
    empty.write_text(
        '<dds xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"><profiles>'
        '<participant profile_name="plain" is_default_profile="true"><rtps/></participant></profiles></dds>\n'
    )
    return {"FASTRTPS_DEFAULT_PROFILES_FILE": str(empty)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--compression", default="none", choices=("none", "lz4", "zstd"))
    parser.add_argument("--only", default="", help="one of the variants")
    parser.add_argument("--folder", default=None, help="where to record; the disk matters")
    given = parser.parse_args()
    variants = {
        "recorder": lambda root: bench_recorder(given.seconds, given.compression, {}, root),
        "receiving": lambda root: bench_subscriber(given.seconds, "receiving", root),
        "decoded": lambda root: bench_subscriber(given.seconds, "decoded", root),
        "checks": lambda root: bench_checks(given.seconds),
        "default_dds": lambda root: bench_recorder(given.seconds, given.compression, default_dds(root), root),
    }
    result: dict = {"seconds": given.seconds, "compression": given.compression, "load": os.getloadavg()[0]}
    for name, bench in variants.items():
        if given.only in ("", name):
            with tempfile.TemporaryDirectory(dir=given.folder) as root:
                result[name] = bench(Path(root))
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
