"""Convert a long episode and many short ones to training arrays; print time and memory as JSON.

    python bench/long_episode.py                                   # 2 minutes of a long episode, 200 short ones
    python bench/long_episode.py --minutes 60 --episodes 5000      # the full size: 8 GB of disk below --folder

The long episode has joint states and commands at 500 Hz and three cameras at 10 Hz; one of the cameras is the
trigger. A short episode has 3 s of joint states and commands at 50 Hz. Each step runs in a process of its own:
  check    read the whole bag for damage (what every reader asks first)
  list     `il-ros episodes list`
  first    `Dataset.open`: all frames are made and cached
  again    `Dataset.open` with the cache
memory_mb is the peak of the process's own (anonymous) memory, without the pages of mapped files.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.episodes import catalogue
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import damage_of
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import EpisodeInfo, bag_file, episode_name

JOINTS, IMAGE, ARRAY = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image", "std_msgs/msg/Float64MultiArray"
NAMES = [f"joint{n}" for n in range(1, 8)]
S = 1_000_000_000
HZ, CAMERA_HZ, SHORT_HZ, SHORT_S = 500, 10, 50, 3.0
WIDTH, HEIGHT = 160, 120
STEPS = ("check", "list", "first", "again")

HEAD = """\
name: {name}
rate_hz: {rate}
trigger: {trigger}
observations:
  joints: {{topic: joint_states, type: sensor_msgs/msg/JointState, names: [{names}], max_age_s: 0.2}}
"""
CAMERA = """\
  {key}: {{topic: {key}, type: sensor_msgs/msg/Image, image: {{width: 40, height: 30, fit: resize}}, max_age_s: 0.5}}
"""
ACTIONS = """\
actions:
  arm: {{topic: commands, type: std_msgs/msg/Float64MultiArray, names: [{names}], unit: rad, reference: joints,
        limits: {{lower: -4, upper: 4, speed: 2}}}}
"""


def contract_text(cameras: int) -> str:
    """Return the contract of the long episode, or without cameras that of the short ones."""
    keys = [f"camera{n}" for n in range(cameras)]
    parts = {
        "names": ", ".join(NAMES),
        "name": "long" if cameras else "short",
        "rate": CAMERA_HZ if cameras else 20,
    }
    parts["trigger"] = keys[0] if keys else "joint_states"
    body = "".join(CAMERA.format(key=key) for key in keys)
    return HEAD.format(**parts) + body + ACTIONS.format(**parts)


def write_episode(folder: Path, seconds: float, hz: int, cameras: int) -> None:
    """Write an episode in which a sine is followed."""
    text = contract_text(cameras)
    own = contracts.parse(text, "the bench's contract")
    pixels = np.random.default_rng(0).integers(0, 255, HEIGHT * WIDTH * 3, dtype=np.uint8)
    start_ns = 1_000 * S
    with BagWriter(folder) as bag:
        numbers = {topic: bag.add_stream(f"/{topic}", kind) for topic, kind in own.topics.items()}
        for k in range(int(seconds * hz)):
            now_ns = start_ns + k * S // hz
            angles = np.sin(k / hz + np.arange(7))
            head = messages.header(now_ns)
            state = messages.make(JOINTS, header=head, name=NAMES, position=angles, velocity=angles)
            bag.write(numbers["joint_states"], now_ns, messages.encode(JOINTS, state))
            command = messages.make(ARRAY, data=np.sin(k / hz + 0.1 + np.arange(7)))
            bag.write(numbers["commands"], now_ns + 1, messages.encode(ARRAY, command))
            if cameras and k % (hz // CAMERA_HZ) == 0:
                fields = {"height": HEIGHT, "width": WIDTH, "step": 3 * WIDTH, "encoding": "rgb8"}
                image = messages.encode(IMAGE, messages.make(IMAGE, header=head, data=pixels, **fields))
                for n in range(cameras):
                    bag.write(numbers[f"camera{n}"], now_ns + 2, image)
    EpisodeInfo(
        name=folder.name,
        contract_name=own.name,
        contract_hash=own.hash,
        contract_text=text,
        topics={topic: f"/{topic}" for topic in own.topics},
        started_ns=start_ns,
        stopped_ns=start_ns + int(seconds * S),
        complete=True,
    ).save(folder, durable=False)


class PeakMemory:
    """The largest anonymous memory of this process while the block runs, in MB."""

    def __enter__(self) -> PeakMemory:
        self.mb, self._ended = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            anonymous = next(line for line in lines if line.startswith("RssAnon"))
            self.mb = max(self.mb, int(anonymous.split()[1]) / 1024)


def measure(step: str, root: Path, cameras: int) -> dict[str, float]:
    """Run one step in this process."""
    own = contracts.parse(contract_text(cameras), "the bench's contract")
    count = 0
    with PeakMemory() as memory:
        began_s = time.monotonic()
        if step == "check":
            for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != "."):
                count += len(damage_of(folder))
        elif step == "list":
            count = len(catalogue.scan(root).usable)
        else:
            count = Dataset.open(root, own).summary.frames
        seconds = time.monotonic() - began_s
    return {"seconds": round(seconds, 2), "memory_mb": round(memory.mb), "count": count}


def in_a_process(step: str, root: Path, cameras: int) -> dict[str, float]:
    """Run one step in a process of its own."""
    words = [sys.executable, __file__, "--step", step, "--folder", str(root), "--cameras", str(cameras)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Write the episodes, run the steps, print the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="length of the long episode")
    parser.add_argument("--episodes", type=int, default=200, help="number of short episodes")
    parser.add_argument("--cameras", type=int, default=3, help="cameras of the long episode")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(measure(args.step, args.folder, args.cameras)))
        return
    with tempfile.TemporaryDirectory(prefix="il_ros_long_", dir=args.folder) as name:
        long, many = Path(name, "long"), Path(name, "many")
        began_s = time.monotonic()
        write_episode(long / episode_name(1), 60 * args.minutes, HZ, args.cameras)
        written_s = time.monotonic() - began_s
        stored_mb = bag_file(long / episode_name(1)).stat().st_size / 1e6
        result = {"minutes": args.minutes, "bag_mb": round(stored_mb), "written_s": round(written_s, 1)}
        result |= {step: in_a_process(step, long, args.cameras) for step in STEPS}
        print(json.dumps({"long episode": result}), flush=True)
        for number in range(1, args.episodes + 1):
            write_episode(many / episode_name(number), SHORT_S, SHORT_HZ, 0)
        result = {"episodes": args.episodes, **{step: in_a_process(step, many, 0) for step in STEPS}}
        print(json.dumps({"many episodes": result}), flush=True)


if __name__ == "__main__":
    main()
