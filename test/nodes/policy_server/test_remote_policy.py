"""A policy of another process on a real graph: it drives through policy server, supervisor and limiter."""

import contextlib
import socket
import subprocess

import numpy as np
import policy_servers
from made_versions import CONTRACT, TEXT, Robot, version
from policy_servers import Server, answering
from rclpy.parameter import Parameter
from sim_node import pause, reset, started
from slow_policy import steps_passed

from il_ros.core import contract, messages, share
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.runtime.diagnostics import ERROR, OK
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records.decision import from_json
from il_ros.sim.experts import make_expert

LONG_S = 60.0
PERIOD_NS = CONTRACT.period_ns
STRING = "std_msgs/msg/String"
PUSH = contract.load(share.path("config", "contracts", "arm_push.yaml"))
PATIENT = {
    "silence_s": 30.0,
    "policy__timeout_s": 30.0,
    "policy__max_age_s": 30.0,
    "policy__max_observation_age_s": 30.0,
}
STEPS = 100
"""Steps of an answer that outlasts the slowest machine."""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def counting(request):
    """Answer joints (a, b) with steps (a + k * 0.001, b)."""
    return {"actions": request["joints"] + np.arange(STEPS)[:, None] * [0.001, 0.0]}


@contextlib.contextmanager
def stranger(folder, port):
    """Run the server of the document as a process; yield it."""
    process = subprocess.Popen(policy_servers.running(policy_servers.program(folder), port))
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def start(graph, tmp_path, port, *lines, text=TEXT, contract_name="contract.yaml", **parameters):
    """Start a policy server with a remote policy."""
    (tmp_path / "contract.yaml").write_text(text)
    words = ("retry_s: 0.05", *lines)
    folder = policy_servers.mapping(tmp_path / "remote", port, *words, contract=contract_name)
    (folder / "contract.yaml").write_text(text)
    return graph.start(PolicyServer, checkpoint=str(folder), **parameters)


def supervise(graph, tmp_path, **parameters):
    (tmp_path / "contract.yaml").write_text(TEXT)
    given = {
        "contract": str(tmp_path / "contract.yaml"),
        "mode": "policy",
        "discovery_s": 0.1,
        "without_measurement": "trust",
    }
    graph.start(DaggerSupervisor, **(given | parameters))
    texts = graph.received("dagger_supervisor/decision", STRING)
    return lambda: [from_json(message.data) for message in texts]


def drive_push(graph, tmp_path, start_policy):
    """Run an episode of `push` in lockstep, the remote policy driving; return its decisions."""
    sim = started(graph, task="push", lockstep=True, speed=0.0, paused=True, lockstep_timeout_s=30.0)
    simulated = {"use_sim_time": True}
    server = start_policy(**simulated)
    graph.start(
        DaggerSupervisor, contract="arm_push", mode="policy", discovery_s=0.1, **simulated, **PATIENT
    )  # fmt: skip
    texts = graph.received("dagger_supervisor/decision", STRING)
    successes = graph.received("task/success", "std_msgs/msg/Bool")
    reset(graph, seed=3)
    begin_ns = sim.task.time_ns
    pause(graph, False)
    told = lambda: f"success; the policy server says: {server.status().message}"  # noqa: E731
    graph.until(lambda: any(message.data for message in successes), told())
    pause(graph, True)
    decisions = [from_json(message.data) for message in texts]
    driven = [each for each in decisions if each.authority == "policy" and each.stamp_ns > begin_ns]
    assert len(driven) > 50  # seconds of pushing
    assert {each.version for each in driven if each.version} <= {server._policy.version}
    return driven


def test_the_documents_server_drives_push_to_success(graph, tmp_path):
    port = free_port()
    with stranger(tmp_path, port):
        drive_push(
            graph,
            tmp_path,
            lambda **words: start(graph, tmp_path, port, "horizon: 1", contract_name="arm_push", **words),
        )


