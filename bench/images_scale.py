"""Training from many pictures: size, random access, memory and start-up, from which a million frames are computed.

    python bench/images_scale.py                     # 12 episodes of 200 frames, three cameras; minutes
    python bench/images_scale.py --episodes 50       # 10,000 frames

Three cameras of 224x224, as they come: jpegs of this size, jpegs of 320x240 (resized), raw pictures. Their content is a
soft texture that moves, with a sensor's noise (standard deviation 4 of 255): smooth simulated pictures are smaller.

  pictures  bytes and error of a jpeg as this package makes it
  bags      writing the episodes; the bags' size
  convert   bags to compressed arrays: frames/s with one process and with one per core
  access    random batches of three cameras, frames/s (3 pictures each), against the decoder alone on as many threads
  train     three epochs of a small camera policy: resident memory after each, and seconds beside a run without decoding
  exchange  two episodes as a LeRobot data set (H.264), and imported again with jpegs and lossless: bytes a frame,
            frames/s with one process, and the error of the jpegs beside the decoded video
  memory    own memory of the numbers, targets and places of --memory frames: peak, and while training
  start     with --start N: `episodes list` and `Dataset.open` of N short episodes whose arrays are cached
Figures for a million frames are computed from these, and named so.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import cv2
import long_episode
import numpy as np

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.core.tables import say, table
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.camera_frames import CameraFrames, read_ahead
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.pictures import QUALITY, compressed, decode
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange.lerobot.export import export_lerobot
from il_ros.episodes.exchange.lerobot.ingest import import_lerobot
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.episodes.jobs import cores
from il_ros.episodes.layout import EpisodeInfo, bag_file, episode_name

JOINTS, ARRAY = "sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray"
IMAGE, JPEG = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SIZE, HZ, S = 224, 20, 1_000_000_000
MILLION = 1_000_000
NAMES = [f"joint{n}" for n in range(1, 8)]
CAMERAS = {"own": JPEG, "larger": JPEG, "raw": IMAGE}
TEXT = f"""
name: three_cameras
rate_hz: {HZ}
trigger: joint_states
observations:
  joints: {{topic: joint_states, type: {JOINTS}, names: [{", ".join(NAMES)}], max_age_s: 0.2}}
{
    "".join(
        f"  {key}: {{topic: {key}, type: {kind}, image: {{width: {SIZE}, height: {SIZE}, fit: crop}}, max_age_s: 0.2}}"
        + chr(10)
        for key, kind in CAMERAS.items()
    )
}actions:
  arm: {{topic: commands, type: {ARRAY}, names: [{", ".join(NAMES)}], unit: rad, reference: joints,
        limits: {{lower: -4, upper: 4, speed: 2}}}}
"""


class Scene:
    """A soft texture that moves, and a camera's noise."""

    def __init__(self, rng):
        coarse = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
        self._texture = cv2.resize(coarse, (640, 640), interpolation=cv2.INTER_CUBIC)
        self._noise = rng.normal(0, 4, (8, 240, 320, 3)).astype(np.int16)

    def picture(self, tick, width, height):
        """Return what a camera sees at a tick (height, width, 3)."""
        left, top = int(150 * (1 + np.sin(0.05 * tick))), int(150 * (1 + np.cos(0.03 * tick)))
        seen = self._texture[top : top + height, left : left + width].astype(np.int16)
        return np.clip(seen + self._noise[tick % 8, :height, :width], 0, 255).astype(np.uint8)


def write_episode(folder, scene, frames, own):
    start_ns = 1_000 * S
    with BagWriter(folder) as bag:
        streams = {topic: bag.add_stream(f"/{topic}", kind) for topic, kind in own.topics.items()}
        for tick in range(frames):
            now_ns = start_ns + tick * S // HZ
            head, angles = messages.header(now_ns), np.sin(tick / HZ + np.arange(7))
            for key, kind in CAMERAS.items():
                width, height = (320, 240) if key == "larger" else (SIZE, SIZE)
                pixels = scene.picture(tick, width, height)
                if kind == IMAGE:
                    fields = {"height": height, "width": width, "step": 3 * width, "encoding": "rgb8"}
                    message = messages.make(kind, header=head, data=pixels.reshape(-1), **fields)
                else:
                    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
                    message = messages.make(kind, header=head, format="jpeg", data=data.reshape(-1))
                bag.write(streams[key], now_ns - 1, messages.encode(kind, message))
            command = messages.make(ARRAY, data=np.sin(tick / HZ + 0.1 + np.arange(7)))
            bag.write(streams["commands"], now_ns, messages.encode(ARRAY, command))
            state = messages.make(JOINTS, header=head, name=NAMES, position=angles)
            bag.write(streams["joint_states"], now_ns, messages.encode(JOINTS, state))
    EpisodeInfo(
        name=folder.name,
        contract_name=own.name,
        contract_hash=own.hash,
        contract_text=own.text,
        topics={topic: f"/{topic}" for topic in own.topics},
        started_ns=start_ns,
        stopped_ns=start_ns + frames * S // HZ,
        complete=True,
    ).save(folder, durable=False)


