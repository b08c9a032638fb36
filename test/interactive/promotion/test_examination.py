"""A candidate's examination without ROS: the measurements and the reasons of refusal."""

import errno
import threading

import made_arrays as arrays
import made_episodes as recordings
import made_versions as made
import numpy as np
import pytest
import torch

from il_ros.core import files
from il_ros.episodes import layout
from il_ros.episodes.arrays import cache
from il_ros.episodes.catalogue import look
from il_ros.interactive.promotion import replays
from il_ros.interactive.promotion.criteria import PromotionLimits
from il_ros.interactive.promotion.examination import ExaminationPlan, ShadowBuffer, examine, load_requested
from il_ros.policies import checkpoint, lineage
from il_ros.policies.families.guided import Guided
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.lineage import Lineage
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.versions import CHECKPOINT


@pytest.fixture
def root(tmp_path):
    for number in (1, 2):
        made.episode(tmp_path / "episodes", number)
    return tmp_path / "episodes"


def candidate(tmp_path, number=2, answer=made.RIGHT, held_out=("episode_000002",), learnt=()):
    return made.version(tmp_path / "policies", number, answer, held_out, learnt=learnt)


def test_the_first_policy_is_measured_without_comparison(tmp_path, root):
    verdict = examine(candidate(tmp_path), made.CONTRACT, None, ExaminationPlan(root=root), ShadowBuffer())
    assert (verdict.refused, verdict.policy.version) == ("", "v2")
    held_out = verdict.checks["held_out"]
    assert held_out["frames"] == 20
    assert (held_out["error"], held_out["driving_error"]) == (pytest.approx(0, abs=1e-6), None)
    assert "new" not in verdict.checks
    assert verdict.checks["computing_p99_ms"] > 0


def test_a_discarded_held_out_episode_is_skipped_and_named(tmp_path, root):
    layout.discard(root / "episode_000002", "undone", "now")
    run = candidate(tmp_path, held_out=("episode_000001", "episode_000002"))
    checks = examine(run, made.CONTRACT, None, ExaminationPlan(root=root), ShadowBuffer()).checks
    assert checks["held_out"]["episodes"] == ["episode_000001"]
    assert "discarded" in checks["held_out"]["left_out"]["episode_000002"]


def test_episodes_that_the_driving_policy_was_trained_on_are_not_held_out(tmp_path, root):
    driving = checkpoint.load(candidate(tmp_path, 1))
    driving.metrics["data"]["train"].append("episode_000002")
    run = candidate(tmp_path, held_out=("episode_000001", "episode_000002"))
    checks = examine(run, None, driving, ExaminationPlan(root=root), ShadowBuffer()).checks
    assert checks["held_out"]["episodes"] == ["episode_000001"]


def test_a_candidate_must_have_learnt_the_new_episodes(tmp_path, root):
    """RIGHT is (0.25, -0.5): (0.25, 0.1) is 0.3 from it, (0.35, -0.5) is 0.05."""
    plan = ExaminationPlan(PromotionLimits(tolerance=9.0, slack=0.02, latency=1e6), root)
    driving = checkpoint.load(candidate(tmp_path, 1, (0.35, -0.5), held_out=()))
    run = candidate(tmp_path, 2, (0.25, 0.1), held_out=(), learnt=("episode_000001", "episode_000002"))
    driving.metrics["data"]["train"].append("episode_000002")
    verdict = examine(run, None, driving, plan, ShadowBuffer())
    assert verdict.checks["new"]["episodes"] == ["episode_000001"]
    assert verdict.checks["new"]["error"] == pytest.approx(0.3)
    assert verdict.checks["new"]["driving_error"] == pytest.approx(0.05)
    assert (
        "new episodes that it was trained on is 0.3000, the driving policy's 0.0500; the limit is 0.0700"
        in (verdict.refused)
    )
    better = candidate(tmp_path, 3, held_out=(), learnt=("episode_000001", "episode_000002"))
    assert examine(better, None, driving, plan, ShadowBuffer()).refused == ""


def test_a_candidate_must_not_have_forgotten_the_known_episodes(tmp_path, root):
    """RIGHT is (0.25, -0.5): (0.35, -0.5) is 0.05 from it, (0.25, -0.4) too, (0.25, -0.38) 0.06."""
    plan = ExaminationPlan(PromotionLimits(tolerance=0.1, slack=0.005, latency=1e6), root)
    learnt = ("episode_000001", "episode_000002")
    driving = checkpoint.load(candidate(tmp_path, 1, (0.35, -0.5), held_out=(), learnt=learnt))
    forgot = candidate(tmp_path, 2, (0.25, -0.38), held_out=(), learnt=learnt)
    verdict = examine(forgot, None, driving, plan, ShadowBuffer())
    assert verdict.checks["known"]["episodes"] == list(learnt)
    assert (
        "both were trained on is 0.0600, the driving policy's 0.0500; the limit is 0.0550" in verdict.refused
    )
    as_good = candidate(tmp_path, 3, (0.25, -0.4), held_out=(), learnt=learnt)
    assert examine(as_good, None, driving, plan, ShadowBuffer()).refused == ""


