"""Which episodes an export converts, in which processes, and its hidden folder."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lerobot_files
import made_episodes as made
import numpy as np
import psutil
import pytest

from il_ros.cli.episodes.choice import entries_of
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot.export import export_lerobot
from il_ros.episodes.exchange.lerobot.layout import read_info
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.episodes.exchange.staging import staging_of


@pytest.fixture
def root(tmp_path):
    """Episodes of 6, 5 and 4 ticks."""
    for number in (1, 2, 3):
        made.write(tmp_path / "episodes", made.recorded(7 - number), number)
    return tmp_path / "episodes"


@pytest.mark.parametrize("jobs", [1, 2])
def test_episodes_of_one_name_in_two_roots_are_both_exported_and_each_once(tmp_path, jobs):
    """Every root begins with episode_000001."""
    first, second = tmp_path / "monday", tmp_path / "tuesday"
    made.write(first, made.recorded(8))
    made.write(
        second,
        [item for tick in range(20, 28) for item in (made.image(tick), made.joints(tick))]
        + [made.decision(tick) for tick in range(20, 28)],
    )
    entries = [*scan(first).entries, *scan(second).entries, *scan(first).entries]
    report = export_lerobot(entries, tmp_path / "out", ExportOptions(jobs=jobs))
    assert (report.episodes, report.frames) == (2, 16)
    state = lerobot_files.columns(tmp_path / "out")["observation.state"]
    np.testing.assert_array_equal(state[:, 0], [*range(8), *range(20, 28)])


def test_an_episode_that_is_named_twice_is_one(root):
    found = entries_of(["1", "1", str(root), str(root / "episode_000001")], root)
    assert [entry.name for entry in found] == ["episode_000001", "episode_000002", "episode_000003"]


def test_a_killed_process_is_said_and_the_export_goes_on(root, tmp_path):
    def killing(step, items):
        for child in converting(psutil.Process()):
            child.kill()
        return items

    with pytest.raises(
        ExchangeError, match="one of the 2 processes that convert was killed, perhaps because the mem"
    ):
        export_lerobot(scan(root).entries, tmp_path / "out", ExportOptions(jobs=2), progress=killing)
    assert not (tmp_path / "out").exists()
    assert export_lerobot(scan(root).entries, tmp_path / "out", ExportOptions(jobs=1)).frames == 15


@contextlib.contextmanager
def exporting(root, tmp_path, on_ctrl_c):
    """An export by the command line, whose two processes convert; they begin with this handling of SIGINT."""
    words = ["episodes", "export", "lerobot", "--root", str(root), "-o", str(tmp_path / "out"), "--jobs", "2"]
    with (tmp_path / "log").open("w") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", "il_ros", *words],
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, on_ctrl_c),
        )
    try:
        group = psutil.Process(run.pid)
        assert eventually(lambda: len(converting(group)) == 2)
        yield run, group.children()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)


@pytest.mark.parametrize(("number", "to_all"), [(signal.SIGINT, True), (signal.SIGKILL, False)])
def test_an_ended_export_leaves_no_process_and_no_traceback(root, tmp_path, number, to_all):
    with exporting(root, tmp_path, signal.SIG_DFL) as (run, children):
        (os.killpg if to_all else os.kill)(run.pid, number)
        assert run.wait(120) == (130 if to_all else -number)
        gone, left = psutil.wait_procs(children, 120)
        assert (len(gone), left) == (len(children), [])
        assert "Traceback" not in (tmp_path / "log").read_text()


def test_an_export_that_ignores_ctrl_c_goes_on(root, tmp_path):
    """A background job of a shell's script ignores it, and so do its processes."""
    with exporting(root, tmp_path, signal.SIG_IGN) as (run, _):
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(120) == 0
    assert (tmp_path / "out" / "meta" / "info.json").exists()


def converting(group):
    """The child processes of an export that import or convert."""
    return [child for child in group.children() if "spawn_main" in " ".join(child.cmdline())]


def eventually(holds, within_s=120.0):
    end_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


def test_what_lies_in_the_place_of_the_hidden_folder_is_kept(root, tmp_path):
    staging = tmp_path / ".out.exporting"
    staging.mkdir()
    (staging / "mine.txt").write_text("mine")
    with pytest.raises(
        ExchangeError, match=r"exporting/mine.txt: no export wrote it; move it away, an export deletes"
    ):
        export_lerobot(scan(root).entries, tmp_path / "out")
    assert (staging / "mine.txt").read_text() == "mine"
    (tmp_path / ".other.exporting").write_text("a file")
    with pytest.raises(ExchangeError, match=r"\.other\.exporting: no export wrote it"):
        export_lerobot(scan(root).entries, tmp_path / "other")


def test_a_place_where_no_export_can_be_written_is_named_as_it_was_typed(tmp_path):
    file = tmp_path / "notes.txt"
    file.touch()
    for out in (file / "data", Path("/proc/data")):
        with pytest.raises(OSError, match=r"not a folder|file system") as caught, staging_of(out):
            pass
        assert caught.value.filename == str(out)


def test_a_file_is_no_data_set(tmp_path):
    file = tmp_path / "notes.txt"
    file.touch()
    with pytest.raises(ExchangeError, match=r"notes\.txt: is a file; give the folder of the data set"):
        read_info(file)