def pictures_row(scene):
    """Return the bytes, the error and the decoding time of this package's jpegs."""
    shown = [scene.picture(7 * tick, SIZE, SIZE) for tick in range(60)]
    packed = [compressed(each) for each in shown]
    out = np.empty_like(shown[0])
    squares, worst = [], []
    for picture, data in zip(shown, packed, strict=True):
        decode(data, out)
        error = np.abs(out.astype(np.int16) - picture)
        squares.append(np.mean(np.square(error.astype(float))))
        worst.append(np.quantile(error, 0.999))
    return {
        "quality": QUALITY,
        "raw_bytes": shown[0].nbytes,
        "jpeg_bytes": round(float(np.mean([len(each) for each in packed]))),
        "psnr_db": round(10 * np.log10(255**2 / float(np.mean(squares))), 1),
        "error_of_99.9_percent": round(float(np.mean(worst))),
    }


def decoder_rate(packed, threads, seconds):
    """Return pictures/s of the decoder alone, on bytes in memory."""
    ends_s = time.perf_counter() + seconds

    def work(first):
        out, count = np.empty((SIZE, SIZE, 3), np.uint8), 0
        while time.perf_counter() < ends_s:
            decode(packed[(first + 7 * count) % len(packed)], out)
            count += 1
        return count

    began_s = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        done = sum(pool.map(work, range(threads)))
    return done / (time.perf_counter() - began_s)


def access_rate(cameras, threads, seconds, rng):
    """Return frames/s of random batches of 64, as training reads them."""
    count = len(next(iter(cameras.values())))
    ends_s, done = time.perf_counter() + seconds, 0

    def batches():
        while time.perf_counter() < ends_s:
            yield rng.integers(0, count, 64).tolist()

    began_s = time.perf_counter()
    for found in read_ahead(cameras, batches(), threads):
        done += len(next(iter(found.values())))
    return done / (time.perf_counter() - began_s)


def resident_mb():
    """Return this process's resident memory and the part of it that is its own, without pages of files."""
    lines = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
    )
    return tuple(round(int(lines[name].split()[0]) / 1024) for name in ("VmRSS", "RssAnon"))


def stored(folder, pattern):
    return sum(path.stat().st_size for path in folder.rglob(pattern))


def train_rows(dataset, out, epochs):
    """Train a small camera policy; return the memory after each epoch, and seconds an epoch."""
    from il_ros.training.recipe import Recipe, changed
    from il_ros.training.run import train

    recipe = changed(
        Recipe("bc"),
        [f"epochs={epochs}", "channels=[4, 4]", "hidden=[32]", "horizon=16", "validation=0", "batch_size=64"],
    )
    rows = []

    def note(metrics):
        rows.append(
            {"epoch": metrics.epoch, "seconds": round(metrics.seconds, 1), "memory_mb": resident_mb()}
        )
        return True

    train(dataset, recipe, out, on_epoch=note)
    return rows


def exchange_rows(root, folder):
    """Return size and speed of an import with jpegs and of a lossless one, and the error of the former."""
    entries = scan(root).entries[:2]
    export_lerobot(entries, folder / "dataset", ExportOptions(jobs=1))
    rows = {"video_bytes_per_frame": 0}
    shown = {}
    for name, lossless in (("jpegs", False), ("lossless", True)):
        began_s = time.perf_counter()
        report = import_lerobot(folder / "dataset", folder / name, lossless=lossless)
        took_s = time.perf_counter() - began_s
        held = sum(bag_file(path).stat().st_size for path in report.folders)
        rows[name] = {
            "bytes_per_frame": round(held / report.frames),
            "frames_per_s": round(report.frames / took_s, 1),
        }
        made = Dataset.open(folder / name, report.contract, validation=0, pictures="raw")
        shown[name] = {key: np.asarray(made.train[0].observations[key][:100], float) for key in CAMERAS}
    rows["video_bytes_per_frame"] = round(stored(folder / "dataset", "*.mp4") / report.frames)
    errors = [np.mean(np.square(shown["jpegs"][key] - shown["lossless"][key])) for key in CAMERAS]
    rows["psnr_db"] = round(10 * np.log10(255**2 / float(np.mean(errors))), 1)
    return rows


