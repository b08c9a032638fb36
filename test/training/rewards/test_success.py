"""Success models: labels from verdicts, the time at which a success is seen, training, and `il-ros reward`."""

import shutil
from dataclasses import replace

import line_env
import numpy as np
import pytest
import torch

from il_ros.cli.main import main as il_ros
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.layout import load_info
from il_ros.policies.protocol import Window
from il_ros.rewards import checkpoint
from il_ros.rewards.protocol import Transition
from il_ros.rewards.registry import inputs_of
from il_ros.rewards.settings import SuccessSettings
from il_ros.rewards.success import SuccessModel
from il_ros.training.rewards import verdicts
from il_ros.training.rewards.calibration import best_threshold
from il_ros.training.rewards.rating import fired_s, rate
from il_ros.training.rewards.run import train
from il_ros.training.rewards.settings import TRAINING
from il_ros.training.rewards.verdicts import VerdictError, labelled, require_verdicts

PERIOD_NS = 100_000_000  # 10 Hz


def episode(outcome, ticks=60, name="one"):
    places = np.arange(ticks, dtype=float)[:, None]
    zeros = np.zeros((ticks, 2))
    times = np.arange(ticks) * PERIOD_NS
    return EpisodeArrays(name, {"observation": places}, zeros, zeros, times, PERIOD_NS, outcome)


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    return line_env.dataset(tmp_path_factory.mktemp("line"), count=1).contract


def test_the_end_of_a_success_shows_it_and_what_is_long_before_does_not(contract):
    inputs = inputs_of(contract, SuccessSettings())
    some = [episode("success"), episode("failure"), episode("unmarked")]
    found = labelled(some, inputs, SuccessSettings(), 1)
    ticks, label = found.features[:, 0], found.actions[:, 0, 0]
    success = slice(0, int(np.flatnonzero(np.diff(ticks) < 0)[0]) + 1)
    # 10 Hz: the last 0.4 s are ticks 55 to 59; 0.6 s before them, 49 to 54, have no label; from 3 s before the end on,
    # 29, all count; before, one in four: 0, 4, ..., 28
    assert ticks[success][label[success] == 1].tolist() == [55, 56, 57, 58, 59]
    assert ticks[success][label[success] == 0].tolist() == [*range(0, 29, 4), *range(29, 49)]
    failure = ticks[success.stop :]
    assert failure.tolist() == [*range(0, 29, 4), *range(29, 60)]
    assert label[success.stop :].max() == 0
    assert found.weights.min() == found.weights.max() == 1


def test_too_few_verdicts_are_refused_with_what_is_missing():
    with pytest.raises(
        VerdictError, match="there are 2 episodes with the verdict failure; a success model needs 3"
    ):
        require_verdicts([episode("success")] * 5 + [episode("failure")] * 2 + [episode("unmarked")] * 9)
    with pytest.raises(VerdictError, match="there is 1 episode with the verdict success"):
        require_verdicts([episode("success")] + [episode("failure")] * 5)
    require_verdicts([episode("success"), episode("failure")] * verdicts.LEAST)


def test_a_success_is_seen_when_the_probability_was_high_for_long_enough():
    settings = SuccessSettings(threshold=0.5, hold_s=0.3)
    times = np.arange(8) / 10
    found = [0.1, 0.9, 0.9, 0.2, 0.6, 0.5, 0.7, 0.1]
    assert fired_s(np.array(found), times, 0.1, settings) == pytest.approx(0.6)
    assert fired_s(np.array(found[:6]), times, 0.1, settings) is None
    assert fired_s(np.array(found), times, 0.1, SuccessSettings(hold_s=0.0)) == pytest.approx(0.1)


def test_the_threshold_is_found_by_verdicts_and_times_and_lies_in_the_middle_of_the_best():
    """Successes say 0.4 until 1 s before their end, then 0.9; a failure says 0.62 for a second. 10 Hz, ends at 5.9 s.

    Up to 0.4 the successes are seen at once, 5 s too early; up to 0.6 the failure is one, too. From 0.65 to 0.9 all
    verdicts and times are right: the middle of 0.65, 0.7, ... 0.9 is 0.8.
    """
    success, failure = np.full(60, 0.4), np.full(60, 0.1)
    success[50:] = 0.92
    failure[20:30] = 0.62
    said = [(episode("success"), success), (episode("success"), success), (episode("failure"), failure)]
    settings = SuccessSettings(hold_s=0.2, shown_s=0.8)
    assert best_threshold(settings, said) == pytest.approx(0.8)
    late = SuccessSettings(hold_s=0.2, shown_s=0.2)  # seen 0.7 s before: no threshold makes these times right
    assert best_threshold(late, said) == pytest.approx(0.8)
    assert (SuccessSettings().decides_at, SuccessSettings(threshold=0.7).decides_at) == (0.5, 0.7)


