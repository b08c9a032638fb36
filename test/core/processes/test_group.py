"""Groups of child processes: they stop together, their output is logged, and a failed one is named."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from il_ros.core.processes.group import ProcessGroup

SLEEP = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def ignore(_name: str, _line: str) -> None:
    pass


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone_within(pid: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)  # no event reports the end of a process that is not a child
    return not alive(pid)


def wait_for(group, line, seen, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while line not in seen:
        assert time.monotonic() < deadline, seen
        with contextlib.suppress(TimeoutError):
            group.wait(0.05)


def test_wait_names_the_first_process_that_ends(tmp_path):
    with ProcessGroup({"stays": SLEEP, "ends": python("raise SystemExit(3)")}, tmp_path, ignore) as group:
        ending = group.wait(120)
    assert (ending.name, ending.status) == ("ends", 3)


def test_every_printed_line_is_forwarded_and_logged(tmp_path):
    lines = []
    code = "import sys; print('one'); print('two', file=sys.stderr); print('last without newline', end='')"
    with ProcessGroup({"talker": python(code)}, tmp_path, lambda *line: lines.append(line)) as group:
        group.wait(120)
    assert lines == [("talker", "one"), ("talker", "two"), ("talker", "last without newline")]
    assert (tmp_path / "talker.log").read_text() == "one\ntwo\nlast without newline"


def test_the_failure_contains_the_last_lines_and_the_log(tmp_path):
    code = "print(*range(100), sep='\\n'); raise SystemExit(1)"
    with ProcessGroup({"counter": python(code)}, tmp_path, ignore) as group:
        message = str(group.failure(group.wait(120), lines=2))
    assert "counter ended (exit status 1)" in message
    assert "98\n    99\n" in message
    assert "97\n" not in message
    assert str(tmp_path / "counter.log") in message


def test_leaving_the_group_interrupts_and_reaps_all(tmp_path):
    code = (
        "import signal, sys\nprint('up', flush=True)\n"
        "try: signal.pause()\nexcept KeyboardInterrupt: print('bye')"
    )
    seen = []
    with ProcessGroup({"polite": python(code)}, tmp_path, lambda *line: seen.append(line)) as group:
        wait_for(group, ("polite", "up"), seen)
    assert seen[-1] == ("polite", "bye")


def test_a_slow_process_gets_its_own_time_and_the_others_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr("il_ros.core.processes.group._STOP_S", 0.2)
    code = (
        "import signal, time\nprint('up', flush=True)\n"
        "try: signal.pause()\nexcept KeyboardInterrupt: time.sleep(1.0); print('saved', flush=True)"
    )
    seen = []
    commands = {"recorder": python(code), "other": python(code)}
    with ProcessGroup(commands, tmp_path, lambda *line: seen.append(line), "", {"recorder": 60.0}) as group:
        wait_for(group, ("recorder", "up"), seen)
        wait_for(group, ("other", "up"), seen)
    assert ("recorder", "saved") in seen
    assert ("other", "saved") not in seen


def test_a_child_receives_the_interrupt_even_if_the_parent_ignores_it(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for background jobs
    seen = []
    try:
        with ProcessGroup({"stays": SLEEP}, tmp_path, lambda *line: seen.append(line)) as group:
            wait_for(group, ("stays", "up"), seen)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "KeyboardInterrupt" in (tmp_path / "stays.log").read_text()  # and the process was not killed


def test_no_child_outlives_a_killed_parent(tmp_path):
    code = f"""
from pathlib import Path
from il_ros.core.processes.group import ProcessGroup
child = {python("import os, signal; print(os.getpid(), flush=True); signal.pause()")!r}
say = lambda name, line: print(line, flush=True)
with ProcessGroup({{"child": child}}, Path({str(tmp_path)!r}), say) as group:
    group.wait(60)
