"""The recorder on a real graph: published messages are in the bag, and faults are reported."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.episodes import layout
from il_ros.episodes.bag.recover import recover
from il_ros.nodes.recorder.node import Recorder

JOINTS, STRING = "sensor_msgs/msg/JointState", "std_msgs/msg/String"
CONTRACT = """
name: test
rate_hz: 20
observations:
  joints:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    fields: [position]
    names: [joint1]
    max_age_s: 0.5
actions:
  arm:
    topic: commands
    type: std_msgs/msg/Float64MultiArray
    names: [joint1]
    reference: joints
    limits: {lower: -3.0, upper: 3.0, speed: 1.0}
"""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


def joints(position: float, ahead_s: float = 0.0):
    stamp = messages.header(time.time_ns() + round(ahead_s * 1e9))
    return messages.make(JOINTS, header=stamp, name=["joint1"], position=np.array([position]))


@pytest.fixture
def contract_file(tmp_path: Path) -> str:
    (tmp_path / "contract.yaml").write_text(CONTRACT)
    return str(tmp_path / "contract.yaml")


@pytest.fixture
def start(graph, tmp_path: Path, contract_file: str):
    """Start a recorder that records into `root` below the test's folder."""

    def build(**parameters) -> Recorder:
        given = {"contract": contract_file, "root": str(tmp_path / "root"), "min_free_bytes": 0, **parameters}
        return graph.start(Recorder, **given)

    return build


@pytest.fixture
def arm(graph):
    """A publisher of joint states, and `flowing()`: publish until the recorder receives it."""
    publish = graph.publisher("joint_states", JOINTS, 10)

    def flowing(recorder: Recorder, position: float = 0.0) -> None:
        graph.in_line(publish)

        def arriving() -> bool:
            publish(joints(position))
            return not recorder._recorder.watch.silent()

        graph.until(arriving, "joint states at the recorder")

    publish.flowing = flowing
    return publish


def call(graph, name: str, expected: bool = True) -> str:
    response = graph.call(f"/recorder/{name}", Trigger)
    assert response.success == expected, response.message
    return response.message


def saved(graph, recorder: Recorder, name: str) -> layout.EpisodeInfo:
    graph.until(lambda: recorder._last.get("episode") == name, f"{name} saved")
    return layout.load_info(Path(recorder.get_parameter("root").value) / name)


def positions(folder: Path) -> list[float]:
    with AnyReader([folder]) as reader:
        return [
            messages.decode(JOINTS, raw).position[0]
            for c, _, raw in reader.messages()
            if c.topic == "/joint_states"
        ]


def test_published_messages_are_in_the_bag(graph, start, arm, tmp_path: Path):
    recorder = start(pre_roll_s=0.0, task="push", seed=5, decision_topic="")
    arm.flowing(recorder)
    assert call(graph, "start") == "episode_000001"
    for k in range(50):
        arm(joints(k / 10))
    graph.until(lambda: recorder._recorder.streams["/joint_states"].episode(0).messages == 50, "50 messages")
    assert call(graph, "mark_success") == "episode_000001"
    assert call(graph, "stop") == "episode_000001"
    info = saved(graph, recorder, "episode_000001")
    assert positions(tmp_path / "root" / "episode_000001") == [k / 10 for k in range(50)]
    assert (info.outcome, info.task, info.seed, info.complete) == ("success", "push", 5, True)
    assert info.clock == "steady"
    assert info.topics == {"joint_states": "/joint_states", "commands": "/commands"}
    stream = info.streams[0]
    assert (stream.topic, stream.messages, stream.lost, stream.required) == ("/joint_states", 50, 0, True)
    with AnyReader([tmp_path / "root" / "episode_000001"]) as reader:
        offered = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
    assert offered["/joint_states"][0].reliability.name == "RELIABLE"


def test_recorded_streams_have_no_events_in_the_executor(start):
    """A pending event of a replaced subscription crashes the recorder: ros2/rclpy#1644."""
    recorder = start()
    recorded = [each for each in recorder.subscriptions if each.topic_name in recorder._recorder.streams]
    assert len(recorded) >= 3
    assert not any(each.event_handlers for each in recorded)


def test_start_is_refused_and_the_silent_stream_named(graph, start):
    start()
    assert call(graph, "start", expected=False) == "not started, no messages on: /joint_states (never any)"


