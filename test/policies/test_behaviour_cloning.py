"""The behaviour-cloning network and its inference."""

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.core.settings import SettingsError, build
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser
from il_ros.policies.protocol import Batch, PolicyError
from il_ros.policies.runner import LoadedPolicy, sample


def policy(own=made.CONTRACT, **settings):
    rng = np.random.default_rng(1)
    size = len(Inputs.of(own).groups)
    normaliser = Normaliser(
        Affine(rng.normal(size=size), rng.uniform(0.5, 2, size)),
        Affine(rng.normal(size=2), rng.uniform(0.5, 2, 2)),
        {"camera": PIXELS},
    )
    chosen = family("bc").settings(**settings)
    torch.manual_seed(0)
    return LoadedPolicy(own, "bc", chosen, make_network("bc", chosen, own, normaliser), normaliser, "v7")


@pytest.mark.parametrize("own", [made.CONTRACT, made.WITH_CAMERA], ids=["state", "camera"])
def test_a_chunk_has_horizon_steps_of_every_action(own):
    chunk = policy(own, horizon=5).act(made.observation(own))
    assert chunk.shape == (5, 2)
    assert chunk.dtype == np.float64


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (
            (2**16, 2**16),
            r"a network of family 'bc' with these settings has 16\.0 GiB of weights; at most 1 GiB",
        ),
        ((10**12, 10**12), "hidden is 1000000000000; at most 65536 is possible"),
    ],
)
def test_a_network_too_large_for_a_checkpoint_is_refused_before_memory_is_taken(hidden, message):
    with pytest.raises(ValueError, match=message):
        policy(hidden=hidden)


def test_numpy_forward_equals_torch():
    acting = policy(horizon=3)
    for seed in range(20):
        observation = made.observation(seed=seed)
        chunk = sample(acting.network, Batch(acting.window(observation))).chunk[0].numpy()
        wanted = acting.normaliser.actions.restore(chunk.astype(float))
        np.testing.assert_allclose(acting.act(observation), wanted, rtol=1e-5, atol=1e-6)


def test_a_delta_policy_returns_absolute_commands():
    acting = policy(made.DELTA)
    with torch.no_grad():
        for parameter in acting.network.parameters():
            parameter.zero_()
    acting = LoadedPolicy(made.DELTA, "bc", acting.settings, acting.network, acting.normaliser)
    observation = made.observation()
    expected = observation["joints"] + acting.normaliser.actions.centre  # the network says 0: the centre
    np.testing.assert_allclose(acting.act(observation)[0], expected)


def test_successive_chunks_do_not_share_memory():
    acting = policy()
    first = acting.act(made.observation(seed=1))
    kept = first.copy()
    acting.act(made.observation(seed=2))
    np.testing.assert_array_equal(first, kept)


def test_a_non_finite_output_is_rejected():
    acting = policy()
    with torch.no_grad():
        acting.network.head.linear.bias[1] = float("nan")
    broken = LoadedPolicy(made.CONTRACT, "bc", acting.settings, acting.network, acting.normaliser, "v7")
    with pytest.raises(PolicyError, match="policy v7: arm/b is nan at step 0"):
        broken.act(made.observation())


def test_nan_in_an_observation_names_the_key():
    with pytest.raises(ValueError, match="'joints': position/a is nan"):
        policy().act({**made.observation(), "joints": np.array([np.nan, 0.0])})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"horizon": 0}, "horizon is 0; at least 1"),
        ({"hidden": []}, "at least one layer"),
        ({"hidden": [64, 0]}, "hidden is 0"),
        ({"loss": "msee"}, "did you mean 'mse'"),
        ({"hiden": [64]}, "unknown key 'hiden'; did you mean 'hidden'"),
    ],
)
def test_invalid_settings_are_rejected(values, message):
    with pytest.raises(SettingsError, match=message):
        build(family("bc").settings, values, "recipe.yaml: policy")
