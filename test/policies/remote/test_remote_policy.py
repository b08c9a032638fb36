"""A policy of another process: what it answers, and what follows when its server misbehaves."""

import asyncio
import gc
import logging
import socket as sockets
import ssl
import subprocess
import threading
import time
import weakref

import numpy as np
import policy_servers
import pytest
from made_versions import CONTRACT, TEXT
from policy_servers import Server, answering, pack

from il_ros.policies.protocol import PolicyError
from il_ros.policies.remote import policy as remote

LONG_S = 30.0
SEEN = {"joints": np.array([0.1, 0.2])}
TOKEN = "a-token-that-nobody-must-see"


@pytest.fixture
def ask(tmp_path):
    """Return ask(port, *lines): the policy of a server; closed at the end."""
    (tmp_path / "contract.yaml").write_text(TEXT)
    made = []

    def ask(port, *lines, horizon=2, retry_s=0.01, timeout_s=LONG_S, **options):
        lines = (f"horizon: {horizon}", f"retry_s: {retry_s}", f"timeout_s: {timeout_s}", *lines)
        made.append(remote.load(policy_servers.mapping(tmp_path, port, *lines, **options)))
        return made[-1]

    yield ask
    for policy in made:
        policy.close()


def echo(request):
    return {"actions": np.stack([request["joints"], request["joints"] + 1])}


def until(condition):
    end_s = time.monotonic() + LONG_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def failing(policy):
    with pytest.raises(PolicyError) as raised:
        policy.act(SEEN)
    return str(raised.value)


def answered_again(policy):
    """Ask until there is an answer; return it."""
    end_s = time.monotonic() + LONG_S
    while True:
        try:
            return policy.act(SEEN)
        except PolicyError:
            assert time.monotonic() < end_s
            time.sleep(0.005)


def test_the_answers_of_a_server_are_the_commands(ask):
    with Server(answering(echo, metadata={"version": "pi0"})) as server:
        policy = ask(server.port)
        for _ in range(3):
            np.testing.assert_array_equal(policy.act(SEEN), [[0.1, 0.2], [1.1, 1.2]])
        assert server.clients == 1
        given = policy.act_in_parts(SEEN)
        assert (given.own, given.beyond, given.uncertainty, given.way) == (None, 0.0, None, None)
        (news,) = policy.news()
        assert news.good
        assert news.text == f"remote policy ws://127.0.0.1:{server.port} connected; its metadata has: version"
        assert policy.server["remote version"] == "pi0"
        assert policy.server["remote connected"] == "yes"


def test_the_uncertainty_of_a_server_is_the_policys(ask):
    with Server(answering(lambda request: echo(request) | {"uncertainty": np.float32(0.25)})) as server:
        assert ask(server.port).act_with_uncertainty(SEEN)[1] == 0.25


def test_without_a_server_it_says_so_at_once_and_connects_when_there_is_one(ask):
    with Server(answering(echo)) as server:
        port = server.port
    policy = ask(port)
    assert failing(policy) == f"remote policy ws://127.0.0.1:{port}: not connected: nothing listens there"
    assert [(each.good, "nothing listens there; trying again" in each.text) for each in policy.news()] == [
        (False, True)
    ]
    with Server(answering(echo), port):
        np.testing.assert_array_equal(answered_again(policy)[0], SEEN["joints"])
        (news,) = policy.news()  # the failures between say nothing new
        assert news.good
        assert "connected again, after" in news.text


def test_a_killed_server_is_a_failure_in_words_and_a_new_one_is_used(ask):
    server = Server(answering(echo))
    policy = ask(server.port)
    policy.act(SEEN)
    server.kill()
    until(lambda: not policy.connection.connected)
    assert "not connected" in failing(policy)
    with Server(answering(echo), server.port):
        answered_again(policy)
        assert policy.connection.connections == 2
        assert [each.good for each in policy.news()][:2] == [True, False]