def test_start_is_refused_while_a_drivers_clock_is_ahead_and_its_ages_are_shown(graph, start, arm):
    reports = []
    graph.outside.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    recorder = start()
    arm.flowing(recorder)

    def ahead() -> bool:
        arm(joints(0.0, ahead_s=0.3))
        return bool(recorder._recorder.watch.wrong_clocks())

    graph.until(ahead, "the recorder's complaint")
    answer = call(graph, "start", expected=False)
    # the ages are counted in bins 12 % wide, and a busy machine adds a few milliseconds
    ahead_of_clock = r"/joint_states: stamped about 0\.(2\d|3) s ahead of the recorder's clock"
    assert re.search(ahead_of_clock, answer)
    assert "set 'stamp: arrival' in the contract" in answer

    def measured() -> bool:
        ahead()
        if not reports:
            return False
        status = reports[-1].status[0]
        values = {item.key: item.value for item in status.values}
        below_zero = ", age p50 -" in values.get("/joint_states", "")
        return below_zero and bool(re.match(ahead_of_clock, status.message))

    graph.until(measured, "ages below zero")
    recorder.trigger_deactivate()  # options are read at activation, and can't be changed while they are in use
    (changed,) = recorder.set_parameters([_parameter("ahead_s", 0.5)])
    assert changed.successful, changed.reason
    recorder.trigger_activate()
    graph.until(lambda: not ahead() and not recorder._recorder.watch.silent(), "joint states again")
    assert call(graph, "start") == "episode_000001"


def test_a_start_that_could_teach_nothing_is_refused(graph, start):
    """The driver sends NaN: diagnostics say so before anybody starts, and the start says why it is refused."""
    publish, reports = graph.publisher("joint_states", JOINTS, 10), []
    recorder = start()
    graph.in_line(publish)
    graph.outside.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    says = "position/joint1 is nan, not a finite number"

    def told() -> bool:
        publish(joints(float("nan")))
        return any(says in report.status[0].message for report in reports)

    graph.until(told, "the diagnostics")
    refused = graph.call("recorder/start", Trigger)
    assert not refused.success
    assert refused.message == f"not started, nothing could be learnt: joints: {says}"
    assert recorder._recorder.writer is None


def test_a_stream_lost_while_recording_is_told_while_it_is_lost(graph, start, arm):
    states = []
    recorder = start(silence_s=0.6)
    graph.outside.create_subscription(
        String, "recorder/status", lambda message: states.append(message.data), 10
    )
    arm.flowing(recorder)
    assert graph.call("recorder/start", Trigger).success
    warned = "episode_000001: no messages on /joint_states (for "
    graph.until(
        lambda: states and any(text.startswith(warned) for text in json.loads(states[-1])["warnings"]),
        "the warning in the status",
    )
    assert json.loads(states[-1])["state"] == "recording"
    arm.flowing(recorder)
    assert graph.call("recorder/stop", Trigger).success


def test_an_extra_topic_of_an_unknown_type_costs_only_itself(graph, start, arm, monkeypatch):
    """`Goals` is in the installed nav_msgs, but here its definition is not found."""
    from nav_msgs.msg import Goals

    monkeypatch.setattr("il_ros.core.messages.definitions._prefixes", lambda: ["/nowhere"])
    recorder, reports = start(extra_topics=["odd", "note"]), []
    graph.outside.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    arm.flowing(recorder)
    odd = graph.outside.create_publisher(Goals, "odd", 10)
    graph.until(lambda: "/odd" in recorder._streams.refused, "the refusal")
    note = graph.publisher("note", STRING, 10)
    graph.until(lambda: "/note" in recorder._recorder.streams, "the other extra topic")
    graph.in_line(note)
    says = "/odd is not recorded: unknown message type 'nav_msgs/msg/Goals'"
    graph.until(lambda: any(says in report.status[0].message for report in reports), "the diagnostics")
    arm.flowing(recorder)
    assert graph.call("recorder/start", Trigger).success
    heard = recorder._recorder.streams["/note"]

    def noted() -> bool:
        note(messages.make(STRING, data="here"))
        arm.flowing(recorder)
        return heard.episode(time.time_ns()).messages > 0

    graph.until(noted, "the note")
    assert graph.call("recorder/stop", Trigger).success
    graph.outside.destroy_publisher(odd)


def test_an_extra_topic_of_an_installed_type_is_recorded_with_its_definition(
    graph, start, arm, tmp_path: Path
):
    """The type is not among the common ones: its definition is that of the installed message file."""
    from geometry_msgs.msg import PoseStamped
    from nav_msgs.msg import Goals

    recorder = start(extra_topics=["odd"])
    odd = graph.outside.create_publisher(Goals, "odd", 10)
    graph.until(lambda: "/odd" in recorder._recorder.streams, "the extra topic")
    heard = recorder._recorder.streams["/odd"]
    arm.flowing(recorder)
    assert call(graph, "start") == "episode_000001"
    pose = PoseStamped()
    pose.pose.position.x = 2.5

    def kept() -> bool:
        odd.publish(Goals(goals=[pose]))
        arm.flowing(recorder)
        return heard.episode(time.time_ns()).messages > 0

    graph.until(kept, "a message")
    call(graph, "stop")
    folder = tmp_path / "root" / "episode_000001"
    graph.until(lambda: layout.load_info(folder).complete, "the episode on the disk")
    with AnyReader([folder]) as reader:  # finds the definition in the bag
        (connection,) = [each for each in reader.connections if each.topic == "/odd"]
        _, _, raw = next(reader.messages([connection]))
        assert reader.deserialize(raw, connection.msgtype).goals[0].pose.position.x == 2.5
    graph.outside.destroy_publisher(odd)


