"""Start and end of processes, refused parameters, reported errors."""

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from il_ros.core.processes.group import INTERRUPTED
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.runtime import managed, process
from il_ros.nodes.runtime.diagnostics import ERROR, Status
from il_ros.nodes.runtime.parameters import ACTIVATE, CONFIGURE, ParameterError, declare, value

NODE = """
    import sys
    from il_ros.nodes.runtime import managed

    class Probe(managed.ManagedNode):
        def __init__(self):
            super().__init__("probe")
        def configure(self):
            {configure}
        def activate(self):
            print("active", flush=True)
        def cleanup(self):
            {cleanup}
            print("stopped", flush=True)

    status = managed.main(Probe)
    {after}
    sys.exit(status)
"""


def start(*arguments, configure="pass", cleanup="pass", after="", before=(), **environment):
    return subprocess.Popen(
        [
            *(*before, sys.executable, "-c"),
            textwrap.dedent(NODE).format(configure=configure, cleanup=cleanup, after=after),
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_node_whose_middleware_does_not_end_is_ended_after_it_has_stopped():
    """The C function keeps the interpreter's lock, as DDS may when it destroys a participant: no Python code runs."""
    hangs = "self.destroy_node = lambda: __import__('ctypes').PyDLL(None).sleep(60)"
    probe = start(configure=f"managed.TEARDOWN_S = 0.3; {hangs}")
    assert probe.stdout.readline() == "active\n"
    began_s = time.monotonic()
    probe.send_signal(signal.SIGINT)
    out, error = probe.communicate(timeout=60)
    assert probe.returncode == -signal.SIGALRM
    assert probe.returncode in INTERRUPTED
    assert time.monotonic() - began_s < 30
    assert out == "stopped\n"
    assert "in <lambda>" in error  # where it was


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGINT],
        [signal.SIGTERM],
        [signal.SIGHUP],  # a lost SSH connection
        [signal.SIGINT, signal.SIGINT],  # launch forwards a second one where there is no terminal
        [signal.SIGINT, signal.SIGTERM],  # launch after five seconds
    ],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_signals_end_a_node_cleanly(numbers):
    probe = start(cleanup="__import__('time').sleep(0.5)")
    assert probe.stdout.readline() == "active\n"
    for number in numbers:
        probe.send_signal(number)
        time.sleep(0.1)
    out, err = probe.communicate(timeout=120)
    assert probe.returncode == 0, err
    assert out == "stopped\n"
    assert "Traceback" not in err


def test_a_signal_after_the_node_has_stopped_changes_nothing():
    probe = start(after="print('ended', flush=True); __import__('time').sleep(1.0)")
    assert probe.stdout.readline() == "active\n"
    probe.send_signal(signal.SIGINT)
    assert [probe.stdout.readline() for _ in range(2)] == ["stopped\n", "ended\n"]
    probe.send_signal(signal.SIGINT)  # launch's second one
    _, err = probe.communicate(timeout=120)
    assert (probe.returncode, "Traceback" in err) == (0, False), err


def test_nohup_is_respected():
    probe = start(before=("nohup",))
    assert probe.stdout.readline() == "active\n"
    probe.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        probe.wait(1.0)
    probe.send_signal(signal.SIGTERM)
    assert probe.communicate(timeout=120)[0] == "stopped\n"
    assert probe.returncode == 0


def test_a_node_ends_with_its_declared_launcher():
    launcher = subprocess.Popen(["sleep", "600"])
    probe = start(IL_ROS_LAUNCHER=str(launcher.pid))
    assert probe.stdout.readline() == "active\n"
    launcher.kill()
    launcher.wait(10)
    out, err = probe.communicate(timeout=120)
    assert (probe.returncode, out) == (0, "stopped\n")
    assert f"the process that launched this one ({launcher.pid}) has ended: stopping" in err


def test_a_node_whose_launcher_is_already_gone_does_not_become_active():
    launcher = subprocess.Popen(["true"])
    launcher.wait(10)
    probe = start(IL_ROS_LAUNCHER=str(launcher.pid))
    out, _ = probe.communicate(timeout=120)
    assert (probe.returncode, out) == (0, "stopped\n")