def test_a_server_killed_while_it_computes_ends_the_wait(ask):
    asked = threading.Event()

    async def converse(socket):
        await socket.send(pack({}))
        await socket.recv()
        asked.set()
        await asyncio.sleep(2 * LONG_S)

    server = Server(converse)
    policy = ask(server.port)
    killer = threading.Thread(target=lambda: (asked.wait(LONG_S), server.kill()))
    killer.start()
    assert "the connection broke" in failing(policy)
    killer.join()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"actions": np.zeros((3, 2))}, r"'actions' of the answer is \(3, 2\); \(2, 2\) is required"),
        ({"actions": np.array([[0, 0], [np.nan, 0]])}, "arm/a is nan at step 1 of the answer"),
        ({"velocity": 1}, "the answer has no 'actions'"),
    ],
)
def test_a_wrong_answer_is_refused_and_the_connection_goes_on(ask, answer, words):
    answers = [answer, echo({"joints": SEEN["joints"]})]
    with Server(answering(lambda _: answers.pop(0))) as server:
        policy = ask(server.port)
        with pytest.raises(PolicyError, match=words):
            policy.act(SEEN)
        policy.act(SEEN)
        assert server.clients == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\xc1garbage", "its answer no readable msgpack"),
        (b"\xdd\x00\x0f\xff\xff" * 1000, "its answer no readable msgpack"),
        (b"\x93\x01\x02\x03", "its answer is a list of 3 items"),
        (b"\0" * 3_000_000, r"it broke the protocol \(message too big\), code 1009"),
        (
            "Traceback (most recent call last):\n  ...\nKeyError: 'prompt'\n",
            "it reports an error: KeyError: 'prompt'",
        ),
        ("\x1b[31mred", r"it reports an error: \\x1b\[31mred"),
    ],
    ids=["garbage", "bomb", "list", "large", "error", "control characters"],
)
def test_what_is_no_answer_ends_the_connection_and_the_next_one_works(ask, answer, words):
    answers = [answer]
    with Server(answering(lambda request: answers.pop() if answers else echo(request))) as server:
        policy = ask(server.port)
        with pytest.raises(PolicyError, match=words):
            policy.act(SEEN)
        answered_again(policy)
        assert server.clients == 2


def test_a_compressed_frame_is_refused_without_decompression(ask):
    """The client never offers compression; a frame that is marked as compressed breaks the protocol."""

    async def converse(socket):
        await socket.send(pack({}))
        await socket.recv()
        # FIN and RSV1, binary, 10 bytes that would be gigabytes of zeros
        socket.transport.write(b"\xc2\x0a" + b"\xec\xc0\x01\x01\x00\x00\x00\x80\x90\xfe")
        await socket.wait_closed()

    with Server(converse) as server:
        policy = ask(server.port)
        assert "it broke the protocol, code 1002" in failing(policy)


def test_compression_is_not_negotiated_even_if_the_server_offers_it(ask):
    found = []

    async def converse(socket):
        found.extend(socket.protocol.extensions)
        await answering(echo)(socket)

    with Server(converse, compression="deflate") as server:
        ask(server.port).act(SEEN)
        assert found == []


def test_a_late_answer_is_never_taken_for_that_of_another_request(ask):
    delays = [0.5]
    asked = []

    def answer(request):
        asked.append(request["joints"][0])
        return echo(request)

    with Server(answering(answer, lambda: delays.pop() if delays else 0.0)) as server:
        policy = ask(server.port, timeout_s=0.2)
        with pytest.raises(PolicyError, match=r"no answer within 0\.2 s \(timeout_s\)"):
            policy.act({"joints": np.array([7.0, 7.0])})
        end_s = time.monotonic() + LONG_S
        while len(asked) < 4 or time.monotonic() < end_s - LONG_S + 0.7:  # also after the late answer was due
            assert time.monotonic() < end_s
            try:
                assert policy.act(SEEN)[0].tolist() == [0.1, 0.2]
            except PolicyError:
                time.sleep(0.01)
        assert server.clients >= 2
        assert any(not each.good and "no answer within" in each.text for each in policy.news())


def test_a_message_that_was_not_asked_for_ends_the_connection(ask):
    first = [True]

    async def converse(socket):
        await socket.send(pack({}))
        async for _ in socket:
            await socket.send(pack({"actions": np.ones((2, 2))}))
            if first:
                first.clear()
                await socket.send(pack({"actions": np.full((2, 2), 9.0)}))

    with Server(converse) as server:
        policy = ask(server.port)
        policy.act(SEEN)
        until(lambda: any("was not asked for" in each.text for each in policy.news()))
        for _ in range(3):
            assert answered_again(policy)[0, 0] == 1.0


def test_a_server_of_il_ros_must_answer_the_number_of_the_request(ask):
    numbers = []

    def answer(request):
        numbers.append(request["il_ros"]["request"])
        number = numbers[-1] if len(numbers) < 3 else numbers[0]
        return echo(request) | {"il_ros": {"request": number}}

    with Server(answering(answer, metadata={"il_ros": {"version": "v7"}})) as server:
        policy = ask(server.port)
        policy.act(SEEN)
        policy.act(SEEN)
        assert "it answered request 1 instead of 3" in failing(policy)
        assert policy.server["remote version"] == "v7"


@pytest.mark.parametrize("given", [None, "another-token-of-the-same-length"])
def test_a_wrong_token_is_said_and_no_log_or_message_has_the_right_one(ask, tmp_path, caplog, given):
    async def refuse(connection, request):
        if request.headers.get("Authorization") != f"Api-Key {TOKEN}":
            return connection.respond(401, "no\n")
        return None

    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text(given or "")
    (tmp_path / "token").chmod(0o600)
    with Server(answering(echo), process_request=refuse) as server:
        policy = ask(server.port, *(["token_file: token"] if given else []))
        assert "it refuses the token (HTTP 401): see token_file of remote.yaml" in failing(policy)
        (tmp_path / "token").write_text(TOKEN)
        right = ask(server.port, "token_file: token")
        right.act(SEEN)
        told = " ".join(
            [*(each.text for each in (*policy.news(), *right.news())), str(right.server), repr(right.spec)]
        )
        assert TOKEN not in told + caplog.text
        assert "Api-Key" not in caplog.text


