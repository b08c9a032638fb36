"""Ensembles: agreement near the data, disagreement away from it."""

import math

import numpy as np
import pytest
import torch

from il_ros.core import contract
from il_ros.policies import checkpoint
from il_ros.policies.families.ensemble import Ensemble, EnsembleHead, bootstrap_counts
from il_ros.policies.families.registry import make_network
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.protocol import Batch, Window
from il_ros.policies.runner import LoadedPolicy, sample

CONTRACT = contract.parse(
    """
name: one_joint
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a], unit: rad,
        reference: joints, safe: hold, limits: {speed: 1.0}}
""",
    "test",
)
IDENTITY = Affine(np.zeros(1), np.ones(1))
NORMALISER = Normaliser(IDENTITY, IDENTITY)
SETTINGS = Ensemble(hidden=(32, 32), members=4)


def policy(network, settings=SETTINGS):
    return LoadedPolicy(CONTRACT, "ensemble", settings, network, NORMALISER, "v1")


def by_torch(own, x):
    """The chunk (H, A) and the uncertainty of torch's forward pass, of a policy whose normaliser is the identity."""
    answer = sample(own.network, Batch(own.window({"joints": np.array([x])})))
    return answer.chunk[0].numpy(), float(answer.uncertainty[0])


@pytest.fixture(scope="module")
def trained():
    """An ensemble trained on sin(3x) between -1 and 1."""
    torch.set_num_threads(1)  # a second thread slows down so small a network
    torch.manual_seed(0)
    network = make_network("ensemble", SETTINGS, CONTRACT, NORMALISER)
    state = torch.linspace(-1, 1, 100)[:, None, None]
    batch = Batch(Window(state), torch.sin(3 * state))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(200):
        optimiser.zero_grad()
        network.loss(batch, torch.Generator()).total.backward()
        optimiser.step()
    return policy(network)


def test_it_learns_and_is_uncertain_away_from_the_data(trained):
    near = [trained.act_with_uncertainty({"joints": np.array([x])}) for x in (-0.8, 0.0, 0.5)]
    far = [trained.act_with_uncertainty({"joints": np.array([x])}) for x in (-4.0, 4.0)]
    np.testing.assert_allclose([chunk[0, 0] for chunk, _ in near], np.sin([-2.4, 0.0, 1.5]), atol=0.1)
    assert min(uncertainty for _, uncertainty in far) > 5 * max(uncertainty for _, uncertainty in near)


def test_numpy_forward_equals_torch(trained):
    for x in (-2.0, 0.3, 1.0):
        chunk, uncertainty = trained.act_with_uncertainty({"joints": np.array([x])})
        other_chunk, other_doubt = by_torch(trained, x)
        np.testing.assert_allclose(chunk, other_chunk, rtol=1e-4, atol=1e-6)
        assert uncertainty == pytest.approx(other_doubt, rel=1e-3)


def test_a_checkpoint_restores_it(trained, tmp_path):
    checkpoint.save(tmp_path / "saved", trained)
    loaded = checkpoint.load(tmp_path / "saved", CONTRACT)
    assert loaded.settings == SETTINGS
    seen = {"joints": np.array([0.7])}
    chunk, uncertainty = loaded.act_with_uncertainty(seen)
    np.testing.assert_array_equal(chunk, trained.act(seen))
    assert uncertainty == trained.act_with_uncertainty(seen)[1]


def test_a_loaded_gaussian_has_the_uncertainty_of_torch(tmp_path):
    from il_ros.policies.families.behaviour_cloning import BehaviourCloning

    settings = BehaviourCloning(hidden=(8,), horizon=3, loss="gaussian")
    network = make_network("bc", settings, CONTRACT, NORMALISER)
    checkpoint.save(tmp_path / "g", LoadedPolicy(CONTRACT, "bc", settings, network, NORMALISER, "v1"))
    loaded = checkpoint.load(tmp_path / "g")
    chunk, uncertainty = loaded.act_with_uncertainty({"joints": np.array([0.4])})
    other_chunk, other_doubt = by_torch(loaded, 0.4)
    assert chunk.shape == (3, 1)
    np.testing.assert_allclose(chunk, other_chunk, rtol=1e-5)
    assert uncertainty == pytest.approx(other_doubt, rel=1e-5)


def test_mode_is_the_mean_and_uncertainty_the_members_deviation():
    # two members: chunks (1, 2) and (3, 2): mean (2, 2); variances (1, 0): root of their mean 0.7071
    head = EnsembleHead(4, (2, 1), Ensemble(members=2))
    values = torch.tensor([[[[1.0], [2.0]], [[3.0], [2.0]]]])
    np.testing.assert_array_equal(head.mode(values), [[[2.0], [2.0]]])
    assert head.uncertainty(values).item() == pytest.approx(0.707107, abs=1e-6)
    chunk, uncertainty, _ = head.decode(values.numpy().reshape(-1))
    np.testing.assert_array_equal(chunk, [[2.0], [2.0]])
    assert uncertainty == pytest.approx(0.707107, abs=1e-6)


def test_the_spread_of_each_number_is_its_members_deviation_over_the_chunk():
    # one number: variances 1 and 0 along the chunk, root of their mean 0.7071; the other: 0 and 9, root of 4.5
    head = EnsembleHead(4, (2, 2), Ensemble(members=2))
    values = torch.tensor([[[[1.0, 5.0], [2.0, 0.0]], [[3.0, 5.0], [2.0, 6.0]]]])
    np.testing.assert_allclose(head.spread(values), [[math.sqrt(0.5), math.sqrt(4.5)]], rtol=1e-6)
    np.testing.assert_allclose(head.decode(values.numpy().reshape(-1))[2], head.spread(values)[0], rtol=1e-6)
    assert head.uncertainty(values).item() == pytest.approx(math.sqrt((0.5 + 4.5) / 2))


def test_each_member_weights_a_sample_by_its_bootstrap_count():
    # errors 1 and 4; member 0 drew the first twice, member 1 the second once: (2 * 1 + 4) / 3
    head = EnsembleHead(4, (1, 1), Ensemble(members=2))
    values, target = torch.tensor([[[[1.0]], [[9.0]]], [[[9.0]], [[2.0]]]]), torch.zeros(2, 1, 1)
    weight = torch.tensor([[[2.0], [0.0]], [[0.0], [1.0]]])[..., None]
    assert head.loss(values, target, weight).item() == 2.0


def test_bootstrap_counts_are_deterministic_and_poisson():
    target = torch.randn(4000, 1, 7, generator=torch.Generator().manual_seed(0))
    counts = bootstrap_counts(target, 5)
    order = torch.randperm(4000)
    np.testing.assert_array_equal(bootstrap_counts(target[order], 5), counts[order])
    # Poisson of mean 1: e^-1 = 0.368 never, as often once; 4 standard errors are 0.03
    np.testing.assert_allclose((counts == 0).float().mean(dim=0), 0.368, atol=0.03)
    np.testing.assert_allclose((counts == 1).float().mean(dim=0), 0.368, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(counts.T.numpy()), np.eye(5), atol=0.07)


def test_invalid_ensemble_settings_are_rejected():
    with pytest.raises(ValueError, match="members is 1; at least 2"):
        Ensemble(members=1)
    with pytest.raises(ValueError, match="gaussian"):
        Ensemble(loss="gaussian")
