"""The activations: their values, the same by torch and NumPy, in networks, and in checkpoints of before them."""

import json
import warnings

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.core.settings import SettingsError, build
from il_ros.policies import checkpoint
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.networks import activations
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser
from il_ros.policies.protocol import Batch
from il_ros.policies.runner import LoadedPolicy, sample

AT = [-2.0, -1.0, 0.0, 1.0, 2.0]
VALUES = {
    "relu": [0, 0, 0, 1, 2],
    "tanh": [-0.964028, -0.761594, 0, 0.761594, 0.964028],
    "gelu": [-0.045402, -0.158808, 0, 0.841192, 1.954598],
    "silu": [-0.238406, -0.268941, 0, 0.731059, 1.761594],
}
"""To six digits, from the definitions, with a table of tanh and exp."""


def by_numpy(name, values):
    found = np.array(values, np.float32)
    activations.in_place(name, found.shape)(found)
    return found


def policy(name, **settings):
    size = len(Inputs.of(made.CONTRACT).groups)
    normaliser = Normaliser(
        Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(2), np.ones(2)), {"camera": PIXELS}
    )
    torch.manual_seed(0)
    own = family(name).settings(hidden=(16, 8), **settings)
    return LoadedPolicy(
        made.CONTRACT, name, own, make_network(name, own, made.CONTRACT, normaliser), normaliser, "v1"
    )


def test_every_activation_has_values_here():
    assert tuple(VALUES) == activations.ACTIVATIONS


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    assert by_numpy(name, AT) == pytest.approx(VALUES[name], abs=1e-6)
    assert activations.module(name)(torch.tensor(AT)).tolist() == pytest.approx(VALUES[name], abs=1e-6)


@pytest.mark.parametrize("name", VALUES)
def test_large_numbers_neither_warn_nor_become_nan(name):
    with warnings.catch_warnings(action="error"):
        found = by_numpy(name, [-1e9, 1e9])
    assert found.tolist() == {"tanh": [-1.0, 1.0]}.get(name, [0.0, float(np.float32(1e9))])


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("of", [("bc", {}), ("ensemble", {"members": 3})], ids=lambda of: of[0])
def test_the_policy_server_s_pass_is_torch_s(of, name):
    own = policy(of[0], activation=name, **of[1])
    assert own._numpy_forward is not None  # proven against torch, and used
    rng = np.random.default_rng(0)
    for _ in range(3):
        seen = {
            spec.key: rng.normal(size=spec.size) for spec in made.CONTRACT.observations if spec.image is None
        }
        wanted = sample(own.network, Batch(own.window(seen))).chunk[0].numpy()
        np.testing.assert_allclose(own.act([seen])[0], wanted[0], rtol=1e-4, atol=1e-6)


def test_activations_differ():
    # otherwise a setting that no network reads would pass
    seen = {spec.key: np.ones(spec.size) for spec in made.CONTRACT.observations if spec.image is None}
    answers = {
        tuple(policy(kind, activation=name).act([seen])[0]) for name in VALUES for kind in ("bc", "ensemble")
    }
    assert len(answers) == 2 * len(VALUES)


@pytest.mark.parametrize("name", ["bc", "ensemble", "moe", "inverse", "film"])
def test_a_wrong_activation_is_named(name):
    with pytest.raises(SettingsError, match=r"activation.*'swish'.*relu.*tanh.*gelu.*silu"):
        build(family(name).settings, {"activation": "swish"}, "recipe.yaml")


def test_a_checkpoint_of_before_the_setting_has_relu(tmp_path):
    own = policy("bc", activation="relu")
    checkpoint.save(tmp_path / "checkpoint", own)
    path = tmp_path / "checkpoint" / checkpoint.CONFIG
    config = json.loads(path.read_text())
    del config["settings"]["activation"]
    path.write_text(json.dumps(config))
    assert checkpoint.load(tmp_path / "checkpoint").settings.activation == "relu"
