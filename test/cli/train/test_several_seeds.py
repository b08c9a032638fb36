"""`il-ros train --seeds`: what separate trainings would give, together."""

import json
from contextlib import nullcontext
from dataclasses import replace

import made_episodes as made
import pytest

from il_ros.cli.main import main
from il_ros.cli.train import several_seeds

QUICK = ["--set", "inputs=[joints]", "--set", "epochs=2", "--set", "hidden=[8]", "--recipe", "bc_mlp"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown") / "episodes"
    for number in range(3):
        made.write(folder, made.recorded(20), number=number)
    return folder


def weights(run):
    return (run / "checkpoint" / "model.safetensors").read_bytes()


def test_each_seed_is_to_the_bit_what_it_is_alone_and_the_best_is_named(root, tmp_path, capsys):
    out, alone = tmp_path / "study", tmp_path / "alone"
    assert (
        main(["train", str(root), "--out", str(out), *QUICK, "--seeds", "4,1", "--choose", "validation"]) == 0
    )
    told = capsys.readouterr().out
    assert main(["train", str(root), "--out", str(alone), *QUICK, "--set", "seed=1"]) == 0
    assert weights(out / "seed1") == weights(alone)
    assert weights(out / "seed1") != weights(out / "seed4")
    assert (out / "seeds.png").read_bytes().startswith(b"\x89PNG")
    rows = [line.split(",") for line in (out / "seeds.csv").read_text().splitlines()]
    best = next(row for row in rows if row[-1] == "1")
    losses = {row[0]: float(row[5]) for row in rows[1:]}
    assert list(losses) == ["4", "1"]
    assert best[0] == min(losses, key=losses.get)
    assert f"the best: seed {best[0]}, policy {best[2]}" in told
    assert f"next: il-ros evaluate {out / ('seed' + best[0])}\n" in told
    assert told.count("never moved in the demonstrations") == 1  # said by each, printed once
    assert "95 %" in told
    # a second call neither replaces nor repeats anything
    assert main(["train", str(root), "--out", str(out), *QUICK, "--seeds", "1,2"]) == 2
    assert "seed1 already holds policy" in capsys.readouterr().err
    assert not (out / "seed2").exists()


def test_one_that_fails_is_named_and_the_others_are_kept(root, tmp_path, capsys, monkeypatch):
    plan_of, out = several_seeds._plan_of, tmp_path / "out"

    def strange(plan, seed):
        return replace(plan_of(plan, seed), tasks=("nowhere",) if seed == 1 else ())

    monkeypatch.setattr(several_seeds, "_plan_of", strange)
    words = ["train", str(root), "--out", str(out), *QUICK, "--seeds", "0,1", "--progress", "json"]
    assert main(words) == 1
    told = capsys.readouterr()
    events = [json.loads(line) for line in told.out.splitlines()]
    assert {event["seed"] for event in events if event["event"] == "epoch"} == {0}
    assert events[-1] == {"event": "seeds", "seeds": [0], "folders": [str(out / "seed0")], "best": None}
    assert "il-ros train: seed 1: episode_000000" in told.err
    assert "wanted: nowhere" in told.err


def test_the_choice_of_the_recipe_is_explained_once(root, tmp_path, capsys):
    words = ["--set", "inputs=[joints]", "--set", "epochs=1", "--seeds", "0,1"]
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *words]) == 0
    assert capsys.readouterr().out.count("auto chose ") == 1


def test_a_stopped_call_says_how_to_go_on(root, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(several_seeds, "stop_signals", lambda: nullcontext(lambda: True))  # Ctrl-C at once
    words = ["--out", str(tmp_path / "out"), *QUICK]
    assert main(["train", str(root), *words, "--seeds", "0,1", "--choose", "validation"]) == 130
    told = capsys.readouterr().out
    assert "stopped: 0 of 2 trainings complete; this continues: il-ros train" in told
    assert told.endswith("--resume --seeds 0,1 --choose validation\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0,1"], "--seeds needs --out"),
        (["--out", "o", "--choose", "success"], "--choose needs --seeds, such as --seeds 0,1,2"),
        (["--out", "o", "--seeds", "0,1", "--set", "seed=3"], "--set seed=3: --seeds sets the seeds"),
        (["--out", "o", "--seeds", "0,1", "--race", "9"], "--race is for one training"),
        (["--out", "o", "--seeds", "0,1", "--version", "v1"], "--version is for one training"),
        (["--out", "o", "--seeds", "0,1", "--recipe", "gail"], "which has the key 'seeds' itself"),
        (
            ["--out", "o", "--seeds", "0,1", "--choose", "success"],
            "--choose success needs tests in the simulator",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(root, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(root), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("o/seed*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,,2", "no list of seeds"),
        ("-1", "no list of seeds"),
        ("3,3", "has a seed twice"),
        ("a", "no list of seeds"),
    ],
)
def test_seeds_are_different_numbers(tmp_path, capsys, text, message):
    with pytest.raises(SystemExit):
        main(["train", str(tmp_path), f"--seeds={text}"])
    assert message in capsys.readouterr().err