def openpi_server():
    """Return a conversation in openpi's wire format: its keys, 8 columns, float32, timing and more."""
    expert = make_expert("push")

    def infer(observation):
        state = observation["observation/state"]
        assert set(observation) == {"observation/state", "observation/image", "prompt"}
        assert observation["observation/image"].shape == (224, 224, 3)
        assert observation["prompt"] == "push the block to the mark"
        seen = {"joints": state[:7], "object": state[7:10], "goal": state[10:13]}
        seen["joints"] = np.append(seen["joints"][:6], (1 - seen["joints"][6]) * 0.08)  # 1: closed
        command = expert.act(seen)
        out = np.zeros((1, 8), np.float32)
        out[:, :6], out[:, 7] = command[:, :6], 1 - command[:, 6] / 0.08
        return {
            "actions": out,
            "state": state,
            "policy_timing": {"infer_ms": np.float64(1.5)},
            "server_timing": {"infer_ms": 2.0, "prev_total_ms": 3.0},
        }

    return answering(infer, metadata={"reset_pose": [0.0, 0.1]})


OPENPI = (
    "horizon: 1",
    "observations:",
    "  observation/state:",
    "    from: [joints, object, goal]",
    "    scale: [1, 1, 1, 1, 1, 1, -12.5, 1, 1, 1, 1, 1, 1]",
    "    offset: [0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]",
    "  observation/image: {from: [overhead], width: 224, height: 224, fit: pad}",
    "  prompt: {text: push the block to the mark}",
    "actions:",
    "  size: 8",
    "  columns: [0, 1, 2, 3, 4, 5, 7]",
    "  scale: [1, 1, 1, 1, 1, 1, -0.08]",
    "  offset: [0, 0, 0, 0, 0, 0, 0.08]",
)
WITH_STILL_CAMERA = """
  overhead: {topic: overhead/image_raw, type: sensor_msgs/msg/Image, image: {width: 32, height: 24}, max_age_s: 1000000}
actions:"""


def test_a_server_in_openpis_wire_format_drives_push_to_success(graph, tmp_path):
    """Its camera is a still picture, so that the test needs no rendering."""
    text = PUSH.text.replace("\nactions:", WITH_STILL_CAMERA, 1)

    def start_policy(**words):
        node = start(graph, tmp_path, server.port, *OPENPI, text=text, **words)
        show = graph.publisher("overhead/image_raw", "sensor_msgs/msg/Image")
        graph.in_line(show)
        pixels = np.zeros(24 * 32 * 3, np.uint8)
        head = messages.header(1_000_000)
        show(
            messages.make(
                "sensor_msgs/msg/Image",
                header=head,
                width=32,
                height=24,
                step=96,
                encoding="rgb8",
                data=pixels,
            )
        )
        graph.settle()
        return node

    with Server(openpi_server()) as server:
        drive_push(graph, tmp_path, start_policy)


def test_a_killed_server_costs_authority_and_a_new_one_gets_it_back(graph, tmp_path):
    said = []
    server = Server(answering(counting))
    decisions = supervise(graph, tmp_path)
    node = start(graph, tmp_path, server.port, f"horizon: {STEPS}")
    node.get_logger().warning = lambda text, **_: said.append(text)
    node.get_logger().info = lambda text, **_: said.append(text)
    commands = graph.received("arm/commands", "std_msgs/msg/Float64MultiArray")
    robot = Robot(graph).ready()
    robot.run()
    graph.until(
        lambda: sum(each.authority == "policy" for each in decisions()) >= 5, "the policy drives", LONG_S
    )
    server.kill()
    graph.until(lambda: decisions()[-1].authority == "none", "the loss of authority", LONG_S)
    graph.until(lambda: node.status().level == ERROR, "the words", LONG_S)
    assert "not connected" in node.status().message
    lost = decisions()[-1]
    assert "policy" in lost.reason
    held = len(commands)
    graph.until(
        lambda: len(robot.stamps) > 0 and decisions()[-1].stamp_ns > lost.stamp_ns + 5 * PERIOD_NS,
        "time",
        LONG_S,
    )
    still = {tuple(message.data) for message in commands[held:]}
    assert len(still) <= 1  # `safe: hold`
    with Server(answering(counting), server.port):
        graph.until(lambda: decisions()[-1].authority == "policy", "the policy drives again", LONG_S)
        assert node.status().level == OK
        assert node.status().values["remote connections"] == 2
    assert any("not connected" in text and "trying again" in text for text in said)
    assert any("connected again, after" in text for text in said)