def test_a_redirection_is_not_followed_with_pictures_and_token(ask):
    with Server(answering(echo)) as other:

        async def redirect(connection, request):
            response = connection.respond(302, "")
            response.headers["Location"] = f"ws://127.0.0.1:{other.port}/"
            return response

        with Server(answering(echo), process_request=redirect) as server:
            assert "it answers HTTP 302 instead of opening a websocket" in failing(ask(server.port))
        assert other.clients == 0


def test_a_server_that_says_nothing_is_not_waited_for_longer_than_the_time_out(ask):
    async def converse(socket):
        await socket.wait_closed()

    with Server(converse) as server:
        policy = ask(server.port, timeout_s=0.2)
        until(lambda: "it sent no metadata within 0.2 s" in failing(policy))


def test_a_port_that_accepts_and_stays_silent_is_no_server(ask):
    with sockets.create_server(("127.0.0.1", 0)) as listening:
        policy = ask(listening.getsockname()[1], timeout_s=0.2)
        until(lambda: "not connected within 0.2 s" in failing(policy))


def test_a_port_that_speaks_another_protocol_is_no_server(ask):
    def speak(listening):
        client = listening.accept()[0]
        client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        client.close()

    with sockets.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=speak, args=(listening,), daemon=True).start()
        assert "did not receive a valid HTTP response" in failing(ask(listening.getsockname()[1]))


def test_metadata_that_are_no_mapping_are_said(ask):
    async def converse(socket):
        await socket.send(b"\x01")
        await socket.wait_closed()

    with Server(converse) as server:
        assert "its metadata is 1; a mapping with texts as keys is needed" in failing(ask(server.port))


def certificate(folder):
    """Make a certificate for localhost; return it with its key."""
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "ca.pem", folder / "key.pem"


def test_with_tls_only_a_trusted_server_is_asked(ask, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate(tmp_path))
    with Server(answering(echo), ssl=context) as server:
        there = {"scheme": "wss", "host": "localhost"}
        assert "its certificate is not trusted" in failing(ask(server.port, **there))
        trusting = ask(server.port, "ca_file: ca.pem", **there)
        np.testing.assert_array_equal(trusting.act(SEEN)[0], SEEN["joints"])
        assert "match" in failing(ask(server.port, "ca_file: ca.pem", scheme="wss"))  # 127.0.0.1 is not in it


def test_closed_or_forgotten_it_leaves_no_thread_and_no_connection(ask):
    left = threading.Event()

    async def converse(socket):
        await answering(echo)(socket)
        left.set()

    with Server(converse) as server:
        policy = ask(server.port)
        policy.act(SEEN)
        thread = policy.connection._thread
        policy.close()
        assert not thread.is_alive()
        assert left.wait(LONG_S)
        assert "the connection was closed" in failing(policy)
        left.clear()
        folder_of = remote.RemotePolicy(policy.spec)
        folder_of.act(SEEN)
        thread, gone = folder_of.connection._thread, weakref.ref(folder_of)
        del folder_of
        gc.collect()
        assert gone() is None
        thread.join(LONG_S)
        assert not thread.is_alive()
        assert left.wait(LONG_S)


def test_a_request_that_the_server_does_not_read_is_given_up(ask, tmp_path):
    """The buffers of the system fill up; sending must not wait for ever."""

    async def converse(socket):
        await socket.send(pack({}))
        socket.transport.pause_reading()
        await asyncio.sleep(2 * LONG_S)

    large = TEXT.replace(
        "actions:",
        "  camera: {topic: c, type: sensor_msgs/msg/Image, image: {width: 2048, height: 2048}, max_age_s: 1}\nactions:",
    )
    with Server(converse) as server:
        (tmp_path / "contract.yaml").write_text(large)
        sending = ask(server.port, timeout_s=0.5)
        picture = np.zeros((2048, 2048, 3), np.uint8)
        with pytest.raises(PolicyError, match=r"no answer within 0\.5 s"):
            sending.act(SEEN | {"camera": picture})


def test_the_difference_of_commands_is_in_halves_of_the_contracts_ranges(ask):
    policy = ask(1)
    assert CONTRACT.actions[0].limits.upper == (1000.0, 1000.0)
    np.testing.assert_allclose(policy.difference(np.array([500.0, 0.0]), np.zeros(2)), [0.5, 0.0])


def test_a_number_that_the_scale_makes_infinite_is_refused(ask):
    with Server(answering(lambda _: {"actions": np.array([[0.0, 0.0], [1e308, 0.0]])})) as server:
        policy = ask(server.port, "actions: {scale: 10}")
        with pytest.raises(
            PolicyError, match="arm/a is inf at step 1 of the answer, after scale, offset and delta"
        ):
            policy.act(SEEN)
