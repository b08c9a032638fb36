"""The demo: its summary, its folder, and one small run of the whole loop."""

import json
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from il_ros.cli import main
from il_ros.core import progress
from il_ros.demo import phases
from il_ros.demo.phases import DemoPlan
from il_ros.demo.summary import DemoSummary, Score
from il_ros.records.trials import Trial, Trials
from il_ros.sim import HELD_OUT_SEED


def trials(outcomes: str) -> Trials:
    done = [
        Trial(seed, "success" if letter == "s" else "failure", "", 2.5, 0.5)
        for seed, letter in enumerate(outcomes)
    ]
    return Trials(len(done), 0, tuple(done))


class Links(HTMLParser):
    """Collects the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, _tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href")]


def test_a_score_has_counts_rate_and_interval():
    score = Score.of(trials("sssf"))
    assert (score.successes, score.episodes, score.rate, score.simulated_s) == (3, 4, 0.75, 10.0)
    assert score.interval[0] < 0.75 < score.interval[1]


def test_the_table_and_the_file_have_the_same_results(tmp_path):
    summary = DemoSummary(
        "push", "arm_push", Score.of(trials("ss")), Score.of(trials("sf")), {"show": 3.0, "run": 4.0}
    )
    summary.save(tmp_path)
    written = json.loads((tmp_path / "summary.json").read_text())
    assert (written["policy"]["successes"], written["total_s"]) == (1, 7.0)
    policy = next(line for line in summary.text().splitlines() if line.startswith("policy"))
    assert policy.split()[3:6] == ["2", "1", "50"]


def test_the_bar_shows_what_the_result_file_holds_whatever_the_conductor_says(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    monkeypatch.setattr(progress, "SHARE", 0.0)
    result = tmp_path / "show.json"
    bar = phases._TrialBar("show", 4, result)
    bar("conductor", "starting")  # there is no file yet
    assert capsys.readouterr().out == ""
    result.write_text(trials("sf").to_json())
    bar("sim", "reset")
    assert capsys.readouterr().out == ""
    bar("conductor", "any words")
    said = capsys.readouterr().out
    assert said.startswith("show: 2 of 4 episodes")
    assert said.endswith("1 succeeded\n")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"task": "juggle"}, "juggle"),
        ({"demonstrations": 1}, "--demonstrations is 1; at least 2 is needed"),
        ({"episodes": 0}, "--episodes is 0; at least 1 is needed"),
        ({"seed": HELD_OUT_SEED}, f"--seed is {HELD_OUT_SEED}"),
    ],
)
def test_an_invalid_plan_is_refused(tmp_path, wrong, words):
    with pytest.raises(ValueError, match=words):
        DemoPlan(**{"task": "push", "folder": tmp_path, **wrong})


def test_a_folder_with_other_files_is_not_emptied(tmp_path, capsys):
    precious = tmp_path / "thesis.tex"
    precious.write_text("all of it")
    assert main.main(["demo", "--output", str(tmp_path)]) == 1
    assert "no demo wrote" in capsys.readouterr().err
    assert precious.read_text() == "all of it"


def test_the_whole_loop_on_a_small_scale(tmp_path):
    out = tmp_path / "demo"
    words = ["-m", "il_ros", "demo", "--demonstrations", "3", "--episodes", "1", "--set", "epochs=20"]
    ran = subprocess.run(
        [sys.executable, *words, "--output", str(out)], capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["expert"]["successes"], summary["policy"]["episodes"]) == (3, 1)
    links = Links()
    links.feed((out / "index.html").read_text())
    assert len(links.found) > 10
    for link in links.found:
        assert (out / link).stat().st_size > 0
    assert "policy, held-out starts" in ran.stdout
    assert ran.stdout.endswith(f"next: il-ros session run --task push --checkpoint {out / 'trained'}\n")
