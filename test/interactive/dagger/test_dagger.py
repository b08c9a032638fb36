"""The DAgger loop on a point that must reach 0: x' = x + u / 2, with the expert u = -x."""

from dataclasses import replace

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.interactive.dagger.interaction import DrivenEpisode, InteractionLoop
from il_ros.interactive.dagger.learner import Learner
from il_ros.interactive.dagger.rounds import dagger, drive
from il_ros.interactive.modes.gate import GatedOptions
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.policies.families.behaviour_cloning import BehaviourCloning
from il_ros.policies.uncertainty import PolicyAnswer
from il_ros.records.decision import Decision
from il_ros.records.labelling import label
from il_ros.training import fitting
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


class PointExpert:
    def act(self, observation):
        return -observation["x"][None]


def run(act, seed):
    x = np.random.default_rng(seed).uniform(-1, 1, 1)
    for _ in range(TICKS):
        command = act({"x": x})
        if command is None:
            return False
        x = x + 0.5 * command[0]
    return bool(abs(x[0]) < 0.1)


def learner(steps=100):
    training = Training(batch_size=16, learning_rate=0.02)
    return Learner(CONTRACT, Recipe("bc", BehaviourCloning(hidden=(8,)), training), steps)


def interaction(mode, human=None, **options):
    made = make_mode(ModeOptions(mode, **options), CONTRACT, ("policy", "expert"), ModeMemory())
    return InteractionLoop(made, CONTRACT.period_ns, human)


def demonstration():
    return interaction("expert")


class StillPolicy:
    """A policy that does nothing, with the given uncertainty at each tick."""

    version, history = "still", 1

    def __init__(self, *uncertainties):
        self._uncertainties = iter(uncertainties)

    def act_in_parts(self, window, *, seed):
        return PolicyAnswer(np.zeros((1, 1)), next(self._uncertainties, None), 0.0)


class ExpertGivingUp:
    """An expert that gives up at the fourth query."""

    def __init__(self):
        self.queried = 0

    def act(self, observation):
        self.queried += 1
        return None if self.queried > 3 else PointExpert().act(observation)


class AlternatingHuman:
    """Releases and proposes at alternating ticks."""

    def begin(self):
        self.count = 0

    def propose(self, policy, own):
        self.count += 1
        return own if self.count % 2 == 0 else None


def drivers(driven):
    return "".join(decision.authority[0] for decision in driven.decisions)


def test_an_episode_counts_labels_and_takeovers_and_pairs_observations_with_labels():
    driven = drive(run, interaction("hg_dagger", AlternatingHuman()), StillPolicy(), PointExpert(), seed=3)
    assert (drivers(driven), driven.labels, driven.expert_ticks, len(driven.takeovers_ns)) == (
        "pepepepe",
        4,
        4,
        4,
    )
    episode = driven.episode("driven", CONTRACT)
    # x' = x / 2 at every second tick leaves x / 16, below 0.1 from any start
    assert episode.outcome == "success"
    np.testing.assert_array_equal(episode.ticks_ns, np.array([2, 4, 6, 8]) * CONTRACT.period_ns)
    np.testing.assert_array_equal(episode.commands, -episode.observations["x"])
    start = np.random.default_rng(3).uniform(-1, 1, 1)
    np.testing.assert_allclose(episode.observations["x"][:, 0], start * 0.5 ** np.arange(4))


def test_an_episode_that_starts_with_the_expert_has_no_takeover():
    assert drive(run, demonstration(), None, PointExpert(), seed=0).takeovers_ns == ()


def test_an_episode_without_labels_gives_no_training_data():
    assert (
        drive(run, interaction("policy"), StillPolicy(), PointExpert(), seed=0).episode("none", CONTRACT)
        is None
    )


@pytest.mark.parametrize("mode", ["expert", "dagger", "hg_dagger"])
def test_an_episode_ends_when_the_expert_gives_up_and_keeps_the_earlier_labels(mode):
    driven = drive(run, interaction(mode), StillPolicy(), ExpertGivingUp(), seed=3)
    assert (len(driven.decisions), driven.labels, driven.success) == (3, 3, False)
    assert driven.episode("driven", CONTRACT).outcome == "failure"


@pytest.mark.parametrize(("beta", "driver"), [(1, "e"), (0, "p")])
def test_at_beta_0_and_1_one_source_drives_and_the_expert_labels_every_tick(beta, driver):
    driven = drive(run, interaction("dagger", beta=f"constant:{beta}"), StillPolicy(), PointExpert(), seed=1)
    assert drivers(driven) == driver * TICKS
    assert driven.labels == TICKS
    np.testing.assert_array_equal(
        driven.episode("driven", CONTRACT).commands[:, 0], [-seen["x"][0] for seen in driven.seen]
    )


def test_the_expert_labels_its_share_of_the_policys_ticks_and_every_tick_it_drives():
    mixing = interaction("dagger", beta="constant:0.25", queried=0.4)
    decisions = [
        d for seed in range(500) for d in drive(run, mixing, StillPolicy(), PointExpert(), seed).decisions
    ]
    labelled = [label("dagger", decision) is not None for decision in decisions]
    drove = np.array([decision.authority == "expert" for decision in decisions])
    assert np.array(labelled)[drove].all()
    # 4 standard errors: 4 sqrt(0.25 * 0.75 / 4000) = 0.027, and 4 sqrt(0.4 * 0.6 / 3000) = 0.036
    assert drove.mean() == pytest.approx(0.25, abs=0.027)
    assert np.array(labelled)[~drove].mean() == pytest.approx(0.4, abs=0.036)