def test_best_effort_and_latched_publishers_are_recorded_and_latched_messages_begin_every_bag(
    graph, start, tmp_path: Path
):
    note = graph.publisher("note", STRING, LATCHED)
    note(messages.make(STRING, data="once"))
    publish = graph.publisher("joint_states", JOINTS, BEST_EFFORT)
    recorder = start(extra_topics=["note"], pre_roll_s=0.0)

    def both() -> bool:
        publish(joints(0.0))
        known = recorder._recorder.streams
        return "/note" in known and known["/note"].spec.latched and not recorder._recorder.watch.silent()

    graph.until(both, "both topics")
    graph.until(lambda: list(recorder._recorder._pre_roll._latched), "the latched note")
    for name in ("episode_000001", "episode_000002"):
        publish(joints(0.0))
        assert call(graph, "start") == name
        call(graph, "stop")
        saved(graph, recorder, name)
        with AnyReader([tmp_path / "root" / name]) as reader:
            notes = [
                messages.decode(STRING, raw).data for c, _, raw in reader.messages() if c.topic == "/note"
            ]
        assert notes == ["once"]


def test_the_next_episode_starts_within_a_second_and_never_reuses_a_number(graph, start, arm):
    recorder = start()
    arm.flowing(recorder)
    assert call(graph, "start") == "episode_000001"
    assert call(graph, "discard") == "episode_000001"
    arm(joints(0.0))
    assert call(graph, "start") == "episode_000002"  # without waiting until the first is saved
    call(graph, "stop")
    saved(graph, recorder, "episode_000002")
    assert layout.is_discarded(Path(recorder.get_parameter("root").value) / "episode_000001")


def test_the_outcome_parameter_marks_the_running_episode_and_is_reset_at_the_next_start(graph, start, arm):
    recorder = start()
    arm.flowing(recorder)
    call(graph, "start")
    recorder.set_parameters([_parameter("outcome", "failure")])
    call(graph, "stop")
    assert saved(graph, recorder, "episode_000001").outcome == "failure"
    arm(joints(0.0))
    call(graph, "start")
    call(graph, "stop")
    assert saved(graph, recorder, "episode_000002").outcome == "unmarked"
    assert not recorder.set_parameters([_parameter("outcome", "great")])[0].successful


def _parameter(name, value):
    from rclpy.parameter import Parameter

    return Parameter(name, value=value)


def test_status_and_diagnostics_report_the_recording(graph, start, arm):
    status = graph.received("/recorder/status", STRING, LATCHED)
    reports = []
    graph.outside.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    recorder = start(decision_topic="", proposal_topics=["none"])
    graph.until(
        lambda: any("silent: /joint_states" in report.status[0].message for report in reports), "the silence"
    )
    arm.flowing(recorder)
    call(graph, "start")
    graph.until(lambda: json.loads(status[-1].data)["state"] == "recording", "the status")
    assert json.loads(status[-1].data)["episode"] == "episode_000001"

    def measured() -> bool:
        arm(joints(0.0))
        values = {item.key: item.value for item in reports[-1].status[0].values}
        return " Hz, 0 lost, age p50" in values.get("/joint_states", "")

    graph.until(measured, "rate, losses and age")
    call(graph, "stop")
    saved(graph, recorder, "episode_000001")
    graph.until(lambda: json.loads(status[-1].data)["last"], "the last episode in the status")
    reported = json.loads(status[-1].data)
    assert (reported["state"], reported["last"]["episode"], reported["last"]["complete"]) == (
        "idle",
        "episode_000001",
        True,
    )


def test_status_and_diagnostics_tell_how_long_the_disk_lasts(graph, start, arm):
    status = graph.received("/recorder/status", STRING, LATCHED)
    reports = []
    graph.outside.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    arm.flowing(start(disk_warning_s=1e12))

    def told() -> bool:
        arm(joints(0.0))
        values = {item.key: item.value for item in reports[-1].status[0].values} if reports else {}
        return "disk left [h]" in values and " is full in " in reports[-1].status[0].message

    graph.until(told, "the hours in the diagnostics")
    graph.until(
        lambda: arm(joints(0.0)) or json.loads(status[-1].data)["disk"]["hours"], "the hours in the status"
    )
    disk = json.loads(status[-1].data)["disk"]
    assert disk["hours"] == pytest.approx(disk["free_bytes"] / disk["bytes_per_s"] / 3600)


