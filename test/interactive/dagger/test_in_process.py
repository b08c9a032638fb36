"""Demonstrations and DAgger in one process: what the loop learns from is what the bags hold."""

import gymnasium
import numpy as np
import point_env
import pytest

from il_ros.envs.experts import FunctionExpert
from il_ros.envs.tasks import make_any_task
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.catalogue import scan
from il_ros.interactive.dagger.in_process import TaskEpisodes, correct, demonstrate, save_version
from il_ros.interactive.dagger.interaction import InteractionLoop
from il_ros.interactive.dagger.learner import Learner
from il_ros.interactive.dagger.rounds import drive
from il_ros.interactive.modes.gate import GatedOptions
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.policies import checkpoint, lineage
from il_ros.policies.families.behaviour_cloning import BehaviourCloning
from il_ros.policies.uncertainty import PolicyAnswer
from il_ros.sim.experts import make_expert
from il_ros.training.evaluate import evaluate
from il_ros.training.recipe import Recipe, Training

RECIPE = Recipe("bc", BehaviourCloning(hidden=(8,)), Training(batch_size=16, learning_rate=0.02))


def world(tmp_path, function=point_env.expert):
    task, own = make_any_task(point_env.NAME)
    return TaskEpisodes(task, own, tmp_path), FunctionExpert(task, own, function)


def read(root, own):
    return Dataset.open(root, own, validation=0.0).train


def test_demonstrations_are_recorded_as_the_expert_gave_them(tmp_path):
    run, expert = world(tmp_path)
    results = list(demonstrate(run, expert, range(3)))
    episodes = read(tmp_path, run.contract)
    assert [done.success for done in results] == [True] * 3
    assert [(len(each), each.outcome, each.task) for each in episodes] == [(8, "success", "Point-v0")] * 3
    for seed, episode in enumerate(episodes):
        start, _ = gymnasium.make(point_env.NAME).reset(seed=seed)
        seen = episode.observations["observation"][:, 0]
        # u = -x halves x at each step; float32 halves exactly
        np.testing.assert_array_equal(seen, float(start[0]) * 0.5 ** np.arange(8))
        np.testing.assert_array_equal(episode.commands[:, 0], -seen)
    assert [each.info.seed for each in scan(tmp_path).entries] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "driven"),  # the sources that drove at ticks with a label
    [
        (ModeOptions("expert"), {"expert"}),
        (ModeOptions("shadow"), {"expert"}),
        (ModeOptions("dagger", beta="constant:0.5"), {"expert", "policy"}),
        (ModeOptions("dagger", beta="step:0", queried=0.5), {"policy"}),
        (ModeOptions("hg_dagger"), {"expert"}),
        (ModeOptions("gated", gated=GatedOptions(takeover="asked", ask=0.05, per_hour=3600)), {"expert"}),
    ],
    ids=lambda value: value.mode if isinstance(value, ModeOptions) else "",
)
def test_in_every_mode_the_bags_hold_what_the_loop_learnt_from(tmp_path, options, driven, monkeypatch):
    learnt = []
    learn = Learner.learn

    def noting(self, episodes, before=None, version=""):
        learnt[:] = episodes
        return learn(self, episodes, before, version)

    monkeypatch.setattr(Learner, "learn", noting)
    run, expert = world(tmp_path / "shown")
    list(demonstrate(run, expert, range(2)))
    shown = read(tmp_path / "shown", run.contract)
    more = TaskEpisodes(run.task, run.contract, tmp_path / "corrected")
    learner = Learner(run.contract, RECIPE, 2)  # few steps: the policy is poor, and the person takes over
    rounds = list(correct(more, expert, learner, options, [[10, 11], [12, 13]], shown))
    assert [done.episodes for done in rounds] == [2, 2]
    recorded = read(tmp_path / "corrected", run.contract)
    own = [episode for episode in learnt if episode.name.startswith("round")]
    assert len(recorded) == len(own)
    for bag, memory in zip(recorded, own, strict=True):
        np.testing.assert_array_equal(bag.commands, memory.commands)
        np.testing.assert_array_equal(bag.observations["observation"], memory.observations["observation"])
        assert bag.authority == memory.authority
        assert len(bag.takeovers_ns) == len(memory.takeovers_ns)
        assert bag.outcome == memory.outcome
    assert rounds[-1].labels == sum(map(len, shown)) + sum(map(len, own))
    assert {name for episode in own for name in episode.authority} == driven


