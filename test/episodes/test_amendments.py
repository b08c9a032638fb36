"""Amendments beside a bag: what readers change, and that the recording stays."""

import re

import numpy as np
import pytest
from made_episodes import CONTRACT, MS, PERIOD_NS, START_NS, recorded, stamp, write

from il_ros.cli import main as cli
from il_ros.episodes import amendments, catalogue
from il_ros.episodes.amendments import Amendments, LeftOut
from il_ros.episodes.arrays import cache
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.catalogue import look
from il_ros.episodes.layout import LayoutError


def load(folder):
    return cache.Conversion(CONTRACT, cache.cache_folder(folder.parent)).load(look(folder))


def test_a_span_left_out_gives_no_frames_and_comes_back_when_undone(tmp_path):
    folder = write(tmp_path, recorded(20))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(load(folder)) == 20
    amendments.write(folder, Amendments((LeftOut(0.1, 0.2, "nobody moved"),)))
    amended = load(folder)  # ticks at 0.10, 0.15 and 0.20 s
    assert amended.ticks_ns.tolist() == [stamp(k) for k in range(20) if k not in (2, 3, 4)]
    assert amended.skipped == {"left out by amendments.json: nobody moved": 3}
    assert [len(range(*run.indices(17))) for run in amended.runs] == [2, 15]
    amendments.write(folder, amendments.NONE)
    assert len(load(folder)) == 20
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_an_offset_is_added_to_the_label_and_to_nothing_else(tmp_path):
    folder = write(tmp_path, recorded(5))
    before = load(folder)
    amendments.write(folder, Amendments(offsets={"arm/b": -0.25}))
    after = load(folder)  # the decision at tick k sent [k + 1, k + 2, 0.05]
    np.testing.assert_allclose(after.commands, [[k + 1, k + 1.75, 0.05] for k in range(5)])
    np.testing.assert_array_equal(after.observations["joints"], before.observations["joints"])
    assert after.notes == ("amended by amendments.json: -0.25 on the labels of arm/b",)


def test_a_shifted_camera_shows_what_came_later(tmp_path):
    folder = write(tmp_path, recorded(10))
    grey = lambda: load(folder).observations["camera"][:, 0, 0, 0].tolist()  # noqa: E731
    assert grey() == list(range(10))  # every pixel of tick k is k
    amendments.write(
        folder, Amendments(shifts={"camera": 0.1})
    )  # two ticks: the picture of tick 2 is taken at tick 0
    assert grey() == [2, 3, 4, 5, 6, 7, 8, 9, 9, 9]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            Amendments(shifts={"joints": 0.1}),
            "joints is on the trigger joint_states, whose stamps are the ticks",
        ),
        (
            Amendments(shifts={"eyes": 0.1}),
            "'eyes' is no observation of contract 'made_up'; it has: joints, camera",
        ),
        (Amendments(offsets={"arm/c": 1.0}), "'arm/c' is no action element of contract 'made_up'"),
    ],
)
def test_amendments_that_do_not_fit_are_refused_by_every_reader(found, message, tmp_path):
    folder = write(tmp_path, recorded(5))
    amendments.write(folder, found)
    with pytest.raises(MismatchError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "amendments without 'left_out'"),
        ('{"left_out": [{"from_s": 2, "to_s": 1, "reason": ""}], "offsets": {}, "shifts": {}}', "2 to 1 s"),
        ('{"left_out": [], "offsets": {"arm/a": "1"}, "shifts": {}}', r"offsets\[arm/a\] is '1'"),
        ('{"left_out": [], "offsets": {}, "shifts": {"camera": 60}}', "at least -2 and at most 2"),
    ],
)
def test_a_damaged_file_is_named(text, message, tmp_path):
    folder = write(tmp_path, recorded(5))
    (folder / amendments.AMENDMENTS).write_text(text)
    with pytest.raises(LayoutError, match=message):
        amendments.read(folder)
    with pytest.raises(MismatchError, match=r"amendments\.json"):
        load(folder)
    entry = catalogue.look(folder)  # the list says what the readers of frames say
    assert (entry.state, entry.usable) == ("broken", False)
    assert re.search(message, entry.reason)
    assert f"il-ros episodes amend {folder} --undo" in entry.reason
    assert cli.main(["episodes", "amend", str(folder), "--undo"]) == 0
    assert catalogue.look(folder).state == "ready"


def test_a_folder_of_episodes_is_not_amended(tmp_path, capsys):
    write(tmp_path, recorded(20))
    assert cli.main(["episodes", "amend", str(tmp_path), "--leave-out", "0:0.2"]) == 1
    assert f"{tmp_path}: holds no recording; name episodes, such as" in capsys.readouterr().err
    assert not (tmp_path / amendments.AMENDMENTS).exists()


def test_the_command_writes_joins_and_removes(tmp_path, capsys):
    folder = write(tmp_path, recorded(20))
    command = ["episodes", "amend", "1", "--root", str(tmp_path)]
    assert cli.main([*command, "--leave-out", "0:0.2", "--reason", "late start"]) == 0
    assert cli.main([*command, "--leave-out", "0.8:0.9", "--offset", "arm/a=0.5"]) == 0
    assert amendments.read(folder) == Amendments(
        (LeftOut(0.0, 0.2, "late start"), LeftOut(0.8, 0.9)), {"arm/a": 0.5}
    )
    assert "left out 0.00 to 0.20 s, 0.80 to 0.90 s; +0.5 on the labels of arm/a" in capsys.readouterr().out
    assert cli.main([*command, "--undo"]) == 0
    assert not (folder / amendments.AMENDMENTS).exists()
    assert cli.main([*command, "--undo"]) == 0
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "amendments removed", "no amendments",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--leave-out", "3"], "--leave-out 3: it must be FROM:TO in seconds"),
        (["--leave-out", "0:inf"], "leaves out 0 to inf s; a span begins at 0 s or later"),
        (["--leave-out", "5:6"], "the span from 5 s begins after the episode's end at 0.95 s"),
        (["--offset", "arm/a"], "--offset arm/a: it must be NAME=NUMBER"),
        (["--offset", "arm/a=nan"], "offset of arm/a is nan; it must be finite"),
        (["--shift", "camera=x"], "--shift: 'x' is not a number"),
        (["--undo", "--offset", "arm/a=1"], "--undo removes all amendments"),
    ],
)
def test_wrong_words_change_nothing(words, message, tmp_path, capsys):
    folder = write(tmp_path, recorded(20))
    assert cli.main(["episodes", "amend", "1", "--root", str(tmp_path), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (folder / amendments.AMENDMENTS).exists()


def test_the_start_of_the_demonstration_is_the_origin_of_its_times():
    assert (stamp(4) - START_NS, PERIOD_NS) == (200 * MS, 50 * MS)
    found = Amendments((LeftOut(0.2, 0.25),))
    assert [bool(found.leaves_out(stamp(k), START_NS)) for k in range(7)] == [False] * 4 + [True, True, False]