"""
    with subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert alive(child)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(60)
    assert gone_within(child, 60)


def test_a_waiting_group_is_woken_and_says_which_processes_failed_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr("il_ros.core.processes.group._STOP_S", 1.0)
    ready = "print('up', flush=True)\n"
    commands = {
        "polite": SLEEP,  # KeyboardInterrupt: exit status -2
        "deaf": python(
            "import faulthandler, signal, time; faulthandler.enable(); signal.signal(2, signal.SIG_IGN)\n"
            f"def forever():\n  while True: time.sleep(9)\n{ready}forever()"
        ),
        "failing": python(
            f"import signal, sys\n{ready}try: signal.pause()\nexcept KeyboardInterrupt: sys.exit(4)"
        ),
    }
    seen = []
    with ProcessGroup(commands, tmp_path, lambda *line: seen.append(line)) as group:
        for name in commands:
            wait_for(group, (name, "up"), seen)
        stopped = []
        timer = threading.Timer(0.2, lambda: (stopped.append(1), group.wake()))
        timer.start()
        assert group.wait_unless(lambda: bool(stopped), 60) is None
        timer.join()
        endings = {(ending.name, ending.status) for ending in group.stop()}
        assert group.stop() == group.stop()
    assert endings == {("deaf", -signal.SIGABRT), ("failing", 4)}
    assert ("deaf", "has not ended within 1 s and is killed") in seen
    assert "in forever" in (tmp_path / "deaf.log").read_text()  # where it was


def test_a_failed_process_comes_back_and_a_finished_one_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("il_ros.core.processes.group.RESPAWN_S", 0.1)
    count = tmp_path / "count"
    code = f"""
from pathlib import Path
count = Path({str(count)!r})
made = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(made))
print("run", made)
raise SystemExit(0 if made == 3 else 1)
"""
    seen = []
    commands = {"policy": python(code)}
    with ProcessGroup(commands, tmp_path, lambda *line: seen.append(line), respawn=["policy"]) as group:
        ending = group.wait(120)
    assert (ending.name, ending.status) == ("policy", 0)
    assert [line for _, line in seen if line.startswith("run")] == ["run 1", "run 2", "run 3"]
    assert "run 1\nrun 2\nrun 3\n" in (tmp_path / "policy.log").read_text()


def test_a_process_that_fails_again_and_again_ends_the_group(tmp_path, monkeypatch):
    monkeypatch.setattr("il_ros.core.processes.group.RESPAWN_S", 0.01)
    monkeypatch.setattr("il_ros.core.processes.group.MOST_RESPAWNS", 2)
    lines = []
    commands = {"policy": python("print('run'); raise SystemExit(1)")}
    with ProcessGroup(commands, tmp_path, lambda *line: lines.append(line[1]), respawn=["policy"]) as group:
        ending = group.wait(120)
    assert (ending.name, ending.status, lines.count("run")) == ("policy", 1, 3)


def test_a_command_that_fails_to_start_stops_the_others(tmp_path):
    with pytest.raises(FileNotFoundError):
        ProcessGroup({"first": SLEEP, "second": ["/nowhere/at/all"]}, tmp_path, ignore)


AT_THE_GATE = """
from il_ros.core.processes.child import pass_gate
passed = pass_gate()
print(f"passed {passed}", flush=True)
"""


def until_at_gate(group):
    deadline = time.monotonic() + 120
    while not group.at_gate():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_gated_processes_wait_and_the_others_start_when_the_gate_opens(tmp_path):
    lines = []
    commands = {"node": python(AT_THE_GATE), "program": python("print('starts')")}
    show = lambda *line: lines.append(line)  # noqa: E731
    logs = tmp_path / "log"
    with ProcessGroup(commands, logs, show, gated=["node"]) as group:
        until_at_gate(group)
        assert set(group._processes) == {"node"}
        assert not logs.exists()
        group.open_gate()
        wait_for(group, ("node", "passed True"), lines)
        wait_for(group, ("program", "starts"), lines)
    assert (logs / "node.log").read_text() == "passed True\n"


def test_a_process_that_comes_to_the_gate_after_it_was_opened_goes_on(tmp_path):
    """Imports may take longer than the checks: on a slow disk, or with large packages."""
    lines = []
    late = f"""
