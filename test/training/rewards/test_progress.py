"""Progress models: labels from the time of successes, what steps earn; and a success model beside a running episode."""

from dataclasses import replace

import line_env
import numpy as np
import pytest
import torch

from il_ros.cli.main import main as il_ros
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.families.actor import Actor
from il_ros.policies.features import Inputs
from il_ros.policies.protocol import Window
from il_ros.rewards import checkpoint
from il_ros.rewards.protocol import Transition
from il_ros.rewards.registry import inputs_of
from il_ros.rewards.settings import ProgressSettings, SuccessSettings
from il_ros.rewards.watch import SuccessWatch
from il_ros.rl.steps.demonstrations import fit_scales, steps_of
from il_ros.rl.steps.judge import judge_of, judged_steps
from il_ros.rl.steps.world import World
from il_ros.training.rewards.rating import rate
from il_ros.training.rewards.run import train
from il_ros.training.rewards.settings import TRAINING
from il_ros.training.rewards.verdicts import VerdictError, labelled, require_verdicts

PERIOD_NS = 100_000_000  # 10 Hz
GOAL = 0.15


def episode(outcome, ticks):
    places = np.arange(ticks, dtype=float)[:, None]
    zeros = np.zeros((ticks, 2))
    return EpisodeArrays(
        "one", {"observation": places}, zeros, zeros, np.arange(ticks) * PERIOD_NS, PERIOD_NS, outcome
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Moves to the middle that reach it, and moves away from it."""
    root = tmp_path_factory.mktemp("judged")
    near = lambda places: bool(abs(places[-1]) < GOAL)  # noqa: E731
    line_env.dataset(root, count=6, verdict=near)
    return root, line_env.dataset(root, count=6, seed=1, expert=lambda place: int(place >= 0), verdict=near)


@pytest.fixture(scope="module")
def models(judged, tmp_path_factory):
    """A success model and a progress model of the same verdicts."""
    place = tmp_path_factory.mktemp("models")
    training = replace(TRAINING, epochs=60, learning_rate=0.01, validation=0.0)
    kinds = (SuccessSettings(hidden=(16,)), ProgressSettings(hidden=(16,)))
    return [train(judged[1], kind, training, place / type(kind).__name__).reward for kind in kinds]


def test_the_progress_of_a_success_is_the_share_of_time_until_it_is_shown(judged):
    settings = ProgressSettings(shown_s=0.2)
    inputs = inputs_of(judged[1].contract, settings)
    found = labelled(
        [episode("failure", 9), episode("success", 7), episode("unmarked", 5)], inputs, settings, 1
    )
    np.testing.assert_allclose(found.actions[:, 0, 0], [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    assert found.features[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]  # only the success is learnt from


def test_a_progress_model_needs_successes_only():
    require_verdicts([episode("success", 3)] * 3, ProgressSettings())
    with pytest.raises(VerdictError, match="verdict success; a progress model needs 3 or more: mark them"):
        require_verdicts([episode("success", 3)] * 2 + [episode("failure", 3)] * 9, ProgressSettings())


def test_the_rewards_of_steps_add_up_to_the_progress(models):
    _, model = models
    assert model.family == "progress"
    network = model.network
    places = torch.linspace(-1, 1, 9)
    seen = places[:, None, None].repeat(1, 2, 1)  # (9, 2, 1): at rest
    windows = [Window(seen[part]) for part in (slice(0, 8), slice(1, 9))]
    no = torch.zeros(8, dtype=torch.bool)
    gained = network.reward(Transition(windows[0], torch.zeros(8, 1), windows[1], no, no))
    share = network.share(Window(seen))
    assert float(gained.sum()) == pytest.approx(float(share[-1] - share[0]), abs=1e-6)
    absorbed = network.reward(Transition(windows[0], torch.zeros(8, 1), windows[1], no, ~no))
    assert absorbed.abs().max() == 0


def test_a_model_of_few_successes_says_more_near_the_goal_and_rates_unseen_episodes(models, tmp_path):
    _, model = models
    for new in line_env.dataset(tmp_path / "new", count=4, seed=5).train:
        found = rate(model, new)
        assert len(found.reward) == len(new) - 1
        assert found.fired_s is None
        assert found.total > 0.0
    for away in line_env.dataset(
        tmp_path / "away", count=4, seed=6, expert=lambda place: int(place >= 0)
    ).train:
        assert rate(model, away).total < 0.0


def test_a_watch_sees_the_success_when_the_recorded_episode_is_said_to_show_it(models, judged):
    model, progress = models
    watch = SuccessWatch(model, 0.1)
    for each in judged[1].train:
        watch.begin()
        seen = [watch.see(each.observation(row)) for row in range(len(each))]
        rated = rate(model, each)
        first = next((rated.time_s[row] for row, there in enumerate(seen) if there), None)
        assert first == rated.fired_s
        assert watch.probability == pytest.approx(rated.reward[-1], abs=1e-6)
        assert watch.fired is (rated.fired_s is not None)
    with pytest.raises(ValueError, match="is of the family progress; only a success model says when"):
        SuccessWatch(progress, 0.1)


def world_with(model, data, *, ends):
    inputs = Inputs.for_policy(data.contract, Actor())
    scales = fit_scales(data.train, data.contract, inputs, "limits")
    judge = judge_of(model, 0.1, ends=ends)
    return World(line_env.PlainLine(), scales, judge=judge), scales


def test_a_success_model_ends_own_episodes_and_gives_their_reward(models, judged):
    model, progress = models
    world, _ = world_with(model, judged[1], ends=True)
    ended = []
    for seed in range(8):
        world.begin(seed)
        for _ in range(line_env.STEPS):
            towards = float(world._observation["observation"][0]) < 0
            step, over = world.step(np.array([-1.0, 1.0] if towards else [1.0, -1.0], np.float32))
            assert step.terminated == (step.earned == 1.0)
            if over:
                ended.append((len(world.taken), step.terminated, float(world._observation["observation"][0])))
                break
    seen = [place for _, terminated, place in ended if terminated]
    assert len(seen) >= 6
    assert np.abs(seen).max() < 0.4
    with pytest.raises(ValueError, match="only a success model says when the task is done"):
        judge_of(progress, 0.1, ends=True)


def test_each_own_step_is_given_what_the_model_says(models, judged):
    _, model = models
    world, _ = world_with(model, judged[1], ends=False)
    world.begin(3)
    seen, total = [world._observation["observation"].copy()], 0.0
    for _ in range(5):
        total += world.step(np.array([-1.0, 1.0], np.float32))[0].earned
        seen.append(world._observation["observation"].copy())
    places = np.array(seen)
    scaled = torch.from_numpy(model.normaliser.inputs(places).astype(np.float32))
    # 10 Hz, before_s 0.25: two ticks before, or as long ago as the episode began
    windows = torch.stack([scaled[[0, 0]], scaled[[3, 5]]])
    before, after = model.network.share(Window(windows)).tolist()
    assert total == pytest.approx(after - before, abs=1e-5)


def test_demonstrations_are_rated_as_own_steps_are(models, judged):
    success, progress = models
    data = judged[1]
    _, scales = world_with(success, data, ends=True)
    for each in data.train:
        steps, rated = steps_of(each, scales, line_env.STEPS), rate(success, each)
        found = judged_steps(success, each, steps, ends=True)
        if rated.fired_s is None:
            assert not any(step.earned or step.terminated for step in found)
            continue
        fired = round(rated.fired_s * 10)
        assert len(found) == max(1, fired)
        assert [step.terminated for step in found] == [False] * (len(found) - 1) + [True]
        assert sum(step.earned for step in found) == 1.0
        gains = judged_steps(progress, each, steps, ends=False)
        np.testing.assert_allclose(
            [step.earned for step in gains], rate(progress, each).reward[: len(steps)], atol=1e-6
        )


def test_the_command_trains_and_plots_a_progress_model(judged, tmp_path, capsys, monkeypatch):
    root, _ = judged
    monkeypatch.chdir(tmp_path)
    changes = [word for change in ("epochs=5", "hidden=[8]") for word in ("--set", change)]
    assert il_ros(["reward", "train", str(root), "--family", "progress", "--out", "reward", *changes]) == 0
    assert checkpoint.load("reward").family == "progress"
    assert il_ros(["reward", "rank", str(root)]) == 0
    assert "verdicts met" not in capsys.readouterr().out
    assert il_ros(["reward", "plot", str(next(root.glob("episode_*")))]) == 0
    assert (
        il_ros(["reward", "train", str(root), "--family", "progress", "--set", "threshold=0.4", "-o", "x"])
        == 2
    )
    assert "--set threshold: unknown key" in capsys.readouterr().err