def test_the_reward_of_a_step_is_the_success_of_what_it_leads_to_and_0_in_the_absorbing_state(contract):
    with torch.random.fork_rng(devices=[]):
        spec = type("Spec", (), {"inputs": inputs_of(contract, SuccessSettings())})
        model = SuccessModel(SuccessSettings(hidden=(4,), before_s=0.0, members=1), spec)
    windows = [Window(torch.tensor([[[value]], [[value]]])) for value in (0.0, 2.0)]
    flags = torch.tensor([True, False]), torch.tensor([False, True])
    found = model.reward(Transition(windows[0], torch.zeros(2, 2), windows[1], *flags))
    assert found[0] == torch.sigmoid(model(windows[1]))[0]
    assert found[1] == 0


def near_the_middle(places):
    return bool(abs(places[-1]) < 0.15)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Moves to the middle, which reach it from nearer than 2 m; and moves away from it, marked by their end."""
    root = tmp_path_factory.mktemp("judged")
    line_env.dataset(root, count=6, verdict=near_the_middle)
    return root, line_env.dataset(
        root, count=6, seed=1, expert=lambda place: int(place >= 0), verdict=near_the_middle
    )


QUICK = ["epochs=60", "hidden=[16]", "learning_rate=0.01", "validation=0.0"]


def quick_model(data, out):
    settings = SuccessSettings(hidden=(16,))
    return train(data, settings, replace(TRAINING, epochs=60, learning_rate=0.01, validation=0.0), out)


def test_a_model_of_twelve_verdicts_judges_episodes_it_has_not_seen(judged, tmp_path, capsys):
    _, data = judged
    model = quick_model(data, tmp_path / "reward").reward
    new = line_env.dataset(tmp_path / "new", count=5, seed=5, verdict=near_the_middle)
    away = line_env.dataset(
        tmp_path / "away", count=5, seed=6, expert=lambda place: int(place >= 0), verdict=near_the_middle
    )
    for each in (*new.train, *away.train):
        found = rate(model, each)
        assert (found.fired_s is not None) == (each.outcome == "success"), each.outcome
    folders = [tmp_path / "nobody" / f"episode_00000{number}" for number in (1, 2, 3, 4)]
    line_env.dataset(tmp_path / "nobody", count=2, seed=5)
    line_env.dataset(tmp_path / "nobody", count=2, seed=6, expert=lambda place: int(place >= 0))
    shutil.copytree(next((tmp_path / "new").glob("episode_*")), tmp_path / "nobody" / "episode_000009")
    marking = ("reward", "mark", tmp_path / "nobody", "--reward", tmp_path / "reward")
    status, out, err = run(
        capsys, *marking, "--sure", 0.99
    )  # six verdicts of each kind make nothing so certain
    assert status == 0, err
    assert "0 episodes marked, 4 left unmarked, 1 marked by a person" in out
    status, out, err = run(capsys, *marking, "--sure", 0.55)
    assert status == 0, err
    infos = [load_info(folder) for folder in folders]
    assert [info.outcome for info in infos] == ["success"] * 2 + ["failure"] * 2
    assert all(info.outcome_by.startswith(f"{model.version}, p = ") for info in infos)
    # a person's verdict stays, and only that is learnt from
    assert load_info(tmp_path / "nobody" / "episode_000009").outcome_by == ""
    status, out, err = run(capsys, "reward", "train", tmp_path / "nobody", "--out", tmp_path / "second")
    assert status == 2
    assert "a model gave its outcome, success, and no person" in out
    assert "there is 1 episode with the verdict success" in err
    status, out, _ = run(
        capsys,
        "reward",
        "rank",
        tmp_path / "nobody",
        "--reward",
        tmp_path / "reward",
        "--worst",
        "--first",
        2,
        "--folders",
    )
    assert {line.strip() for line in out.splitlines()} == {str(folder) for folder in folders[2:]}
    again = checkpoint.load(tmp_path / "reward", data.contract)
    assert np.array_equal(rate(again, new.train[0]).reward, rate(model, new.train[0]).reward)


def test_equal_seeds_give_equal_models_to_the_bit(judged, tmp_path):
    _, data = judged
    files = []
    for name in ("a", "b"):
        torch.rand(3)
        quick_model(data, tmp_path / name)
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1]


def test_a_declared_mirror_doubles_what_is_learnt(judged, tmp_path):
    _, data = judged
    (element,) = data.contract.observation("observation").elements
    settings, quick = SuccessSettings(hidden=(4,), members=1), replace(TRAINING, epochs=1, validation=0.0)
    plain = train(data, settings, quick, tmp_path / "plain").reward
    mirror = (f"observation[{element}] = -observation[{element}]",)
    mirrored = train(data, settings, replace(quick, mirror=mirror), tmp_path / "mirrored").reward
    assert mirrored.metrics["frames"] == 2 * plain.metrics["frames"]
    assert mirrored.normaliser.state.centre == pytest.approx(0.0)  # both sides were shown alike
    assert plain.normaliser.state.centre != pytest.approx(0.0)


def run(capsys, *words):
    status = il_ros([str(word) for word in words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_command_trains_ranks_and_plots(judged, tmp_path, capsys, monkeypatch):
    root, _ = judged
    monkeypatch.chdir(tmp_path)
    changes = [word for change in QUICK for word in ("--set", change)]
    status, out, err = run(capsys, "reward", "train", root, "--out", "reward", *changes)
    assert status == 0, err
    assert f"next: il-ros reward rank {root} --reward reward" in out
    found = checkpoint.load("reward").settings.threshold
    assert 0 < found < 1
    assert f"threshold  {found:.2f}" in out
    status, out, _ = run(capsys, "reward", "rank", root)
    assert status == 0
    lines = [line.split() for line in out.splitlines() if line.startswith("episode_")]
    assert [line[1] for line in lines] == ["success"] * 6 + ["failure"] * 6
    returns = [float(line[2]) for line in lines]
    assert returns == sorted(returns, reverse=True)
    met = int(out.partition("verdicts met: ")[2].partition(" of 12")[0])
    assert met >= 11
    assert met == sum((line[4] != "-") == (line[1] == "success") for line in lines)
    status, worst, _ = run(capsys, "reward", "rank", root, "--worst")
    worst_lines = [line.split() for line in worst.splitlines() if line.startswith("episode_")]
    assert [float(line[2]) for line in worst_lines] == sorted(returns)
    status, out, _ = run(capsys, "reward", "plot", root / lines[0][0])
    assert status == 0
    assert (tmp_path / f"{lines[0][0]}_reward.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = run(capsys, "reward", "train", root, "--out", "reward", *changes)
    assert (status, "already holds a model: --overwrite replaces it" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["train", "ROOT", "--family", "gail"],
            "--family gail is not learnt from episodes alone; these are: success",
        ),
        (["train", "ROOT", "--set", "treshold=0.3"], "unknown key; did you mean 'threshold'"),
        (
            ["train", "ROOT", "--set", "threshold=2"],
            "threshold is 2; it must be above 0 and below 1, or 0: found",
        ),
        (["train", "ROOT", "--set", "inputs=[camera]"], "has no 'camera'; it has: observation"),
        (["train", "UNMARKED"], "with the verdict success; a success model needs 3"),
        (["rank", "ROOT", "--reward", "nowhere"], "nowhere: no such folder"),
        (["plot", "77", "--root", "ROOT"], "there is no such episode"),
    ],
)
def test_what_cannot_be_is_refused_by_name(judged, tmp_path, capsys, monkeypatch, words, says):
    root, _ = judged
    monkeypatch.chdir(tmp_path)
    unmarked = tmp_path / "unmarked"
    if "UNMARKED" in words:
        line_env.dataset(unmarked, count=3)
    given = [{"ROOT": root, "UNMARKED": unmarked}.get(word, word) for word in words]
    status, _, err = run(capsys, "reward", *given)
    assert status == 2
    assert says in err
    assert not (tmp_path / "reward").exists()
    shutil.rmtree(unmarked, ignore_errors=True)