@pytest.mark.parametrize(
    ("name", "verb", "ends"),
    [("ros2", "launch", True), ("ros2", "run", True), ("my_program", "launch", False)],
)
def test_a_node_ends_with_its_parent_if_that_is_ros2(tmp_path, name, verb, ends):
    program = tmp_path / name
    code = textwrap.dedent(NODE).format(configure="pass", cleanup="pass", after="")
    program.write_text(
        f"import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {code!r}])\n"
        f"print(child.pid, flush=True)\nchild.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, program, verb], stdout=subprocess.PIPE, text=True)
    lines = {parent.stdout.readline(), parent.stdout.readline()} - {"active\n"}
    (child,) = map(int, lines)
    parent.kill()
    parent.wait(10)
    process = os.pidfd_open(child)
    if not ends:
        assert not select.select([process], [], [], 2.0)[0]
        os.kill(child, signal.SIGTERM)
    assert select.select([process], [], [], 120.0)[0]
    assert parent.stdout.read() == "stopped\n"


@pytest.mark.parametrize("declared", ["me", "0", "-5"])
def test_a_wrong_launcher_is_refused(declared):
    probe = start(IL_ROS_LAUNCHER=declared)
    _, err = probe.communicate(timeout=120)
    assert probe.returncode == 1
    assert f"IL_ROS_LAUNCHER={declared}: a process id is needed, or none" in err


def test_a_signal_during_the_imports_ends_a_node_without_a_traceback():
    command = [sys.executable, "-X", "importtime", "-m", "il_ros.nodes.start", "sim_gz"]
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    seen = ""
    while "rclpy" not in seen:  # its modules are being imported
        seen = node.stderr.readline()
        assert seen
    node.send_signal(signal.SIGINT)
    err = node.communicate(timeout=120)[1]
    assert node.returncode == 0
    assert "Traceback" not in err


def test_a_full_garbage_collection_skips_objects_loaded_before_spinning():
    probe = start(
        configure="import gc; self.create_timer(0.1, lambda: print(gc.get_freeze_count(), flush=True))"
    )
    assert probe.stdout.readline() == "active\n"
    assert int(probe.stdout.readline()) > 10_000  # rclpy alone has more objects
    probe.send_signal(signal.SIGTERM)
    probe.communicate(timeout=120)


def test_without_autostart_a_node_waits_unconfigured(graph):
    node = graph.start(Managed, autostart=False)
    assert node.state == "unconfigured"
    assert node.log == []


def test_a_wrong_parameter_ends_the_process_with_one_clear_line():
    probe = start("--ros-args", "-p", "realtime_priority:=200")
    _out, err = probe.communicate(timeout=120)
    assert probe.returncode == 1
    assert "realtime_priority is 200, expected at least 0 and at most 99" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("free_mib", "shared"), [(0, False), (35, False), (36, True), (64, True)])
def test_a_node_without_room_in_dev_shm_goes_without_shared_memory(graph, monkeypatch, free_mib, shared):
    real = os.statvfs("/dev/shm")
    blocks = free_mib * 1024 * 1024 // real.f_frsize
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*real[:4], blocks, *real[5:])))
    # a parent chose while there was room
    monkeypatch.setenv(process.DDS_PROFILE_VARIABLE, str(process.DDS_PROFILE))
    process.set_dds_profile()
    assert process.without_shared_memory() is not shared
    chosen = Path(os.environ[process.DDS_PROFILE_VARIABLE])
    assert ("<type>SHM</type>" in chosen.read_text()) is shared
    logged = []
    monkeypatch.setattr(RcutilsLogger, "warning", lambda _, text, **rest: logged.append(text))
    graph.start(Managed)
    assert any("/dev/shm has less than 36 MiB free" in text for text in logged) is not shared