def test_a_wrong_contract_or_option_leaves_the_node_unconfigured(graph, start, tmp_path: Path):
    recorder = start(contract=str(tmp_path / "none.yaml"))
    assert recorder.state == "unconfigured"
    assert "activate it first" in call(graph, "start", expected=False)


def test_an_unwritable_root_refuses_the_start_and_the_node_continues(graph, start, arm, tmp_path: Path):
    (tmp_path / "root").write_text("a file")
    recorder = start()
    arm.flowing(recorder)
    assert "can't be written" in call(graph, "start", expected=False)
    (tmp_path / "root").unlink()
    arm(joints(0.0))
    assert call(graph, "start") == "episode_000001"


def test_a_vanished_folder_ends_the_episode_with_an_error_and_the_next_can_start(
    graph, start, arm, tmp_path: Path
):
    reports = []
    graph.outside.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
    recorder = start()
    arm.flowing(recorder)
    call(graph, "start")
    (tmp_path / "root" / "episode_000001").rename(tmp_path / "moved")
    graph.until(lambda: recorder._recorder.writer is None, "the end of the episode")
    graph.until(
        lambda: any(r.status[0].level == b"\2" and "episode_000001" in r.status[0].message for r in reports),
        "ERROR in the diagnostics",
    )
    arm(joints(0.0))
    assert call(graph, "start") == "episode_000002"


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a failed test may hold a file


def test_a_really_full_disk_ends_the_episode_and_leaves_a_readable_bag(graph, start, arm, small_disk: Path):
    recorder = start(root=str(small_disk), chunk_bytes=100_000, flush_s=0.05, pre_roll_s=0.0)
    arm.flowing(recorder)
    call(graph, "start")
    wide = joints(0.0)
    wide.name = ["joint1"] * 5000
    wide.position = np.zeros(5000)

    def full() -> bool:
        arm(wide)
        graph.spin(0.005)  # without a pause the publisher would starve the writer's thread
        return recorder._recorder.writer is None

    graph.until(full, "the end of the episode")
    info = saved(graph, recorder, "episode_000001")
    assert "No space left on device" in info.faults[0]
    assert info.complete
    assert info.grade.level == "poor"
    kept = positions(small_disk / "episode_000001")
    assert len(kept) == info.streams[0].messages > 5
    assert info.streams[0].lost > 0
    recorder._recorder.close()


def test_a_killed_recorder_loses_at_most_a_second(graph, arm, tmp_path: Path, contract_file: str):
    root = tmp_path / "root"
    given = {"contract": contract_file, "root": str(root), "min_free_bytes": "0", "pre_roll_s": "0.0"}
    words = [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]
    process = subprocess.Popen(
        [sys.executable, "-m", "il_ros.nodes.recorder.node", "--ros-args", *words], env=dict(os.environ)
    )
    try:
        sent: list[float] = []

        def publish_slowly() -> None:
            sent.append(time.time())
            arm(joints(sent[-1]))
            graph.spin(0.05)

        client = graph.outside.create_client(Trigger, "/recorder/start")

        def started() -> bool:  # by its effect: the first response may be lost
            publish_slowly()
            if client.service_is_ready():
                client.call_async(Trigger.Request())
            return (root / "episode_000001" / "episode.json").exists()

        graph.until(started, "the start")
        begun_s = time.time()
        while sum(begun_s <= stamp <= time.time() - 1.0 for stamp in sent) < 20:
            publish_slowly()
        killed_s = time.time()
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait(10)
    folder = root / "episode_000001"
    assert not layout.load_info(folder).complete
    recover(folder)
    kept = positions(folder)
    expected = [stamp for stamp in sent if begun_s <= stamp <= killed_s - 1.0]
    assert len(expected) >= 10
    assert [stamp for stamp in kept if stamp in expected] == expected
    assert layout.load_info(folder).complete


def test_a_second_recorder_is_refused(graph, start, arm, tmp_path: Path):
    first = start()
    arm.flowing(first)
    second = start(root=str(tmp_path / "second"))
    assert (first.state, second.state) == ("active", "inactive")
    assert second._recorder is None


def test_a_recorder_whose_activation_was_refused_does_not_record(graph, start):
    recorder = start(extra_topics=["tool acme_msgs/msg/Tool"])
    assert recorder.state == "inactive"
    assert call(graph, "start", expected=False) == "the recorder is inactive; activate it first"
