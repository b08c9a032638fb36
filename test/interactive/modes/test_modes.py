"""The source in authority in each mode, by the presence of the sources, tick by tick."""

import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import PRESENT, RELEASED, Absence, AbsenceKind, ArbitrationInput
from il_ros.core import contract, share
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import MODES
from il_ros.records.proposal import Proposal

CONTRACT = contract.load(share.path("config", "contracts", "drive.yaml"))
PERIOD = CONTRACT.period_ns
SILENT = Absence(AbsenceKind.SILENT, "silent")
BOTH, NEITHER = {"expert": PRESENT, "policy": PRESENT}, {"expert": SILENT, "policy": SILENT}
EXPERT_ONLY, POLICY_ONLY = {"expert": PRESENT, "policy": SILENT}, {"expert": RELEASED, "policy": PRESENT}


class ModeUnderTest:
    """A mode stepped tick by tick; the selected source has authority until the next tick."""

    def __init__(self, memory=None, **options):
        self.memory = memory or ModeMemory(PERIOD)
        self.mode = make_mode(ModeOptions(**options), CONTRACT, ("expert", "policy"), self.memory)
        self.tick, self.authority = 0, NOBODY

    def step(self, absences=BOTH, uncertainty=None, version="v1", action=(1.0, 0.0)):
        self.tick += 1
        stamp_ns = self.tick * PERIOD
        for name, absent in absences.items():
            if not absent:
                fields = {"uncertainty": uncertainty, "version": version} if name == "policy" else {}
                chunk = [action] if name == "policy" else [(0.0, 0.0)]
                self.mode.observe(name, Proposal(name, stamp_ns, np.array(chunk), **fields))
        arbitration = self.mode.choose(ArbitrationInput(stamp_ns, self.authority, absences))
        self.authority = arbitration.authority
        return arbitration


@pytest.mark.parametrize(
    ("mode", "both", "expert_only", "policy_only"),
    [
        ("priority", "expert", "expert", "policy"),
        ("expert", "expert", "expert", NOBODY),
        ("policy", "policy", NOBODY, "policy"),
        ("shadow", "expert", "expert", NOBODY),
        ("hg_dagger", "expert", "expert", "policy"),
        ("gated", "expert", "expert", "policy"),
    ],
)
def test_the_source_in_authority(mode, both, expert_only, policy_only):
    for absences, wanted in ((BOTH, both), (EXPERT_ONLY, expert_only), (POLICY_ONLY, policy_only)):
        assert ModeUnderTest(mode=mode).step(absences).authority == wanted
    assert ModeUnderTest(mode=mode).step(NEITHER).authority == NOBODY


def test_the_reason_names_the_missing_source():
    assert ModeUnderTest(mode="policy").step(EXPERT_ONLY).reason == "policy silent"
    assert (
        ModeUnderTest(mode="dagger", beta="constant:0.5").step(POLICY_ONLY).reason
        == "expert released control"
    )


# ---- dagger


@pytest.mark.parametrize(
    ("beta", "alone", "driver"), [(1, EXPERT_ONLY, "expert"), (0, POLICY_ONLY, "policy")]
)
def test_at_beta_0_and_1_one_source_always_drives_and_the_other_may_be_absent(beta, alone, driver):
    mode_under_test = ModeUnderTest(mode="dagger", beta=f"constant:{beta}")
    arbitrations = [mode_under_test.step(BOTH if tick % 2 else alone) for tick in range(1000)]
    assert {arbitration.authority for arbitration in arbitrations} == {driver}
    assert {arbitration.beta for arbitration in arbitrations} == {float(beta)}


def test_at_beta_0_and_1_the_other_source_never_substitutes():
    assert ModeUnderTest(mode="dagger", beta="constant:1").step(POLICY_ONLY).authority == NOBODY
    assert ModeUnderTest(mode="dagger", beta="constant:0").step(EXPERT_ONLY).authority == NOBODY


def test_the_expert_drives_with_frequency_beta_reproducibly():
    def drawn(seed):
        mode_under_test = ModeUnderTest(mode="dagger", beta="constant:0.3", seed=seed)
        return [mode_under_test.step().authority for _ in range(10_000)]

    # binomial(10000, 0.3): mean 3000, standard deviation 45.8; bounds of 4 standard deviations
    assert 2817 <= drawn(0).count("expert") <= 3183
    assert drawn(0) == drawn(0) != drawn(1)