def test_the_dds_profile_is_set_unless_the_user_set_one(monkeypatch):
    for name in process.DDS_PROFILE_VARIABLES:
        monkeypatch.setenv(name, "")
    process.set_dds_profile()
    assert os.environ[process.DDS_PROFILE_VARIABLE] == str(process.DDS_PROFILE)
    assert process.DDS_PROFILE.is_file()
    assert not process.without_shared_memory()
    monkeypatch.setenv(process.DDS_PROFILE_VARIABLE, "/mine.xml")
    process.set_dds_profile()
    assert os.environ[process.DDS_PROFILE_VARIABLE] == "/mine.xml"


class Managed(managed.ManagedNode):
    """Logs its transitions; each can be made to fail."""

    fails: dict = {}  # noqa: RUF012

    def __init__(self, **kwargs):
        self.log = []
        super().__init__("managed", **kwargs)

    def configure(self):
        self._do("configure")

    def activate(self):
        self._do("activate")

    def deactivate(self):
        self._do("deactivate")

    def cleanup(self):
        self._do("cleanup")

    def status(self):
        return Status(message="all is well", values={"calls": len(self.log)})

    def _do(self, name):
        self.log.append(name)
        if name in self.fails:
            raise self.fails[name]


def test_autostart_configures_and_activates(graph):
    node = graph.start(Managed)
    assert (node.state, node.log) == ("active", ["configure", "activate"])


@pytest.mark.parametrize(("kind", "words"), [(managed.Refusal, "not today"), (ZeroDivisionError, "oops")])
def test_a_failed_configure_cleans_up_reports_and_can_be_retried(graph, monkeypatch, kind, words):
    error = kind(words)  # made here: its traceback keeps the node
    monkeypatch.setattr(Managed, "fails", {"configure": error})
    node = graph.start(Managed)
    assert (node.state, node.log) == ("unconfigured", ["configure", "cleanup"])
    found = graph.received("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    status = graph.until(lambda: found and found[-1].status[0], "diagnostics")
    assert (status.name, status.level) == ("managed", ERROR[0])
    assert str(error) in status.message
    assert [(value.key, value.value) for value in status.values] == [("calls", "2")]
    monkeypatch.setattr(Managed, "fails", {})
    node.start()
    assert node.state == "active"


def test_a_refused_activation_leaves_the_node_inactive(graph, monkeypatch):
    monkeypatch.setattr(Managed, "fails", {"activate": managed.Refusal("no robot")})
    node = graph.start(Managed)
    assert node.state == "inactive"
    assert node.log == ["configure", "activate", "deactivate"]  # what it had begun is ended


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Transition(id=Transition.TRANSITION_ACTIVATE), "'activate' is not possible in state active"),
        (Transition(id=77), "'transition 77' is not possible in state active"),
        (Transition(label="fly"), "'fly' is not possible in state active"),
    ],
)
def test_an_impossible_transition_is_refused_with_an_answer(graph, wanted, words):
    node = graph.start(Managed)
    assert not graph.call("managed/change_state", ChangeState, transition=wanted).success
    assert (node.state, node.log) == ("active", ["configure", "activate"])
    found = graph.received("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    said = f"{words}; possible: deactivate, shutdown"
    graph.until(lambda: any(said in each.status[0].message for each in found), "diagnostics")
    possible = Transition(label="deactivate")
    assert graph.call("managed/change_state", ChangeState, transition=possible).success
    assert node.state == "inactive"


def test_a_failed_activation_ends_what_it_had_begun(graph, monkeypatch):
    monkeypatch.setattr(Managed, "fails", {"activate": ZeroDivisionError("oops")})
    node = graph.start(Managed)
    assert node.state == "unconfigured"
    assert node.log == ["configure", "activate", "deactivate", "cleanup"]


def test_an_error_in_a_callback_is_reported_and_the_node_continues(graph):
    node = graph.start(Managed)
    calls = []

    def bad():
        calls.append(1)
        raise RuntimeError("boo")

    node.create_timer(0.01, bad)
    graph.until(lambda: len(calls) > 2, "three calls")
    found = graph.received("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    graph.until(lambda: found and "RuntimeError: boo" in found[-1].status[0].message, "diagnostics")


def test_a_failing_service_responds_with_the_error(graph):
    node = graph.start(Managed)

    def refuse(_request, _response):
        raise managed.Refusal("the gripper is open")

    node.create_service(Trigger, "~/close", refuse)
    response = graph.call("managed/close", Trigger)
    assert (response.success, response.message) == (False, "the gripper is open")


class Settings(managed.PlainNode):
    def __init__(self, **kwargs):
        super().__init__("settings", **kwargs)
        self.rate_hz = declare(self, "rate", 20.0, "rate of ticks", unit="Hz", minimum=1.0, maximum=100.0)
        self.mode = declare(self, "mode", "hold", "what to do", choices=("hold", "stop"))
        self.lines = declare(self, "lines", [], "some lines")


def test_parameters_come_with_their_defaults_description_and_unit(graph):
    node = graph.start(Settings)
    assert (node.rate_hz, node.mode, node.lines) == (20.0, "hold", [])
    assert value(node, "lines") == []
    assert node.describe_parameter("rate").description == "rate of ticks [Hz]"


def test_an_integer_is_converted_to_a_float_and_a_list_is_kept(graph):
    node = graph.start(Settings, rate=50, lines=["a 1", "b 2"])
    assert (node.rate_hz, type(node.rate_hz), node.lines) == (50.0, float, ["a 1", "b 2"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 0.5}, r"rate is 0\.5, expected at least 1\.0 and at most 100\.0\. rate of ticks \[Hz\]"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"rate": "fast"}, r"rate is 'fast' \(a string\), expected float"),
        ({"mode": "dance"}, "mode is 'dance', expected one of hold, stop"),
        ({"lines": 3}, r"lines is 3 \(an integer\), expected a list of str"),
    ],
)
def test_a_wrong_parameter_is_refused_with_value_and_allowed_values(graph, given, message):
    with pytest.raises(ParameterError, match=message):
        graph.start(Settings, **given)


