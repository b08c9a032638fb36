"""Training by several processes: the result of one, and an end when one of them ends."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import made_episodes as made
import pytest
import torch

from il_ros.cli.main import main
from il_ros.policies import checkpoint
from il_ros.policies.networks.together import BatchPart, PartialGenerator
from il_ros.training import device
from il_ros.training.processes import ALONE

TRAIN = [
    *("--recipe", "moe", "--progress", "json"),
    *("--set", "inputs=[joints]", "--set", "hidden=[8]", "--set", "horizon=3", "--set", "state_noise=0.1"),
    *("--set", "epochs=20", "--set", "batch_size=10", "--set", "validation=0.3", "--set", "device=cpu"),
]
IN_PARTS = ["--set", "accumulate=2"]
TIMEOUT_S = 600


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        made.write(tmp_path / "episodes", made.recorded(15), number=number)
    return tmp_path / "episodes"


def started(ranks, command):
    """Two processes with what torchrun tells its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, *command[rank]],
            env={**os.environ, **told, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ranks
    ]


def ended(process):
    """What is printed until a process ends, which is killed when it does not."""
    return process.communicate(timeout=TIMEOUT_S)


def wait_for_epoch(stream, number):
    for line in stream:
        event = json.loads(line)
        if event["event"] == "epoch" and event["epoch"] >= number:
            return
    raise AssertionError(f"the training ended before epoch {number}")


def curves(out):
    with (out / "curves.csv").open() as file:
        return [[float(each) for each in row] for row in list(csv.reader(file))[1:]]


def children_of(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def rank_of(pid):
    told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next((int(each[5:]) for each in told if each.startswith(b"RANK=")), None)


def test_two_processes_learn_what_one_does_and_one_continues_what_two_began(root, tmp_path):
    """By torchrun, interrupted after a few epochs: what is random, weights, buffers, and the state are those of one.

    Each of the two also computes its part of a batch in two parts.
    """
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    assert main(["train", str(root), "--out", str(whole), *TRAIN]) == 0
    command = [Path(sys.executable).with_name("torchrun"), "--nproc-per-node", "2", "-m", "il_ros"]
    with subprocess.Popen(
        [*command, "train", root, "--out", shared, *TRAIN, *IN_PARTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as launcher:
        timer = threading.Timer(TIMEOUT_S, launcher.kill)
        timer.start()
        wait_for_epoch(launcher.stdout, 3)
        second = next(each for each in children_of(launcher.pid) if rank_of(each) == 1)
        os.kill(second, signal.SIGINT)  # not the one that writes: all stop when one is told
        events = [json.loads(line) for line in launcher.stdout]
        timer.cancel()
    assert [event["event"] for event in events].count("done") == 1  # only the first one prints
    assert not events[-1]["finished"]
    begun = curves(shared)
    assert 3 <= len(begun) < 20
    for one, other in zip(curves(whole)[:5], begun, strict=False):
        assert one[2:4] == pytest.approx(other[2:4], rel=1e-5)  # training and validation loss
    assert main(["train", str(root), "--out", str(shared), "--resume", *TRAIN, *IN_PARTS]) == 0
    assert curves(whole)[-1][2:4] == pytest.approx(curves(shared)[-1][2:4], rel=1e-2)
    one, other = (checkpoint.load(out).network.state_dict() for out in (whole, shared))
    for name, values in one.items():
        torch.testing.assert_close(values, other[name], rtol=0.05, atol=0.01)


def test_when_a_process_is_killed_the_other_one_ends_and_says_so(root, tmp_path):
    command = [
        "-m",
        "il_ros",
        "train",
        str(root),
        "--out",
        str(tmp_path / "out"),
        *TRAIN,
        "--set",
        "epochs=1000000",
    ]
    first, second = started((0, 1), [command, command])
    wait_for_epoch(first.stdout, 2)
    second.kill()
    _, told = ended(first)
    ended(second)
    assert first.returncode == 1
    assert "il-ros train: process 0 of 2: another process of this training ended or cannot be reached" in told


def test_processes_with_other_episodes_are_refused():
    script = (
        "import sys\n"
        "from il_ros.training.processes import joined\n"
        "with joined() as processes:\n"
        "    assert (processes.first, processes.any(not processes.first)) == (sys.argv[1] == '1', True)\n"
        "    processes.require_same({'data': [1]})\n"
        "    processes.require_same({'data': [1], 'episodes': sys.argv[1]})\n"
    )
    both = started((0, 1), [["-c", script, "1"], ["-c", script, "2"]])
    told = [ended(each)[1] for each in both]
    assert "ValueError: another process has other data or settings; all machines need the same" in told[0]
    assert "ValueError: process 1 has other episodes than process 0; all machines need the same" in told[1]


def test_parts_are_all_samples_once():
    parts = [BatchPart(rank, 3) for rank in range(3)]
    assert [list(range(8))[part.rows(8)] for part in parts] == [[0, 1], [2, 3, 4], [5, 6, 7]]
    with pytest.raises(ValueError, match="rank is 3; it must be 0 to 2, because there are 3"):
        BatchPart(3, 3)


def test_a_part_draws_what_the_whole_batch_draws():
    from il_ros.policies.protocol import noise

    whole = noise((7, 2), torch.Generator().manual_seed(1), "cpu")
    for rank, rows in ((0, slice(0, 3)), (1, slice(3, 7))):
        rng = PartialGenerator()
        rng.manual_seed(1)
        rng.begin(BatchPart(rank, 2), 7)
        assert torch.equal(noise((rows.stop - rows.start, 2), rng, "cpu"), whole[rows])


def test_a_training_alone_averages_nothing():
    values = torch.tensor([1.0, 2.0])
    ALONE.average_(values)
    assert values.tolist() == [1.0, 2.0]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    ALONE.require_same({"data": 1})


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(
        device, "_missing", lambda name: "there are 2 GPUs, counted from 0" if name == "cuda:2" else ""
    )
    assert device.device_of("auto", images=True, place=(1, 2)) == ("cuda:1", "")
    assert device.device_of("auto", images=False, place=(1, 2)) == ("cpu", "")
    assert device.device_of("cuda", images=False, place=(0, 1)) == ("cuda", "")
    with pytest.raises(
        ValueError, match="3 processes of this training run on this machine: there are 2 GPUs"
    ):
        device.device_of("cuda", images=True, place=(2, 3))
    with pytest.raises(ValueError, match="device is 'cuda:0' for 2 processes"):
        device.device_of("cuda:0", images=True, place=(1, 2))