def memory_row(count, folder):
    """Return the memory that training takes with this many frames, whose pictures are one file of 1000."""
    from il_ros.episodes.arrays.episode import EpisodeArrays
    from il_ros.episodes.arrays.pictures import CompressedPictures, PictureFile
    from il_ros.policies.features import Inputs
    from il_ros.training.batches import Batches
    from il_ros.training.fitting import fit_normaliser
    from il_ros.training.recipe import Recipe, changed
    from il_ros.training.samples import samples

    own = contracts.parse(TEXT, "the bench's contract")
    data = compressed(Scene(np.random.default_rng(0)).picture(0, SIZE, SIZE))
    with PictureFile(folder / "shared") as file:
        for _ in range(1000):
            file.append(data.copy())
    episodes = []
    for number in range(count // 1000):
        joints = np.random.default_rng(number).normal(size=(1000, 7))
        shown = {
            key: CompressedPictures(folder / "shared", (SIZE, SIZE, 3), np.dtype(np.uint8)) for key in CAMERAS
        }
        episodes.append(
            EpisodeArrays(
                name=str(number),
                observations={"joints": joints, **shown},
                commands=joints,
                offsets=np.zeros_like(joints),
                ticks_ns=np.arange(1, 1001) * own.period_ns,
                period_ns=own.period_ns,
            )
        )
    recipe, inputs = changed(Recipe("bc"), ["horizon=16"]), Inputs.of(own)
    made = samples(episodes, inputs, recipe.policy.horizon)
    batches = Batches(made, inputs, fit_normaliser(made, inputs, own, recipe), "cpu")
    del made
    import torch

    for place, _ in enumerate(batches.shuffled(16, torch.Generator().manual_seed(0))):
        if place == 3:
            break
    peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"frames": count, "peak_mb": peak_mb, "training_mb": resident_mb()[1]}


