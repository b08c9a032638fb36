"""`il-ros serve`: a policy of ours for others, over the same protocol."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request

import cv2
import msgpack
import numpy as np
import policy_servers
import pytest
import torch
from made_versions import CONTRACT, TEXT, constant_policy
from policy_servers import pack, unpack
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from il_ros.core import contract
from il_ros.policies import checkpoint
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.protocol import PolicyError
from il_ros.policies.remote import policy as remote
from il_ros.policies.remote import server
from il_ros.policies.remote.server import ServingOptions, serve
from il_ros.policies.runner import LoadedPolicy

LONG_S = 60.0
JOINTS = np.array([0.1, 0.2])
TOKEN = "a-token-that-nobody-must-see"
CAMERA = TEXT.replace(
    "actions:",
    "  camera: {topic: c, type: sensor_msgs/msg/Image, image: {width: 8, height: 8}, max_age_s: 1}\nactions:",
)

SMALL = np.zeros((4, 4, 3), np.uint8)
LARGE = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()


def drawn_policy(own=CONTRACT, **settings):
    """Return a policy whose weights are drawn by chance."""
    size = len(Inputs.of(own, ("joints",)).groups)
    normaliser = Normaliser(Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(2), np.ones(2)))
    kind = family("bc")
    chosen = kind.settings(hidden=(8,), inputs=("joints",), **settings)
    torch.manual_seed(0)
    return LoadedPolicy(own, "bc", chosen, make_network("bc", chosen, own, normaliser), normaliser, "v3")


@pytest.fixture
def served():
    """Return served(policy, **options): the port, and what is said; all ended at the end."""
    ends = []

    def served(policy, **options):
        said, loops = [], []
        ready = threading.Event()

        def say(text):
            said.append(text)
            if text.startswith("listening"):
                ready.set()

        async def run():
            stop = asyncio.Event()
            loops.append((asyncio.get_running_loop(), stop))
            await serve(policy, ServingOptions(port=0, **options), say, stop)

        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        assert ready.wait(LONG_S)
        ends.append(lambda: (loops[0][0].call_soon_threadsafe(loops[0][1].set), thread.join(LONG_S)))
        return int(said[0].rpartition(":")[2]), said

    yield served
    for end in ends:
        end()


@contextlib.contextmanager
def client(port, token="", **options):
    headers = {"Authorization": f"Api-Key {token}"} if token else {}
    with connect(
        f"ws://127.0.0.1:{port}", additional_headers=headers, compression=None, proxy=None, **options
    ) as socket:
        yield socket


def mapped(tmp_path, port, *lines, text=TEXT):
    (tmp_path / "contract.yaml").write_text(text)
    return remote.load(policy_servers.mapping(tmp_path, port, *lines))


def test_the_answers_over_the_network_are_those_in_process_bit_for_bit(served, tmp_path):
    policy = drawn_policy(horizon=4, history=3)
    port, _ = served(policy)
    far = mapped(tmp_path, port, "horizon: 4", "history: 3")
    rng = np.random.default_rng(0)
    near, there = policy.in_episode(), far.in_episode()
    for _ in range(5):
        seen = {"joints": rng.normal(size=2)}
        np.testing.assert_array_equal(there(seen), near(seen))
    far.close()


def test_the_metadata_say_what_the_policy_takes_and_answers(served):
    port, said = served(constant_policy(CONTRACT, (0.25, -0.5), "v3"))
    with client(port) as socket:
        about = unpack(socket.recv())["il_ros"]
        assert about == {
            "version": "v3", "contract": "two_joints", "contract_hash": CONTRACT.hash, "rate_hz": 20.0, "horizon": 1,
            "history": 1, "observations": {"joints": {"shape": [2], "dtype": "<f8"}}, "actions": ["arm/a", "arm/b"],
        }  # fmt: skip
        socket.send(pack({"joints": JOINTS, "il_ros": {"request": 7}}))
        answer = unpack(socket.recv())
        np.testing.assert_allclose(answer["actions"], [[0.25, -0.5]])
        assert answer["il_ros"] == {"request": 7}
        assert answer["server_timing"]["infer_ms"] > 0
    assert any("connected; 1 client now" in text for text in said)


def test_pictures_come_as_arrays_or_as_files(served):
    own = contract.parse(CAMERA, "with_camera")
    port, _ = served(constant_policy(own, (0.25, -0.5), "v1", inputs=("joints",)))
    picture = np.zeros((8, 8, 3), np.uint8)
    with client(port) as socket:
        socket.recv()
        for sent in (
            picture,
            cv2.imencode(".png", picture)[1].tobytes(),
            cv2.imencode(".jpg", picture)[1].tobytes(),
        ):
            socket.send(pack({"joints": JOINTS, "camera": sent}))
            assert unpack(socket.recv())["actions"].shape == (1, 2)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"joints": np.zeros(3)}, r"'joints' is float64 \(3,\); the shape \(2,\) is needed"),
        ({"joints": "up"}, "'joints' is 'up'; an array of numbers is needed"),
        ({"joints": np.array([np.nan, 0])}, "observation 'joints': position/a is nan"),
        ({}, "a request must have an observation"),
        ({"camera": np.zeros((8, 8, 3), np.uint8)}, "observation 'joints' is missing"),
        ({"joints": JOINTS, "camera": SMALL}, r"'camera' is uint8 \(4, 4, 3\); uint8 \(8, 8, 3\)"),
        ({"joints": JOINTS, "camera": b"\xff\xd8no picture"}, "'camera': not a"),
        ({"joints": JOINTS, "camera": LARGE}, "is 9x9, the contract says 8x8"),
        ({"joint": JOINTS}, "'joint' is no observation of this policy; it takes: joints, camera"),
        ({"joints": JOINTS, 7: 1}, "no readable msgpack"),
        (b"\xc1", "no readable msgpack"),
        (b"\xdd\xff\xff\xff\xff", "no readable msgpack"),
        ("text", "a request is a text; msgpack in a binary message is needed"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_gets_the_reason_and_others_go_on(served, request_, words):
    own = contract.parse(CAMERA, "with_camera")
    port, said = served(constant_policy(own, (0.25, -0.5), "v1", inputs=("joints",)))
    raw = (
        request_
        if isinstance(request_, (bytes, str))
        else msgpack.packb(request_, default=policy_servers.packed)
    )
    with client(port) as other, client(port) as socket:
        other.recv(), socket.recv()
        socket.send(raw)
        assert re.search(words, socket.recv())
        with pytest.raises(ConnectionClosed):
            socket.recv()
        other.send(pack({"joints": JOINTS}))
        assert unpack(other.recv())["actions"].shape == (1, 2)
    assert any(re.search(words, text) for text in said)


def test_a_request_larger_than_the_contract_needs_is_refused_unread(served):
    port, said = served(drawn_policy())
    with client(port) as socket:
        socket.recv()
        with contextlib.suppress(ConnectionClosed):  # 16 bytes of joints are needed
            socket.send(b"\0" * 200_000)
        with pytest.raises(ConnectionClosed):
            socket.recv()
    with client(port) as socket:
        socket.recv()
        socket.send(pack({"joints": JOINTS}))
        socket.recv()
    assert any("protocol error 1009" in text for text in said)


def test_only_clients_with_the_token_are_answered(served, tmp_path):
    port, said = served(drawn_policy(), token=TOKEN)
    for wrong in ("", TOKEN[:-1], TOKEN + "x"):
        with pytest.raises(InvalidStatus) as raised, client(port, wrong):
            pass
        assert raised.value.response.status_code == 401
    with client(port, TOKEN) as socket:
        socket.recv()
    with connect(
        f"ws://127.0.0.1:{port}", additional_headers={"Authorization": f"Bearer {TOKEN}"}, proxy=None
    ) as socket:
        socket.recv()
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    far = mapped(tmp_path, port, "horizon: 1", "token_file: token")
    assert far.act({"joints": JOINTS}).shape == (1, 2)
    far.close()
    assert sum("refused: wrong token" in text for text in said) == 2
    assert sum("refused: no token" in text for text in said) == 1
    assert TOKEN not in " ".join(said)


def test_a_web_page_cannot_ask_and_a_monitor_can(served):
    port, _ = served(drawn_policy())
    with (
        pytest.raises(InvalidStatus) as raised,
        connect(f"ws://127.0.0.1:{port}", origin="http://evil.example", proxy=None),
    ):
        pass
    assert raised.value.response.status_code == 403
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as response:
        assert (response.status, response.read()) == (200, b"OK\n")


def test_more_clients_than_allowed_are_refused(served):
    port, said = served(drawn_policy(), most_clients=2)
    with client(port) as one, client(port) as two:
        one.recv(), two.recv()
        with pytest.raises(InvalidStatus) as raised, client(port):
            pass
        assert raised.value.response.status_code == 503
        assert said[-1].endswith("refused: there are 2 clients already")


def test_a_policy_that_fails_is_said_without_its_inside(served):
    class Broken:
        contract, version, horizon, history = CONTRACT, "v1", 1, 1

        def act_with_uncertainty(self, seen, seed):
            raise ZeroDivisionError("secret path")

    port, said = served(Broken())
    with client(port) as socket:
        socket.recv()
        socket.send(pack({"joints": JOINTS}))
        assert socket.recv() == "the policy failed: ZeroDivisionError"
    assert any("ZeroDivisionError: secret path" in text for text in said)


def test_a_client_of_ours_that_asks_for_the_wrong_thing_is_told(served, tmp_path):
    port, _ = served(drawn_policy())
    far = mapped(tmp_path, port, "horizon: 1", "observations: {state: {from: [joints]}}")
    with pytest.raises(
        PolicyError, match="it reports an error: 'state' is no observation of this policy; it takes: joints"
    ):
        far.act({"joints": JOINTS})
    far.close()


def test_each_signal_ends_the_command_and_its_clients_are_told(tmp_path):
    checkpoint.save(tmp_path / "checkpoint", drawn_policy())
    command = [sys.executable, "-m", "il_ros", "serve", str(tmp_path / "checkpoint"), "--port", "0"]
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    processes = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        for _ in numbers
    ]
    try:
        for number, process in zip(numbers, processes, strict=True):
            lines = []
            while not lines or not lines[-1].startswith("listening"):
                lines.append(process.stdout.readline())
                assert lines[-1], lines
            assert lines[0] == "policy v3, contract 'two_joints': 1 step of 2 numbers at 20 Hz\n"
            with client(int(lines[-1].rpartition(":")[2])) as socket:
                socket.recv()
                process.send_signal(number)
                process.send_signal(number)
                with pytest.raises(ConnectionClosed) as raised:
                    socket.recv(LONG_S)
                assert raised.value.rcvd.code == 1001
            rest, _ = process.communicate(timeout=LONG_S)
            assert "stopping" in rest
            assert "Traceback" not in rest
            assert process.returncode == 0
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bind", "0.0.0.0"], "other computers can reach this address, so a token is needed"),
        (["--port", "99999"], "--port 99999: must be 0 to 65535"),
        (["--clients", "0"], "--clients 0: must be 1 to 1024"),
        (["--threads", "1000000"], "--threads 1000000: must be 1 to 1024"),
        (["--key", "key.pem"], "--certificate and --key belong together"),
        (["--certificate", "no.pem", "--key", "no.pem"], "--certificate no.pem, --key no.pem: "),
        (["--token-file", "no"], "no: cannot be read: No such file or directory"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, capsys, words, said):
    from il_ros.cli.main import main

    checkpoint.save(tmp_path / "checkpoint", drawn_policy())
    assert main(["serve", str(tmp_path / "checkpoint"), *words]) == 2
    assert said in capsys.readouterr().err


def test_an_address_in_use_is_said(served, tmp_path, capsys):
    from il_ros.cli.main import main

    port, _ = served(drawn_policy())
    checkpoint.save(tmp_path / "checkpoint", drawn_policy())
    assert main(["serve", str(tmp_path / "checkpoint"), "--port", str(port)]) == 2
    assert f"il-ros serve: 127.0.0.1:{port}: " in capsys.readouterr().err


def test_a_client_that_never_says_what_it_wants_does_not_delay_the_end(monkeypatch):
    monkeypatch.setattr(server, "_OPEN_S", 1e6)  # the longest that such a client is given
    ends = threading.Event()

    async def run():
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        said = lambda text: text.startswith("listening") and ready.set_result(int(text.rpartition(":")[2]))  # noqa: E731
        serving = asyncio.create_task(server.serve(drawn_policy(), ServingOptions(port=0), said, stop))
        _, writer = await asyncio.open_connection("127.0.0.1", await ready)
        writer.write(b"GET / HTTP/1.1\r\n")
        await writer.drain()
        stop.set()
        await serving

    thread = threading.Thread(target=lambda: (asyncio.run(run()), ends.set()), daemon=True)
    thread.start()
    assert ends.wait(LONG_S)
