"""The measurements in bench/: every script starts and explains itself, so that none breaks unnoticed."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(
    path
    for path in (ROOT / "bench").rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text() and path.parent.name != "support"  # started by others
)
ALL_IN_ONE = """
import contextlib, io, json, runpy, sys, traceback
found, path = {}, list(sys.path)
for script in sys.argv[1:]:
    sys.argv, sys.path[:] = [script, "--help"], [script.rpartition("/")[0], *path]
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(script, run_name="__main__")
        found[script] = "it has no --help"
    except SystemExit as end:
        found[script] = "" if end.code == 0 and "usage:" in out.getvalue() else f"{end.code!r}: {out.getvalue()}"
    except BaseException:
        found[script] = traceback.format_exc()
print(json.dumps(found))
"""
"""Each script runs as a program does; what they import, above all torch, is imported once."""


def test_every_script_answers_help():
    assert len(SCRIPTS) > 20
    names = [str(path) for path in SCRIPTS]
    ended = subprocess.run(
        [sys.executable, "-c", ALL_IN_ONE, *names],
        capture_output=True,
        text=True,
        timeout=250,
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert ended.returncode == 0, ended.stderr
    assert {name: why for name, why in json.loads(ended.stdout.splitlines()[-1]).items() if why} == {}


@pytest.fixture
def bench(monkeypatch):
    """Return what imports a module of bench/learning, with the folders of a started script on the path."""
    before = set(sys.modules)
    for folder in (ROOT / "bench", ROOT / "bench" / "learning"):
        monkeypatch.syspath_prepend(str(folder))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "bench")):
            del sys.modules[name]  # their names are common words


def rated(key, *rest):
    """Return what a bench could have measured; the returns are those of the expert (10), random actions, a policy."""
    returns = {"expert": 10.0, "random": 0.0}.get(key["learner"], 3.0) if "learner" in key else 3.0
    wins = {"true": [1], "inferred": [1], "first": [0], "success": [1, 0], "successes": [1, 0]}
    return {**wins, "returns": [returns], "demonstrations": 5, "frames": 100, "train_cpu_s": 1.0}


def each_rated(*given):
    found = [(key, rated(key)) for key in next(each for each in given if isinstance(each, list))]
    return [(key, {name: values[name] for name in values.keys() - key.keys()}) for key, values in found]


RESUMED = {
    "transfer": (
        "--seeds 1 --demonstrations 5 10",
        ("measured", each_rated),
        4,  # two numbers, two learners
        (
            "--source reach",
            "--task drive",
            "--simulator gazebo_classic",
            "--before 9",
            "--recipe flow",
            "--starts 7",
        ),
    ),
    "joint": ("--seeds 1 --policies alone arm", ("measured", each_rated), 5, ("--recipe flow", "--starts 7")),
    "styles": (
        "--seeds 1 --families moe auto",
        ("measured_of", rated),
        2,
        ("--demonstrations 7", "--steps 7", "--execute 4", "--starts 7", "--set members=2"),
    ),
    "inverse": (
        "--seeds 2 --tasks push",
        ("measured", rated),
        2,
        (
            *("--demonstrations 7", "--first 7", "--experience 7", "--rounds 7", "--more 7", "--noise 0.5"),
            *("--episodes 7", "--recipe flow", "--policy-set epochs=1", "--set epochs=1"),
        ),
    ),
    "cameras": (
        "--seeds 1 --only drive --cameras camera",
        ("measured", rated),
        1,
        ("--demonstrations drive=7", "--steps 7", "--play 7", "--starts 7", "--set epochs=1"),
    ),
    "every_family": (
        "--seeds 1 --only drive reach --learners auto flow --demonstrations 5",
        ("measured", each_rated),
        4,
        ("--starts 7",),
    ),
    "third_party": (
        "--seeds 1 --only Pendulum-v1 --learners textbook",
        ("measured", each_rated),
        3,  # with the expert and random actions
        ("--starts 7",),
    ),
}
"""Of each bench that goes on with its file: a call, what does the work, its rows, and each setting changed."""


@pytest.mark.parametrize("name", RESUMED)
def test_a_row_is_taken_for_measured_only_where_all_settings_are_the_same(name, bench, monkeypatch, tmp_path):
    words, (worker, stand_in), count, changes = RESUMED[name]
    module, file = bench(name), tmp_path / "rows.jsonl"
    monkeypatch.setattr(module, worker, stand_in)
    if hasattr(module, "shown_of"):
        monkeypatch.setattr(module, "shown_of", lambda *given, **more: [])

    def lines_after(more=""):
        monkeypatch.setattr(sys, "argv", [name, *words.split(), *more.split(), "--out", str(file)])
        module.main()
        return len(file.read_text().splitlines())

    assert lines_after() == count
    assert lines_after() == count
    for number, change in enumerate(changes, 2):
        assert lines_after(change) == number * count, change
    assert lines_after() == (1 + len(changes)) * count


def test_a_file_whose_rows_could_be_of_any_settings_is_refused(bench, tmp_path):
    rows, file = bench("rows"), tmp_path / "rows.jsonl"
    for line, why in (
        ('{"bench": "joint", "settings": {}}', "line 2 is a row of the bench joint; give another file"),
        ('{"bench": "transfer", "seed": 0}', "line 2 is a row without settings"),
        ('{"bench": "transfer", "se', "line 2 is not JSON"),
    ):
        file.write_text('{"bench": "transfer", "settings": {}}\n' + line + "\n")
        with pytest.raises(SystemExit, match=why):
            rows.Rows("transfer", file)


def test_a_table_never_mixes_rows_of_different_settings(bench, capsys):
    rows = bench("rows")
    some = [
        {"seed": seed, "settings": {"task": task, "starts": 9}}
        for seed, task in enumerate(("push", "drive", "push"))
    ]
    rows.show_each(some, lambda each: print([row["seed"] for row in each]))
    assert capsys.readouterr().out == "\ntask push:\n\n[0, 2]\n\ntask drive:\n\n[1]\n"
    rows.show_each(some[:1], lambda each: print([row["seed"] for row in each]))
    assert capsys.readouterr().out == "[0]\n"
    rows.show_each([{"seed": 7}, some[0]], lambda each: print([row["seed"] for row in each]))
    assert capsys.readouterr().out == "\nsettings unknown:\n\n[7]\n[0]\n"