def memory_rows(most, folder):
    """Return `memory_row` of a quarter and of all frames, each in a process of its own."""
    rows = []
    for count in (most // 4000 * 1000, most // 1000 * 1000):
        words = [sys.executable, __file__, "--memory-of", str(count), "--folder", str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def start_rows(count, folder):
    """Return seconds of `episodes list` and of `Dataset.open`, each in a process of its own, arrays cached."""
    first = folder / episode_name(1)
    long_episode.write_episode(first, long_episode.SHORT_S, long_episode.SHORT_HZ, 0)
    for number in range(2, count + 1):
        other = folder / episode_name(number)
        other.mkdir()
        for path in first.iterdir():
            name = path.name.replace(first.name, other.name)
            if path.suffix == ".mcap":
                os.link(path, other / name)
            else:
                (other / name).write_text(path.read_text().replace(first.name, other.name))
    rows = {step: long_episode.in_a_process(step, folder, 0) for step in ("list", "first", "list", "again")}
    return {"episodes": count, **rows}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=12, help="episodes with pictures (default: 12)")
    parser.add_argument("--length", type=int, default=200, help="frames of each (default: 200)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each measurement of access (default: 5)"
    )
    parser.add_argument("--epochs", type=int, default=3, help="of training; 0: none (default: 3)")
    parser.add_argument(
        "--start", type=int, default=0, help="short episodes for the start-up (default: none)"
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=100_000,
        help="frames of the measurement of memory; 0: none (default: 100000)",
    )
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        say(json.dumps(memory_row(args.memory_of, args.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="il_ros_images_", dir=args.folder) as name:
        measured = measure(args, Path(name))
        say(json.dumps(measured, indent=1))
        say(table(("a million frames, three cameras of 224x224", "computed"), computed(measured)))


def measure(args, folder):
    rng, own = np.random.default_rng(0), contracts.parse(TEXT, "the bench's contract")
    scene, root = Scene(rng), folder / "episodes"
    result = {"load": os.getloadavg()[0], "cores": cores(), "pictures": pictures_row(scene)}
    began_s = time.perf_counter()
    for number in range(1, args.episodes + 1):
        write_episode(root / episode_name(number), scene, args.length, own)
    frames = args.episodes * args.length
    bag_bytes = sum(bag_file(path).stat().st_size for path in root.glob("episode_*"))
    result["bags"] = {
        "frames": frames,
        "bytes_per_frame": round(bag_bytes / frames),
        "frames_per_s": round(frames / (time.perf_counter() - began_s)),
    }
    result["convert"] = {}
    for jobs in sorted({1, cores()}):
        for path in root.glob(".cache/*-compressed"):
            for each in path.rglob("*"):
                each.unlink() if each.is_file() else None
        began_s = time.perf_counter()
        dataset = Dataset.open(root, own, validation=0, pictures="compressed", jobs=jobs)
        rate = round(dataset.summary.frames / (time.perf_counter() - began_s))
        result["convert"][f"frames_per_s_{jobs}"] = rate
    held = stored(root / cache.FOLDER, "*.pictures")
    result["convert"] |= {"pictures_bytes_per_frame": round(held / dataset.summary.frames)}
    result["convert"] |= {
        "numbers_bytes_per_frame": round(stored(root / cache.FOLDER, "*.npy") / dataset.summary.frames)
    }
    cameras = {key: CameraFrames([each.observations[key] for each in dataset.train]) for key in CAMERAS}
    packed = [compressed(scene.picture(7 * tick, SIZE, SIZE)) for tick in range(60)]
    result["access"] = {}
    for threads in sorted({1, cores()}):
        bare = decoder_rate(packed, threads, args.seconds) / len(CAMERAS)
        found = access_rate(cameras, threads, args.seconds, rng)
        result["access"][f"threads_{threads}"] = {
            "frames_per_s": round(found),
            "decoder_alone": round(bare),
            "share": round(found / bare, 2),
        }
    if args.epochs:
        before = resident_mb()
        rows = train_rows(dataset, folder / "trained", args.epochs)
        decoded = replace(
            dataset,
            train=tuple(
                replace(each, observations={key: np.asarray(v) for key, v in each.observations.items()})
                for each in dataset.train
            ),
        )
        without = train_rows(decoded, folder / "decoded", 1)
        result["train"] = {
            "before_mb": before,
            "epochs": rows,
            "seconds_without_decoding": without[0]["seconds"],
        }
    result["exchange"] = exchange_rows(root, folder)
    if args.memory:
        result["memory"] = memory_rows(args.memory, folder)
    if args.start:
        result["start"] = start_rows(args.start, folder / "many")

    return result


def computed(measured):
    converted, access, imported = measured["convert"], measured["access"], measured["exchange"]
    per_core = max(access.values(), key=lambda each: each["frames_per_s"])
    fastest = max(value for key, value in converted.items() if key.startswith("frames_per_s"))
    raw = measured["pictures"]["raw_bytes"] * len(CAMERAS)
    rows = []
    if "memory" in measured:
        fewer, more = measured["memory"]
        for name, key in (("memory at its peak", "peak_mb"), ("memory while training", "training_mb")):
            slope = (more[key] - fewer[key]) / (more["frames"] - fewer["frames"])
            total_mb = fewer[key] + slope * (MILLION - fewer["frames"])
            rows.append((f"{name}, 7 actions x 16 steps", f"{total_mb / 1024:.1f} GB"))
    return [
        *rows,
        ("raw pictures", f"{raw * MILLION / 1e9:.0f} GB"),
        ("compressed pictures", f"{converted['pictures_bytes_per_frame'] * MILLION / 1e9:.0f} GB"),
        ("imported from LeRobot, jpegs", f"{imported['jpegs']['bytes_per_frame'] * MILLION / 1e9:.0f} GB"),
        ("imported, lossless", f"{imported['lossless']['bytes_per_frame'] * MILLION / 1e9:.0f} GB"),
        ("converting", f"{MILLION / fastest / 3600:.1f} h on {measured['cores']} cores"),
        (
            "decoding one epoch",
            f"{MILLION / per_core['frames_per_s'] / 60:.0f} min on {measured['cores']} cores",
        ),
    ]


if __name__ == "__main__":
    main()