def test_dagger_without_demonstrations_learns_the_task_and_saves_versions(tmp_path):
    run, expert = world(tmp_path / "episodes")
    rounds = correct(
        run, expert, Learner(run.contract, RECIPE, 150), ModeOptions("dagger"), [[1, 2], [3, 4], [5]]
    )
    places = [save_version(tmp_path / "checkpoint", done.policy, run, done.labels) for done in rounds]
    assert [place.name for place in places] == ["v1", "v2", "v3"]
    policy = checkpoint.load(places[-1])
    assert (policy.version, policy.metrics["tasks"]) == ("v3", ["Point-v0"])
    known = lineage.read(places[-1])
    assert known.labels == 5 * 8
    assert known.episodes == {f"episode_{number:06d}" for number in range(1, 6)}
    score = evaluate(policy, run.contract, run.task, range(100, 120))
    assert score.rate >= 0.9


def test_an_expert_that_gives_up_ends_the_episode_as_a_failure(tmp_path):
    run, expert = world(tmp_path, point_env.gives_up_beyond_half)
    results = list(demonstrate(run, expert, range(12)))
    starts = [abs(gymnasium.make(point_env.NAME).reset(seed=seed)[0][0]) for seed in range(12)]
    assert [done.gave_up for done in results] == [start > 0.5 for start in starts]
    assert any(done.gave_up for done in results)
    assert len(scan(tmp_path).entries) == sum(start <= 0.5 for start in starts)  # no step: no episode


def test_a_policy_that_leads_the_expert_astray_ends_recorded(tmp_path):
    class Away:
        version, history = "away", 1

        def act_in_parts(self, window, *, seed):
            return PolicyAnswer(np.array([[1.0]]), None, 0.0)

    run, expert = world(tmp_path, point_env.gives_up_beyond_half)
    mode = make_mode(ModeOptions("dagger", beta="step:0"), run.contract, ("policy", "expert"), ModeMemory())
    driven = drive(run, InteractionLoop(mode, run.contract.period_ns), Away(), expert, 2, run.on_decision)
    (entry,) = scan(tmp_path).entries
    assert driven.gave_up
    assert 0 < len(driven.decisions) < point_env.TICKS
    assert (entry.outcome, entry.info.stop_reason) == ("failure", "the expert gave up")


def test_commands_beyond_the_limits_are_limited_before_they_are_sent_and_learnt(tmp_path):
    run, expert = world(tmp_path, lambda observation: -100 * observation)
    list(demonstrate(run, expert, [0]))
    (episode,) = read(tmp_path, run.contract)
    assert np.abs(episode.commands).max() == 1.0


def test_discrete_actions_are_learnt_as_choices(tmp_path):
    task, own = make_any_task("CartPole-v1")
    run = TaskEpisodes(task, own, tmp_path)
    expert = FunctionExpert(task, own, lambda seen: int(seen @ [0.1, 0.5, 3, 2] > 0))
    assert all(done.success for done in demonstrate(run, expert, range(2)))
    shown = read(tmp_path, own)
    assert {tuple(row) for row in shown[0].commands.tolist()} == {(1.0, 0.0), (0.0, 1.0)}
    policy = Learner(own, RECIPE, 1500).learn(shown)
    score = evaluate(policy, own, task, range(100, 105))
    assert score.mean_return > 200  # random actions: about 20


@pytest.mark.parametrize("mode", ["policy", "hg_dagger", "gated"])
def test_a_mode_that_needs_a_policy_says_so(tmp_path, mode):
    run, expert = world(tmp_path)
    with pytest.raises(ValueError, match=f"mode {mode} needs a first policy: record demonstrations"):
        next(iter(correct(run, expert, Learner(run.contract, RECIPE, 5), ModeOptions(mode), [[0]])))


def test_a_simulated_task_is_corrected_in_process_too(tmp_path):
    task, own = make_any_task("reach")
    run = TaskEpisodes(task, own, tmp_path)
    (done,) = correct(run, make_expert("reach"), Learner(own, RECIPE, 5), ModeOptions("dagger"), [[0]])
    (episode,) = read(tmp_path, own)
    assert done.successes == 1
    assert done.labels == len(episode)
    assert scan(tmp_path).entries[0].info.stop_reason == "success"