import time
from pathlib import Path
while not Path({str(tmp_path / "open")!r}).exists():
    time.sleep(0.01)
{AT_THE_GATE}"""
    show = lambda *line: lines.append(line)  # noqa: E731
    with ProcessGroup({"node": python(late)}, tmp_path / "log", show, gated=["node"]) as group:
        group.open_gate()
        (tmp_path / "open").touch()
        wait_for(group, ("node", "passed True"), lines)


def test_a_group_that_is_not_opened_ends_its_processes_and_keeps_the_logs_of_the_last_run(tmp_path):
    (tmp_path / "node.log").write_text("the last run")
    code = "import time\ntime.sleep(600)"  # imports for long
    with ProcessGroup({"node": python(code)}, tmp_path, ignore, gated=["node"]) as group:
        assert not group.at_gate()
        pid = group._processes["node"].pid
    assert gone_within(pid, 10)
    assert (tmp_path / "node.log").read_text() == "the last run"


def test_a_process_that_ends_before_the_gate_is_reported_with_its_words(tmp_path):
    lines = []
    code = "print('cannot start: why'); raise SystemExit(1)"
    with ProcessGroup(
        {"node": python(code)}, tmp_path, lambda *line: lines.append(line), gated=["node"]
    ) as group:
        until_at_gate(group)
        group.open_gate()
        ending = group.wait(120)
        assert "cannot start: why" in str(group.failure(ending))
    assert ending.status == 1


CHILD = """
import signal
from il_ros.core.processes.child import pass_gate
signal.signal(signal.SIGTERM, signal.SIG_IGN)
passed = pass_gate()
open("out", "w").write(str(passed))
"""
LAUNCHER = """
import os, signal, sys, time
from pathlib import Path
from il_ros.core.processes.group import ProcessGroup
group = ProcessGroup({"node": [sys.executable, "child.py"]}, Path("log"), print, gated=["node"])
while not group.at_gate():
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_whose_launcher_is_killed_does_not_pass_the_gate(tmp_path):
    (tmp_path / "child.py").write_text(CHILD)
    subprocess.run(python(LAUNCHER), check=False, timeout=120, cwd=tmp_path)
    out, deadline = tmp_path / "out", time.monotonic() + 60
    while not (out.exists() and out.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert out.read_text() == "False"


def test_a_killed_process_that_takes_long_to_end_is_named_and_waited_for(tmp_path, monkeypatch):
    wait = subprocess.Popen.wait

    def wait_in_vain(
        process, timeout=None
    ):  # a killed process whose end takes the kernel longer than any limit
        if timeout is not None:
            raise subprocess.TimeoutExpired(process.args, timeout)
        return wait(process)

    monkeypatch.setattr("il_ros.core.processes.group._ABORT_S", 0.1)
    monkeypatch.setattr(subprocess.Popen, "wait", wait_in_vain)
    ignored = "for each in (signal.SIGINT, signal.SIGABRT): signal.signal(each, signal.SIG_IGN)"
    deaf = python(f"import signal\n{ignored}\nprint('up')\nwhile True: signal.pause()")
    said = []
    with ProcessGroup(
        {"deaf": deaf}, tmp_path, lambda *words: said.append(words), stop_s={"deaf": 0.0}
    ) as group:
        while ("deaf", "up") not in said:
            group.wait_unless(lambda: ("deaf", "up") in said)
        (ending,) = group.stop()
    assert (ending.name, ending.status) == ("deaf", -signal.SIGKILL)
    late = "has not ended within 0 s and is killed"
    assert said == [("deaf", "up"), ("deaf", late), ("deaf", "was killed and has not ended yet")]