def from_reward(folder, number, network, settings, name):
    """Write version `number`, which learnt episode_000001 from its verdict."""
    metrics = {"data": {"train": ["episode_000001"], "validation": []}, "reward": "task"}
    run, two = folder / f"v{number}", Affine(np.zeros(2), np.ones(2))
    policy = LoadedPolicy(made.CONTRACT, name, settings, network, Normaliser(two, two), run.name, metrics)
    checkpoint.save(run / CHECKPOINT, policy)
    lineage.write(run, Lineage(run.name, "v1", metrics["data"]))
    return run


def residual(added, reach):
    """Return the settings and the network of RIGHT with a residual: the share `added` (2,) of `reach` (2,)."""
    settings = Guided(hidden=(4,))
    two = Affine(np.zeros(2), np.ones(2))
    network = make_network("guided", settings, made.CONTRACT, Normaliser(two, two))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for part, answer in ((network.clone, made.RIGHT), (network.actor, added)):
            part.perceptron.linear_layers()[-1].bias[0, ..., :2] = torch.atanh(torch.tensor(answer))
        network.reach.copy_(torch.tensor(reach))
    return network, settings


def test_a_residual_may_differ_from_what_was_shown_by_what_it_declares(tmp_path, root):
    """RIGHT and nine tenths of a reach of (0.2, 0.4) differ by 0.27 in the mean; the reach's mean is 0.3."""
    plan = ExaminationPlan(PromotionLimits(slack=0.02, latency=1e6), root)
    driving = checkpoint.load(candidate(tmp_path, 1, held_out=()))
    run = from_reward(tmp_path / "policies", 2, *residual((0.9, -0.9), (0.2, 0.4)), "guided")
    verdict = examine(run, None, driving, plan, ShadowBuffer())
    assert verdict.checks["new"]["error"] == pytest.approx(0.27, abs=1e-5)
    assert verdict.checks["slack"] == pytest.approx(0.02 + 0.3, abs=1e-6)
    assert verdict.refused == ""
    broken, settings = residual((0.9, -0.9), (0.2, 0.4))
    with torch.no_grad():  # its clone says the opposite: (-0.25, 0.5) and the residual are far from RIGHT
        broken.clone.perceptron.linear_layers()[-1].bias *= -1
    run = from_reward(tmp_path / "policies", 3, broken, settings, "guided")
    assert "new episodes that it was trained on" in examine(run, None, driving, plan, ShadowBuffer()).refused


def test_a_policy_from_a_reward_without_a_declared_size_may_differ_as_much_as_in_shadow(tmp_path, root):
    """RIGHT is (0.25, -0.5): (0.25, 0.1) is 0.3 from it."""
    driving = checkpoint.load(candidate(tmp_path, 1, held_out=()))
    other = made.constant_policy(made.CONTRACT, (0.25, 0.1), "v2")
    run = from_reward(tmp_path / "policies", 2, other.network, other.settings, "bc")
    for disagreement, refused in ((0.29, ""), (0.27, "the limit is 0.2900")):
        limits = PromotionLimits(slack=0.02, latency=1e6, disagreement=disagreement)
        verdict = examine(run, None, driving, ExaminationPlan(limits, root), ShadowBuffer())
        assert refused in verdict.refused
        assert bool(verdict.refused) == bool(refused)


def test_at_most_twenty_known_episodes_are_replayed_evenly_spread(tmp_path):
    names = tuple(f"episode_{number:06d}" for number in range(1, 42))
    policy = checkpoint.load(candidate(tmp_path, 1, held_out=(), learnt=names))
    (chosen,) = [some for kind, some, _ in replays.replay_sets(policy, policy) if kind == "known"]
    assert chosen == [f"episode_{number:06d}" for number in range(1, 42, 3)]  # every third: 14 of 41


def test_without_held_out_episodes_the_other_criteria_apply(tmp_path, root):
    verdict = examine(
        candidate(tmp_path, held_out=()), None, None, ExaminationPlan(root=root), ShadowBuffer()
    )
    assert verdict.refused == ""
    assert verdict.checks["held_out"] == {"episodes": [], "frames": 0, "none": "no such episode"}


def test_an_action_that_is_not_finite_is_refused(tmp_path, root):
    run = candidate(tmp_path)
    policy = checkpoint.load(run)
    huge = Normaliser(policy.normaliser.state, Affine(np.zeros(2), np.full(2, 1.7e308)))
    changed = LoadedPolicy(made.CONTRACT, "bc", policy.settings, _with_huge_bias(policy.network), huge, "v2")
    checkpoint.save(run / "checkpoint", changed)
    verdict = examine(run, None, None, ExaminationPlan(root=root), ShadowBuffer())
    assert "is inf" in verdict.refused
    assert verdict.policy is None


