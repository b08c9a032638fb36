"""Camera encoders: the small network of convolutions, and the ResNet-18."""

import dataclasses

import made_arrays as made
import numpy as np
import pytest
import torch
from conformance import Prepared, Subject
from torch import nn

from il_ros.core import contract
from il_ros.core.settings import SettingsError, build
from il_ros.core.specs import ImageSpec
from il_ros.policies import checkpoint
from il_ros.policies.export.onnx_graph import export
from il_ros.policies.families.registry import family
from il_ros.policies.networks.encoders import CameraEncoder, SmallCnn
from il_ros.policies.networks.resnet import ResidualBlock, ResNet18
from il_ros.policies.protocol import Batch

TWO_CAMERAS = contract.parse(
    made.TEXT.replace(
        "actions:",
        """  above: {topic: above, type: sensor_msgs/msg/Image, image: {width: 48, height: 40}, max_age_s: 0.1}
  wrist: {topic: wrist, type: sensor_msgs/msg/Image, image: {width: 40, height: 48}, max_age_s: 0.1}
actions:""",
    ),
    "two_cameras.yaml",
)
SMALLEST = {"encoder": "resnet18", "resnet_width": 8}
SETTINGS = {
    "bc": {"hidden": (8,)},
    "film": {"hidden": (8,)},
    "ensemble": {"hidden": (8,), "members": 2},
    "transformer": {"width": 8, "heads": 2, "blocks": 1, "history": 2},
    "act": {"width": 8, "heads": 2, "blocks": 1, "latent": 2},
    "flow": {"hidden": (8,)},
    "diffusion": {"hidden": (8,)},
    "two_step": {"hidden": (8,)},
    "moe": {"hidden": (8,), "experts": 2},
    "inverse": {"hidden": (8,)},
}
"""A small size of each family that reads cameras."""


def small(size, *channels):
    return CameraEncoder(ImageSpec(*size), SmallCnn(3, channels), 0.0, 1.0)


def resnet(width=8, size=(96, 96)):
    torch.manual_seed(0)
    return CameraEncoder(ImageSpec(*size), ResNet18(3, width), 127.5, 63.75)


def pictures(count, width=96, height=96):
    drawn = np.random.default_rng(0).integers(0, 256, (count, height, width, 3))
    return torch.from_numpy(drawn.astype(np.uint8))


def with_two_cameras(frames=6):
    """A data set of two episodes with random pictures."""
    data = made.dataset(train=2, validation=0, frames=frames)
    seen = {"above": pictures(frames, 48, 40).numpy(), "wrist": pictures(frames, 40, 48).numpy()}
    train = [dataclasses.replace(each, observations={**each.observations, **seen}) for each in data.train]
    return dataclasses.replace(data, contract=TWO_CAMERAS, train=tuple(train))


def test_the_small_encoder_returns_filter_positions():
    """Filters that pass white on; a white spot right of and below the centre."""
    encoder = small((64, 64), 1, 1)
    with torch.no_grad():
        for layer in encoder.convolutions:
            if isinstance(layer, nn.Conv2d):
                layer.weight.fill_(1.0)
                layer.bias.zero_()
    frames = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    frames[0, 48:50, 32:34] = 255
    x, y = encoder(frames)[0].tolist()
    # cell j of the 14 sees pixels around 4 j + 4: the spot's middle, 32.5 and 48.5, is at cell 7.1 and 11.1
    assert abs(x - (2 * 7.125 / 13 - 1)) < 0.05
    assert abs(y - (2 * 11.125 / 13 - 1)) < 0.05


@pytest.mark.parametrize(
    ("made_encoder", "message"),
    [
        (
            lambda: small((8, 6), 4),
            "images of 8x6 are too small for this camera encoder; the minimum is 24x24",
        ),
        (lambda: resnet(size=(96, 32)), "images of 96x32 are too small .* the minimum is 40x40"),
    ],
)
def test_an_image_too_small_for_the_encoder_is_rejected(made_encoder, message):
    with pytest.raises(ValueError, match=message):
        made_encoder()


@pytest.mark.parametrize("convolutions", [lambda: SmallCnn(3, (16, 32, 32)), lambda: ResNet18(3, 8)])
def test_untrained_encoders_already_answer_differently_to_different_pictures(convolutions):
    """A red square at random places: by torch's own first weights the deviation was 0.002 of -1..1."""
    torch.manual_seed(0)
    encoder, rng = CameraEncoder(ImageSpec(64, 64), convolutions(), 127.5, 63.75), np.random.default_rng(0)
    frames = np.full((20, 64, 64, 3), 180, np.uint8)
    for frame, (x, y) in zip(frames, rng.integers(0, 56, (20, 2)), strict=True):
        frame[y : y + 8, x : x + 8] = 200, 30, 30
    with torch.no_grad():
        assert encoder(torch.from_numpy(frames)).std(dim=0).mean() > 0.05