class Settled(managed.ManagedNode):
    def __init__(self, **kwargs):
        super().__init__("settled", **kwargs)
        declare(self, "robot", "arm", "read at configure", read_at=CONFIGURE)
        declare(self, "folder", "here", "read at activate", read_at=ACTIVATE)
        declare(self, "label", "", "read whenever it is needed")


@pytest.mark.parametrize(
    ("state", "name", "message"),
    [
        ("unconfigured", "robot", ""),
        ("unconfigured", "folder", ""),
        ("inactive", "folder", ""),
        (
            "inactive",
            "robot",
            "robot is read at configure, and the node is inactive: first `ros2 lifecycle set /settled cleanup`",
        ),
        (
            "active",
            "folder",
            "folder is read at activate, and the node is active: first `ros2 lifecycle set /settled deactivate`",
        ),
        (
            "active",
            "robot",
            "robot is read at configure, and the node is active: first `ros2 lifecycle set /settled deactivate` "
            "and `ros2 lifecycle set /settled cleanup`",
        ),
        ("active", "label", ""),
    ],
)
def test_a_parameter_that_was_read_refuses_a_change_until_it_is_read_again(graph, state, name, message):
    node = graph.start(Settled, autostart=state == "active")
    if state == "inactive":
        node.trigger_configure()
    before = value(node, name)
    (result,) = node.set_parameters([Parameter(name, value="new")])
    assert (result.successful, result.reason) == (not message, message)
    assert value(node, name) == (before if message else "new")
    (again,) = node.set_parameters([Parameter(name, value=value(node, name))])
    assert again.successful  # no change, as when a whole file is loaded


def test_the_recorders_folder_cannot_change_while_it_is_active(graph, tmp_path):
    recorder = graph.start(Recorder, contract="drive", root=str(tmp_path), discovery_s=0.0)
    assert recorder.state == "active"
    for name, new in (("root", "elsewhere"), ("contract", "arm_push"), ("checksums", False)):
        (result,) = recorder.set_parameters([Parameter(name, value=new)])
        assert not result.successful
        assert f"{name} is read at " in result.reason
    (result,) = recorder.set_parameters([Parameter("operator", value="ada")])
    assert result.successful