def _with_huge_bias(network):
    import torch

    with torch.no_grad():
        network.linear_layers()[-1].bias.fill_(1e30)
    return network


def test_another_contract_is_refused(tmp_path, root):
    driving = LoadedPolicy(arrays.CONTRACT, "bc", *_fitting(arrays.CONTRACT), "v1")
    verdict = examine(candidate(tmp_path), None, driving, ExaminationPlan(root=root), ShadowBuffer())
    assert verdict.refused.startswith("its contract differs")


def busy(_file, _most):
    raise OSError(errno.EMFILE, "Too many open files")


def cut(run):
    weights = run / "checkpoint" / checkpoint.MODEL
    weights.write_bytes(weights.read_bytes()[:-8])


def test_a_fault_of_the_version_itself_gives_a_lasting_verdict(tmp_path, root):
    run = candidate(tmp_path, answer=(0.75, -0.5))
    driving = checkpoint.load(candidate(tmp_path, 1))
    assert examine(run, None, driving, ExaminationPlan(root=root), ShadowBuffer()).lasting  # it is worse
    cut(run)
    assert examine(run, None, driving, ExaminationPlan(root=root), ShadowBuffer()).lasting


def test_a_fault_outside_the_version_gives_no_lasting_verdict(tmp_path, root, monkeypatch):
    run = candidate(tmp_path)
    verdict = examine(run, arrays.CONTRACT, None, ExaminationPlan(root=root), ShadowBuffer())
    assert "contract" in verdict.refused
    assert not verdict.lasting
    verdict = examine(run, None, None, ExaminationPlan(root=root, device="cuda:99"), ShadowBuffer())
    assert "cannot be loaded on device 'cuda:99'" in verdict.refused
    assert not verdict.lasting
    monkeypatch.setattr(files, "read_bytes", busy)
    verdict = examine(run, None, None, ExaminationPlan(root=root), ShadowBuffer())
    assert "Too many open files" in verdict.refused
    assert not verdict.lasting


def test_a_requested_checkpoint_gets_no_lasting_verdict(tmp_path):
    run = candidate(tmp_path)
    cut(run)
    verdict = load_requested(run, None, None, "cpu")
    assert "checksum" in verdict.refused
    assert not verdict.lasting


def test_a_policy_with_images_runs_in_shadow(tmp_path):
    """Candidate and driving policy have the same weights: the difference is 0."""
    own = arrays.WITH_CAMERA
    policy = LoadedPolicy(own, "bc", *_fitting(own), "v2")
    checkpoint.save(tmp_path / "v2" / "checkpoint", policy)
    shadow, over = ShadowBuffer(), threading.Event()
    seen = arrays.observation(own)

    def tick():
        acting = LoadedPolicy(own, "bc", policy.settings, policy.network, policy.normaliser, "v1")
        while not over.wait(0.005):
            shadow.push(seen, acting.act(seen))

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        plan = ExaminationPlan(PromotionLimits(latency=1e6), shadow_ticks=4, shadow_s=60.0)
        verdict = examine(tmp_path / "v2", own, policy, plan, shadow)
    finally:
        over.set()
        ticking.join()
    assert verdict.refused == ""
    assert (verdict.checks["shadow_ticks"], verdict.checks["shadow_difference"]) == (4, pytest.approx(0.0))


def test_a_shadow_run_without_ticks_ends(tmp_path):
    run = candidate(tmp_path)
    driving = checkpoint.load(run)
    verdict = examine(run, None, driving, ExaminationPlan(shadow_ticks=4, shadow_s=0.05), ShadowBuffer())
    assert (verdict.refused, verdict.checks["shadow_ticks"]) == ("", 0)


def _fitting(own):
    """Return settings, network and normaliser for a contract."""
    from il_ros.policies.features import Inputs

    size = len(Inputs.of(own).groups)
    normaliser = Normaliser(
        Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(2), np.ones(2)), {"camera": PIXELS}
    )
    settings = family("bc").settings(hidden=(8,), channels=(4,))
    return settings, make_network("bc", settings, own, normaliser), normaliser


@pytest.mark.parametrize("compressed", [True, False])
def test_pictures_are_replayed_in_the_form_that_training_kept(tmp_path, compressed):
    entry = look(recordings.write(tmp_path, recordings.recorded(8)))
    folder = cache.cache_folder(tmp_path)
    kept = cache.Conversion(recordings.CONTRACT, folder, compressed=compressed).load(entry)
    replay, record = replays.frames([entry.name], recordings.CONTRACT, tmp_path)
    assert record == {"episodes": [entry.name], "frames": 8}
    seen = [observations["camera"] for (observations,), _ in replay]
    np.testing.assert_array_equal(seen, np.asarray(kept.observations["camera"]))
    assert len({file.parent for file in folder.rglob("observation.camera.*")}) == 1  # no second copy
