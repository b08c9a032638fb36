"""What a remote policy adds to the time of an answer: the same policy in process, and served by `il-ros serve`.

    python bench/remote_policy.py [--answers 2000]

The server is another process of this computer, so a network's own time comes on top. The policy is a small network on
the joints, so nearly all of the time is the transport's. Kinds of requests: `state` (9 numbers), and three cameras of
224x224 as arrays (`raw`, 452 kB) and as jpeg. Answers in process and over the websocket take turns. Prints JSON: the
time of an answer and what is added, in ms, and the load of the computer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from support.processes import started

from il_ros.core import contract
from il_ros.core.contract import Contract

HORIZON, RATE = 16, 20.0
CAMERAS = ("left", "right", "wrist")
NAMES = [f"joint{number}" for number in range(9)]
KINDS = {"state": (False, ""), "raw": (True, ""), "jpeg": (True, "jpeg")}
WARM = 50
TIMEOUT_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=2000)
    answers = parser.parse_args().answers
    found = {kind: measure(kind, answers) for kind in KINDS}
    print(json.dumps({"bench": "remote_policy", "load": os.getloadavg()[0], "found": found}, indent=1))


def measure(kind: str, answers: int) -> dict[str, Any]:
    """Return the figures of one kind of requests."""
    from il_ros.policies import checkpoint
    from il_ros.policies.protocol import PolicyError
    from il_ros.policies.remote import policy as remote

    pictures, encoding = KINDS[kind]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        own = save(folder, pictures)
        port = free_port()
        lines = [f"url: ws://127.0.0.1:{port}", "contract: contract.yaml", f"horizon: {HORIZON}"]
        if encoding:
            lines += ["observations:", "  joints: {from: [joints]}"]
            lines += [f"  {name}: {{from: [{name}], encoding: {encoding}}}" for name in CAMERAS]
        (folder / "remote.yaml").write_text("\n".join(lines) + "\n")
        near, far = checkpoint.load(folder / "checkpoint"), remote.load(folder)
        command = [sys.executable, "-m", "il_ros", "serve", str(folder / "checkpoint"), "--port", str(port)]
        rng = np.random.default_rng(0)
        seen = {spec.key: observed(spec, rng) for spec in own.observations}
        with open(os.devnull, "w") as nowhere, started(command, stdout=nowhere):
            end_s = time.monotonic() + TIMEOUT_S
            while True:
                try:
                    far.act(seen)
                    break
                except PolicyError:
                    if time.monotonic() > end_s:
                        raise
                    time.sleep(0.1)
            times: dict[str, list[float]] = {"in_process": [], "remote": []}
            for turn in range(WARM + answers):
                for name, policy in (("in_process", near), ("remote", far)):
                    begun_s = time.perf_counter()
                    policy.act(seen)
                    if turn >= WARM:
                        times[name].append(1e3 * (time.perf_counter() - begun_s))
            far.close()
    p50, p99 = ({name: float(np.percentile(each, q)) for name, each in times.items()} for q in (50, 99))
    return {
        "answers": answers,
        **{f"{name}_p50_ms": round(p50[name], 3) for name in times},
        **{f"{name}_p99_ms": round(p99[name], 3) for name in times},
        "added_p50_ms": round(p50["remote"] - p50["in_process"], 3),
        "added_p99_ms": round(p99["remote"] - p99["in_process"], 3),
    }


def observed(spec: Any, rng: np.random.Generator) -> Any:
    """Return joints, or a picture of smooth colours with some noise, as a camera's."""
    if spec.image is None:
        return rng.normal(size=spec.shape)
    rows, columns = np.mgrid[0 : spec.image.height, 0 : spec.image.width]
    smooth = np.stack([rows, columns, (rows + columns) // 2], axis=-1)
    return np.clip(smooth + rng.normal(scale=4, size=spec.shape), 0, 255).astype(np.uint8)


def save(folder: Path, pictures: bool) -> Contract:
    """Write a policy on the joints, under a contract with or without cameras; return the contract."""
    import torch

    from il_ros.policies import checkpoint
    from il_ros.policies.families.registry import family, make_network
    from il_ros.policies.normaliser import Affine, Normaliser
    from il_ros.policies.runner import LoadedPolicy

    cameras = "".join(
        f"  {name}: {{topic: {name}, type: sensor_msgs/msg/Image, image: {{width: 224, height: 224}}, max_age_s: 1}}\n"
        for name in (CAMERAS if pictures else ())
    )
    names = ", ".join(NAMES)
    text = (
        f"name: bench\nrate_hz: {RATE}\nobservations:\n"
        f"  joints: {{topic: joint_states, type: sensor_msgs/msg/JointState, names: [{names}], max_age_s: 1}}\n"
        f"{cameras}"
        f"actions:\n  arm: {{topic: arm, type: std_msgs/msg/Float64MultiArray, names: [{names}], reference: joints,\n"
        "        limits: {speed: 1.0}}\n"
    )
    (folder / "contract.yaml").write_text(text)
    own = contract.parse(text, "contract.yaml")
    count = len(NAMES)
    normaliser = Normaliser(Affine(np.zeros(count), np.ones(count)), Affine(np.zeros(count), np.ones(count)))
    settings = family("bc").settings(hidden=(64, 64), horizon=HORIZON, inputs=("joints",))
    torch.manual_seed(0)
    network = make_network("bc", settings, own, normaliser)
    checkpoint.save(folder / "checkpoint", LoadedPolicy(own, "bc", settings, network, normaliser, "bench"))
    return own


def free_port() -> int:
    """Return a port of this computer that nothing uses."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


if __name__ == "__main__":
    main()
