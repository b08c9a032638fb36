"""The DAgger loop on a point that is to be driven to 0: x' = x + u / 2, the expert says u = -x."""

import numpy as np
import pytest

from il_ros import contract
from il_ros.interactive.beta import BetaSchedule, Mixer
from il_ros.interactive.dagger import dagger, drive
from il_ros.interactive.driving import Choice, Demonstrating, Mixing
from il_ros.interactive.learner import Learner
from il_ros.policies.behaviour_cloning import BehaviourCloning
from il_ros.training.recipe import Recipe, Training

CONTRACT = contract.parse(
    """
name: point
rate_hz: 10
observations:
  x: {topic: x, type: std_msgs/msg/Float64MultiArray, names: [x], max_age_s: 0.1}
actions:
  u: {topic: u, type: geometry_msgs/msg/TwistStamped, names: [linear.x], unit: m/s, safe: zero,
      limits: {lower: -9, upper: 9, speed: 9}}
""",
    "test",
)
TICKS = 8


class Expert:
    def act(self, observation):
        return -observation["x"][None]


def run(act, seed):
    x = np.random.default_rng(seed).uniform(-1, 1, 1)
    for _ in range(TICKS):
        x = x + 0.5 * act({"x": x})[0]
    return bool(abs(x[0]) < 0.1)


def learner(steps=100):
    training = Training(batch_size=16, learning_rate=0.02)
    return Learner(CONTRACT, Recipe("bc", BehaviourCloning(hidden=(8,)), training), steps)


class Alternating:
    """The policy, the expert, the policy, the expert ...; what the expert drove is learnt."""

    def begin(self):
        self.count = 0

    def choose(self, tick):
        self.count += 1
        expert = self.count % 2 == 0
        return Choice(tick.expert if expert else tick.policy, expert, tick.expert if expert else None)


def test_a_lesson_counts_ticks_takeovers_and_keeps_what_was_seen_with_its_label():
    class Still:
        def act_with_doubt(self, observation):
            return np.zeros((1, 1)), None

    lesson = drive(run, Alternating(), Still(), Expert(), seed=3)
    assert (lesson.ticks, lesson.expert_ticks, lesson.takeovers) == (8, 4, 4)
    episode = lesson.episode("lesson", CONTRACT)
    # of x' = x / 2 at every second tick remains x / 16: within 0.1 from anywhere
    assert episode.outcome == "success"
    np.testing.assert_array_equal(episode.ticks_ns, np.array([2, 4, 6, 8]) * CONTRACT.period_ns)
    np.testing.assert_array_equal(episode.commands, -episode.observations["x"])
    start = np.random.default_rng(3).uniform(-1, 1, 1)
    np.testing.assert_allclose(episode.observations["x"][:, 0], start * 0.5 ** np.arange(4))


def test_an_episode_that_begins_with_the_expert_is_no_takeover():
    assert drive(run, Demonstrating(), None, Expert(), seed=0).takeovers == 0


def test_a_lesson_without_labels_is_no_episode():
    class Silent(Demonstrating):
        def choose(self, tick):
            return Choice(tick.expert, True, None)

    assert drive(run, Silent(), None, Expert(), seed=0).episode("none", CONTRACT) is None


def test_the_loop_counts_aggregates_and_learns():
    mixer, schedule = Mixer("step", 1, np.random.default_rng(0)), BetaSchedule("step:1")

    def driver_of(index):
        return Mixing(mixer, schedule(index), 1.0, np.random.default_rng(1))

    rounds = list(dagger(run, Expert(), learner(), driver_of, [range(4), range(4, 6), range(6, 8)]))
    assert [done.labels for done in rounds] == [32, 48, 64]
    assert [done.expert_ticks for done in rounds] == [32, 32, 32]
    assert [done.episodes for done in rounds] == [4, 2, 2]
    for x in (-0.8, 0.1, 0.6):
        assert rounds[-1].policy.act({"x": np.array([x])})[0, 0] == pytest.approx(-x, abs=0.1)


def test_what_was_shown_before_counts_and_later_rounds_start_from_its_policy():
    shown = [drive(run, Demonstrating(), None, Expert(), seed).episode("shown", CONTRACT) for seed in (1, 2)]
    before = learner().learn(shown)
    done = next(dagger(run, Expert(), learner(1), lambda _: Alternating(), [[5]], shown, policy=before))
    assert (done.labels, done.expert_ticks, done.takeovers) == (16 + 4, 16 + 4, 4)
    assert done.policy.normaliser == before.normaliser


def test_training_starts_from_the_weights_before_and_leaves_them_alone():
    shown = [drive(run, Demonstrating(), None, Expert(), 1).episode("shown", CONTRACT)]
    before = learner().learn(shown)
    weight = before.network.head.linear.weight
    kept = weight.detach().clone()
    after = learner(1).learn(shown, before).network.head.linear.weight
    np.testing.assert_array_equal(weight.detach(), kept)
    assert 0 < (after - kept).abs().max() < 0.1  # a step or two of Adam at 0.02


def test_one_seed_learns_the_same_policy():
    shown = [drive(run, Demonstrating(), None, Expert(), 1).episode("shown", CONTRACT)]
    first, second = (learner(20).learn(shown).act({"x": np.array([0.3])}) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_round_without_seeds_or_labels_is_refused():
    with pytest.raises(ValueError, match="round 0 has no seed"):
        next(dagger(run, Expert(), learner(), lambda _: Demonstrating(), [[]]))

    class Silent(Demonstrating):
        def choose(self, tick):
            return Choice(tick.expert, True, None)

    with pytest.raises(ValueError, match="nothing to learn from"):
        next(dagger(run, Expert(), learner(), lambda _: Silent(), [[1]]))