def test_a_resnet_of_width_64_has_the_paper_s_layers_and_weights():
    network = ResNet18(3, 64)
    parts = list(network.modules())
    assert sum(isinstance(part, ResidualBlock) for part in parts) == 8
    # the stem, two in each block, a shortcut in the first block of the stages 2 to 4, and the points
    assert sum(isinstance(part, nn.Conv2d) for part in parts) == 1 + 16 + 3 + 1
    norms = [part for part in parts if isinstance(part, nn.GroupNorm)]
    assert len(norms) == 1 + 16 + 3
    assert {norm.num_channels // norm.num_groups for norm in norms} == {8}
    assert not any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in parts)
    # 11,689,512 is the published count, with a last layer of 512 to 1000; ours is of 512 to 32
    assert sum(each.numel() for each in network.parameters()) == 11_689_512 - 513_000 + 513 * 32


@pytest.mark.parametrize(("width", "height", "across", "down"), [(96, 96, 3, 3), (128, 40, 4, 2)])
def test_a_resnet_s_maps_are_a_32nd_of_the_picture(width, height, across, down):
    encoder = resnet(16, (width, height))
    maps = encoder.convolutions(torch.randn(2, 3, height, width))
    assert maps.shape == (2, 32, down, across)
    found = encoder(pictures(2, width, height))
    assert found.shape == (2, 64)
    assert found.abs().max() <= 1


def test_a_resnet_s_answer_does_not_depend_on_the_batch():
    encoder, frames = resnet(size=(48, 48)), pictures(4, 48, 48)
    with torch.no_grad():
        together, alone = encoder(frames), torch.cat([encoder(frames[[row]]) for row in range(4)])
    np.testing.assert_allclose(together.numpy(), alone.numpy(), rtol=1e-4, atol=1e-5)


def test_the_gradient_reaches_each_weight_of_a_resnet():
    encoder = resnet(size=(48, 48))
    encoder(pictures(4, 48, 48)).square().sum().backward()
    for name, weights in encoder.named_parameters():
        assert weights.grad is not None, name
        assert torch.isfinite(weights.grad).all(), name
        assert weights.grad.abs().max() > 0, name


@pytest.mark.parametrize("name", SETTINGS)
def test_each_family_that_reads_cameras_trains_and_keeps_resnets(name, tmp_path):
    subject = Subject(name, {**SETTINGS[name], **SMALLEST})
    ready = Prepared(subject, TWO_CAMERAS, with_two_cameras(), training={"epochs": 1, "still_every": 1})
    encoders = [part for part in ready.network.modules() if isinstance(part, CameraEncoder)]
    assert [type(each.convolutions) for each in encoders] == [ResNet18, ResNet18]
    before = {key: value.clone() for key, value in ready.network.state_dict().items()}
    ready.train()
    policy = ready.policy()
    trained = policy.network.state_dict()
    for key in before:
        if "convolutions" in key and key.endswith("weight"):
            assert not torch.equal(before[key], trained[key]), key
    checkpoint.save(tmp_path / "checkpoint", policy)
    again = checkpoint.load(tmp_path / "checkpoint")
    assert again.settings == policy.settings
    batch = ready.batch(3)
    batch = Batch(batch.observation, following=batch.following)
    answers = [
        each.network.eval().sample(batch, torch.Generator().manual_seed(0)).chunk.detach()
        for each in (policy, again)
    ]
    assert torch.equal(*answers)


def test_a_resnet_is_exported_to_onnx_with_several_cameras(tmp_path):
    pytest.importorskip("onnxruntime")
    ready = Prepared(Subject("bc", {"hidden": (8,), **SMALLEST}), TWO_CAMERAS, with_two_cameras())
    done = export(ready.policy(), tmp_path / "policy.onnx")  # compares the answers with torch's
    assert [(port.name, port.shape) for port in done.inputs[1:]] == [
        ("above", ("batch", 1, 40, 48, 3)),
        ("wrist", ("batch", 1, 48, 40, 3)),
    ]


def test_settings_without_an_encoder_are_those_of_a_small_network():
    """Checkpoints of before 2026-11-30 name only the channels; test/golden has one with a camera."""
    settings = build(family("bc").settings, {"channels": [4, 4], "hidden": [6]}, "settings")
    assert settings.encoder == "cnn"
    ready = Prepared(Subject("bc", {"channels": (4, 4), "hidden": (6,)}), made.WITH_CAMERA)
    names = [name for name in ready.network.state_dict() if name.startswith("cameras")]
    assert names == [
        "cameras.camera.log_sharpness",
        "cameras.camera.convolutions.0.weight",
        "cameras.camera.convolutions.0.bias",
        "cameras.camera.convolutions.2.weight",
        "cameras.camera.convolutions.2.bias",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder": "resnet"}, "encoder: 'resnet' is not known; did you mean 'resnet18'"),
        ({"resnet_width": 20}, "resnet_width is 20; it must be a multiple of 8 from 8 to 128"),
        ({"resnet_width": 0}, "resnet_width is 0"),
        ({"resnet_width": 256}, "resnet_width is 256"),
        ({"channels": []}, "channels must have at least one layer"),
    ],
)
def test_wrong_settings_say_what_would_be_right(values, message):
    with pytest.raises(SettingsError, match=message):
        build(family("bc").settings, values, "policy")
