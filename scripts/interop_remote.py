"""The part of `make interop` about policies: LeRobot's drive il_ros's simulation, openpi's client asks `il-ros serve`.

    python scripts/interop_remote.py build/interop

It runs in il_ros's environment and starts the servers in LeRobot's. Each line that is printed is a result.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from il_ros.core import contract
from il_ros.policies import checkpoint
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.remote import policy as remote
from il_ros.policies.runner import LoadedPolicy

MAPPING = """url: ws://127.0.0.1:{port}
contract: arm_push_images
horizon: {horizon}
history: {history}
timeout_s: 60
observations:
  observation.state: {{from: [joints]}}
  observation.images.overhead: {{from: [overhead]}}
  observation.images.wrist: {{from: [wrist]}}
  task: {{text: push}}
"""
ASK = """
import sys, numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy
client = WebsocketClientPolicy("127.0.0.1", int(sys.argv[1]))
seen = {"joints": np.zeros(7), "object": np.array([0.4, 0, 0.02]), "goal": np.array([0.5, 0, 0])}
print(client.get_server_metadata()["il_ros"]["version"], client.infer(seen)["actions"].tolist())
"""


def main() -> None:
    """Run all checks."""
    work = Path(sys.argv[1])
    for name in ("act_image", "diffusion"):
        print(drives(name, work))
    print(answers_openpi(work))


def drives(name: str, work: Path) -> str:
    """Have a LeRobot policy answer one known observation, and drive an episode of `push`."""
    known = np.load(work / "policies" / f"{name}.npz")
    command = [str(work / "venv/bin/python"), "-W", "ignore", "scripts/interop_lerobot.py", "serve"]
    with listening([*command, str(work / "policies" / name), "--port", "0"]) as port:
        folder = work / "remote" / name
        folder.mkdir(parents=True, exist_ok=True)
        words = {"port": port, "horizon": len(known["actions"]), "history": int(known["history"])}
        (folder / "remote.yaml").write_text(MAPPING.format(**words))
        policy = remote.load(folder)
        seen = {key: known[key] for key in ("joints", "overhead", "wrist")}
        apart = "drawn by chance"
        if name.startswith("act"):
            apart = f"{np.abs(policy.act(seen) - known['actions']).max():.1e} from LeRobot's own"
            np.testing.assert_allclose(policy.act(seen), known["actions"], atol=1e-5)
        policy.close()
        evaluate = [
            sys.executable,
            "-m",
            "il_ros",
            "evaluate",
            str(folder),
            "--task",
            "push",
            "--episodes",
            "1",
        ]
        subprocess.run(
            [*evaluate, "--json", str(folder / "result.json")], check=True, stdout=subprocess.DEVNULL
        )
        (episode,) = json.loads((folder / "result.json").read_text())["episodes"]
        assert not episode["error"], episode["error"]
    return f"{name}: answers {apart}; it drove `push` for {episode['duration_s']:.1f} s through the safety limiter"


def answers_openpi(work: Path) -> str:
    """Have openpi's own client ask `il-ros serve`."""
    own = contract.find("arm_push")
    size, count = own.action_size, 13
    normaliser = Normaliser(Affine(np.zeros(count), np.ones(count)), Affine(np.zeros(size), np.ones(size)))
    settings = family("bc").settings(hidden=(8,), horizon=4)
    policy = LoadedPolicy(
        own, "bc", settings, make_network("bc", settings, own, normaliser), normaliser, "v1"
    )
    checkpoint.save(work / "served", policy)
    seen = {"joints": np.zeros(7), "object": np.array([0.4, 0, 0.02]), "goal": np.array([0.5, 0, 0])}
    with listening([sys.executable, "-m", "il_ros", "serve", str(work / "served"), "--port", "0"]) as port:
        command = [str(work / "venv/bin/python"), "-c", ASK, str(port)]
        version, _, answer = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.partition(" ")
    assert version == "v1"
    np.testing.assert_array_equal(json.loads(answer), policy.act(seen))
    return "openpi's client got the answer of `il-ros serve` bit for bit"


@contextlib.contextmanager
def listening(command: list[str]) -> Iterator[int]:
    """Run a server; yield its port once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("listening on "):
                yield int(line.rpartition(":")[2])
                break
        else:
            raise RuntimeError(f"{command}: ended before it listened")
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


if __name__ == "__main__":
    main()