def test_a_tick_has_one_draw_for_any_number_of_calls():
    mode_under_test = ModeUnderTest(mode="dagger", beta="constant:0.5")
    for tick in range(1, 100):
        stamps = [tick * PERIOD + offset * PERIOD // 10 for offset in (0, 0, 3, 7)]  # unsynchronised timers
        drawn = {
            mode_under_test.mode.choose(ArbitrationInput(stamp, NOBODY, BOTH)).authority for stamp in stamps
        }
        assert len(drawn) == 1


def test_the_expert_is_queried_at_its_share_of_ticks_with_the_same_drivers():
    def arbitrations(**options):
        mode_under_test = ModeUnderTest(mode="dagger", beta="constant:0.3", **options)
        return [mode_under_test.step() for _ in range(10_000)]

    queried = arbitrations(queried=0.25)
    # binomial(10000, 0.25): mean 2500, standard deviation 43.3; bounds of 4 standard deviations
    assert 2327 <= sum(arbitration.queried for arbitration in queried) <= 2673
    always = arbitrations()
    assert all(arbitration.queried for arbitration in always)
    assert [arbitration.authority for arbitration in queried] == [
        arbitration.authority for arbitration in always
    ]


def test_a_segment_and_an_episode_have_one_driver():
    mode_under_test = ModeUnderTest(mode="dagger", beta="constant:0.5", unit="segment", segment=5)
    drawn = np.array([mode_under_test.step().authority for _ in range(500)]).reshape(100, 5)
    assert (drawn == drawn[:, :1]).all()
    assert len(set(drawn[:, 0])) == 2
    mode_under_test = ModeUnderTest(mode="dagger", beta="constant:0.5", unit="episode")
    episodes = []
    for _ in range(40):
        mode_under_test.mode.restart()
        episodes.append({mode_under_test.step().authority for _ in range(30)})
    assert all(len(drivers) == 1 for drivers in episodes)
    assert set().union(*episodes) == {"expert", "policy"}


def test_each_new_version_starts_a_round_and_a_roll_back_does_not():
    mode_under_test = ModeUnderTest(mode="dagger", beta="linear:4")
    assert mode_under_test.step(EXPERT_ONLY).beta == 1.0
    betas = [mode_under_test.step(version=version).beta for version in ("v1", "v2", "v1", "v3")]
    assert betas == [0.75, 0.5, 0.5, 0.25]
    assert mode_under_test.mode.state(0)["round"] == 3


def test_a_given_round_is_fixed():
    mode_under_test = ModeUnderTest(mode="dagger", beta="linear:4", round_index=2)
    assert {mode_under_test.step(version=f"v{n}").beta for n in range(5)} == {0.5}


# ---- hg_dagger


def test_each_intervention_records_the_uncertainty_at_its_start_once():
    mode_under_test = ModeUnderTest(mode="hg_dagger")
    for uncertainty in (0.1, 0.4):
        mode_under_test.step(POLICY_ONLY, uncertainty=0.05)
        mode_under_test.step(uncertainty=uncertainty)
        mode_under_test.step(uncertainty=9.0)
        mode_under_test.step(uncertainty=9.0)
    assert mode_under_test.mode.state(0)["threshold"] == 0.4  # the last quarter of two is one
    assert mode_under_test.memory.threshold.count == 2


def test_an_expert_that_drives_from_the_start_is_no_intervention():
    mode_under_test = ModeUnderTest(mode="hg_dagger")
    mode_under_test.step(uncertainty=0.3)
    assert mode_under_test.mode.state(0)["threshold"] is None


# ---- shadow


def test_disagreement_is_compared_by_tick_in_any_order_of_arrival():
    mode_under_test = ModeUnderTest(mode="shadow")
    mode_under_test.step(action=(0.3, 0.4))  # root of (0.09 + 0.16) / 2
    assert mode_under_test.mode.state(0)["disagreement"] == pytest.approx(np.sqrt(0.125))
    late = 1000 * PERIOD
    mode_under_test.mode.observe("policy", Proposal("policy", late, np.array([[0.0, 0.0]])))
    mode_under_test.mode.observe("expert", Proposal("expert", late, np.array([[0.0, 0.0]])))
    state = mode_under_test.mode.state(0)
    assert (state["disagreement"], state["ticks_compared"]) == (0.0, 2)
    assert state["disagreement_mean"] == pytest.approx(np.sqrt(0.125) / 2)


def test_proposals_for_different_ticks_are_not_compared():
    mode_under_test = ModeUnderTest(mode="shadow")
    mode_under_test.step(POLICY_ONLY)
    mode_under_test.step(EXPERT_ONLY)
    assert mode_under_test.mode.state(0)["disagreement"] is None


# ---- options


def test_invalid_options_are_refused_by_name():
    for options, message in (
        ({"mode": "auto"}, "mode must be one of priority, expert"),
        ({"beta": "cosine:1"}, "beta schedule 'cosine:1'"),
        ({"unit": "hour"}, "one of: step, segment, episode"),
        ({"segment": 0}, "1 step or more"),
        ({"seed": -1}, "seed must be 0 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            ModeOptions(**options)


@pytest.mark.parametrize("mode", MODES)
def test_only_priority_does_not_need_the_two_sources(mode):
    if mode == "priority":
        make_mode(ModeOptions(mode), CONTRACT, ("left", "right"), ModeMemory())
        return
    with pytest.raises(
        ValueError, match=f"mode {mode} needs the sources policy and expert; the sources are: left"
    ):
        make_mode(ModeOptions(mode), CONTRACT, ("left", "right"), ModeMemory())


def test_disagreement_is_that_of_the_tick_or_the_one_before_but_no_older_one():
    mode_under_test = ModeUnderTest(mode="hg_dagger")
    mode_under_test.step(action=(0.3, 0.4))
    apart = pytest.approx(np.sqrt(0.125))
    stamp_ns = mode_under_test.tick * PERIOD
    assert [mode_under_test.mode.disagreement(stamp_ns + ticks * PERIOD) for ticks in (0, 1, 2)] == [
        apart,
        apart,
        None,
    ]