def test_a_query_share_of_0_is_refused():
    with pytest.raises(ValueError, match="queried must be above 0 and at most 1, not 0"):
        interaction("dagger", queried=0)


def test_a_requested_expert_drives_at_once_until_the_uncertainty_is_low():
    gated = GatedOptions(ask=1.0, takeover="asked", least_s=0.0)
    driven = drive(
        run, interaction("gated", gated=gated), StillPolicy(0.9, 1.1, 0.6, 0.4, 0.9), PointExpert(), seed=0
    )
    assert drivers(driven) == "peepp" + "ppp"
    assert driven.labels == 2


def test_a_tick_without_authority_raises_an_error_with_the_reason():
    with pytest.raises(
        ValueError, match="no source has authority, and the loop cannot wait for one: policy has not proposed"
    ):
        drive(run, interaction("dagger", beta="constant:0.5"), None, PointExpert(), seed=0)


def test_rounds_aggregate_labels_and_each_policy_version_starts_a_round():
    rounds = list(
        dagger(
            run,
            PointExpert(),
            learner(),
            interaction("dagger", beta="step:1"),
            [range(4), range(4, 6), range(6, 8)],
        )
    )
    assert [done.labels for done in rounds] == [32, 48, 64]
    assert [done.expert_ticks for done in rounds] == [32, 32, 32]
    assert [done.episodes for done in rounds] == [4, 2, 2]
    for x in (-0.8, 0.1, 0.6):
        assert rounds[-1].policy.act({"x": np.array([x])})[0, 0] == pytest.approx(-x, abs=0.1)


def test_demonstrations_count_and_training_starts_from_their_policy():
    shown = [
        drive(run, demonstration(), None, PointExpert(), seed).episode("shown", CONTRACT) for seed in (1, 2)
    ]
    before = learner().learn(shown)
    human = interaction("hg_dagger", AlternatingHuman())
    done = next(dagger(run, PointExpert(), learner(1), human, [[5]], shown, policy=before))
    assert (done.labels, done.expert_ticks, done.takeovers) == (16 + 4, 16 + 4, 4)
    np.testing.assert_array_equal(done.policy.normaliser.state.scale, before.normaliser.state.scale)
    assert done.policy.normaliser.actions == before.normaliser.actions


def test_training_starts_from_the_previous_weights_and_does_not_change_them():
    shown = [drive(run, demonstration(), None, PointExpert(), 1).episode("shown", CONTRACT)]
    before = learner().learn(shown)
    weight = before.network.head.linear.weight
    kept = weight.detach().clone()
    after = learner(1).learn(shown, before).network.head.linear.weight
    np.testing.assert_array_equal(weight.detach(), kept)
    assert 0 < (after - kept).abs().max() < 0.1  # one or two steps of Adam at 0.02


def test_the_same_seed_trains_the_same_policy():
    shown = [drive(run, demonstration(), None, PointExpert(), 1).episode("shown", CONTRACT)]
    first, second = (learner(20).learn(shown).act({"x": np.array([0.3])}) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_round_without_seeds_or_labels_is_refused():
    with pytest.raises(ValueError, match="round 0 has no seed"):
        next(dagger(run, PointExpert(), learner(), demonstration(), [[]]))
    with pytest.raises(ValueError, match="no training data"):
        next(dagger(run, PointExpert(), learner(), interaction("policy"), [[1]], policy=StillPolicy()))


def test_the_learner_thins_frames_in_which_nothing_moves_as_the_trainer_does(monkeypatch):
    """At 10 Hz half a second has 6 frames. Frame 4 is the last that moved, so 9 is the first still one; then every
    tenth after frame 8, the last moving one: 18 and 28.
    """
    learnt, place = [], fitting.samples
    moved = np.array([[0.1 * min(tick, 4)] for tick in range(30)])
    still = EpisodeArrays("still", {"x": moved}, -moved, 0 * moved, np.arange(1, 31) * 10**8, 10**8)

    def counted(*args):
        found = place(*args)

        class Counted(type(found)):
            def only(self, kept):
                learnt.append(np.flatnonzero(kept).tolist())
                return super().only(kept)

        return Counted(**vars(found))

    monkeypatch.setattr(fitting, "samples", counted)
    recipe = learner().recipe
    thinning = replace(recipe, training=replace(recipe.training, still_every=10))
    Learner(CONTRACT, thinning, 1).learn([still])
    assert learnt == [[*range(9), 18, 28]]


def test_the_windows_of_an_episode_hold_the_ticks_at_which_the_policy_drove():
    driven = DrivenEpisode()
    for tick, source in enumerate(("policy", "policy", "policy", "expert", "expert")):
        driven.seen.append({"x": np.array([float(tick)])})
        sent = (0.0,)
        stamp_ns = (tick + 1) * CONTRACT.period_ns
        driven.decisions.append(
            Decision(stamp_ns, stamp_ns, source, "why", {source: sent}, sent, mode="hg_dagger")
        )
    for history, windows in ((1, [[3], [4]]), (3, [[1, 2, 3], [2, 3, 4]])):
        episode = driven.episode("e", CONTRACT, history)
        rows, existing = episode.windows(history)
        assert existing.all()
        assert [[episode.observation(row)["x"][0] for row in window] for window in rows.tolist()] == windows