def test_a_server_of_150_ms_keeps_authority_and_its_chunks_go_on(graph, tmp_path):
    decisions = supervise(graph, tmp_path, **PATIENT)
    with Server(answering(counting, lambda: 0.15)) as server:
        node = start(
            graph, tmp_path, server.port, f"horizon: {STEPS}", inference="inline"
        )  # it is in the thread anyway
        robot = Robot(graph).ready()
        robot.run()
        graph.until(
            lambda: node.status().values.get("ticks continued", 0) >= 8, "ticks while it computes", LONG_S
        )
        robot.rest()
    first = next(index for index, each in enumerate(decisions()) if each.authority == "policy")
    assert {each.authority for each in decisions()[first:]} == {"policy"}
    for each in robot.proposals:
        passed = steps_passed(each, robot.proposals[0], PERIOD_NS)
        assert len(each.chunk) == STEPS - passed  # the steps that have passed are left out
        assert each.chunk[0, 0] == np.float64(0.1 + passed * 0.001)
    assert any(each.seen_ns < each.stamp_ns for each in robot.proposals)


def test_a_server_that_is_not_there_does_not_delay_a_tick(graph, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        node = start(graph, tmp_path, silent.getsockname()[1], "horizon: 1", "timeout_s: 600")
        robot = Robot(graph).ready()
        robot.run()
        graph.until(lambda: len(robot.stamps) >= 10, "ticks", LONG_S)
        received = node._proposer._newest_ns
        assert received >= robot.stamps[-3]
        assert robot.proposals == []
        node._policy.close()  # ends the wait


def test_wrong_answers_are_no_proposals_and_the_words_name_them(graph, tmp_path):
    wrong = [np.zeros((2, 2)), np.array([[0.0, np.nan]]), np.array([[0.0, 0.0]])]
    current = [wrong[0]]
    with Server(answering(lambda _: {"actions": current[0]})) as server:
        node = start(graph, tmp_path, server.port, "horizon: 1")
        robot = Robot(graph).ready()
        robot.run()
        graph.until(lambda: "is (2, 2); (1, 2) is required" in node.status().message, "the shape", LONG_S)
        current[0] = wrong[1]
        graph.until(
            lambda: "arm/b is nan at step 0 of the answer" in node.status().message, "the number", LONG_S
        )
        assert robot.proposals == []
        current[0] = wrong[2]
        graph.until(lambda: robot.proposals, "a proposal", LONG_S)


def test_while_a_remote_policy_drives_versions_are_not_examined_and_a_reload_takes_over(graph, tmp_path):
    from announced_versions import LATCHED
    from std_srvs.srv import Trigger

    versions = tmp_path / "versions"
    with Server(answering(counting)) as server:
        node = start(
            graph, tmp_path, server.port, f"horizon: {STEPS}",
            versions=str(versions), candidates=f"{tmp_path.name}/checkpoint",
        )  # fmt: skip
        robot = Robot(graph).ready()
        robot.run()
        graph.until(lambda: robot.proposals, "a proposal", LONG_S)
        run = version(versions, 1)
        announce = graph.publisher(f"{tmp_path.name}/checkpoint", STRING, LATCHED)
        graph.until(announce.count, "the subscription")
        announce(messages.make(STRING, data=str(run)))
        graph.until(
            lambda: "a remote policy is in control" in node.status().values["last verdict"],
            "the words",
            LONG_S,
        )
        node.set_parameters([Parameter("checkpoint", value=str(run / "checkpoint"))])
        assert graph.call("policy_server/reload", Trigger).success
        graph.until(lambda: robot.proposals[-1].version == "v1", "the version", LONG_S)
        assert graph.call("policy_server/rollback", Trigger).success
        graph.until(
            lambda: robot.proposals[-1].version.startswith("remote-"), "the remote policy again", LONG_S
        )
