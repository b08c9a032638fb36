"""Random changes of pictures: what each does to known pixels, and what it leaves as it was."""

import pytest
import torch

from il_ros.policies.protocol import Batch, Window
from il_ros.training.augmentation import pictures
from il_ros.training.augmentation.draws import augmented
from il_ros.training.recipe import Recipe, SettingsError, Training, changed


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def ramp(count=64, ticks=2, channels=3):
    """Pictures (B, T, 16, 32, C) whose value is 8 times the column."""
    row = 8 * torch.arange(32, dtype=torch.uint8)
    return row[None, None, None, :, None].expand(count, ticks, 16, 32, channels).contiguous()


def test_a_shifted_image_is_the_image_moved():
    picture = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4, 1).repeat(50, 1, 1, 1, 1)
    out = pictures.shifted(picture, 1, rng())
    rows = {tuple(one[0, 1:3, 1:3, 0].flatten().tolist()) for one in out}
    middles = {
        (5 + 4 * y + x, 6 + 4 * y + x, 9 + 4 * y + x, 10 + 4 * y + x) for y in (-1, 0, 1) for x in (-1, 0, 1)
    }
    assert rows == middles


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_crop_magnifies_by_at_most_the_share_and_stays_inside(share):
    out = pictures.cropped(ramp(), share, rng()).float()
    assert out.shape == (64, 2, 16, 32, 3)
    middle = out[:, 0, 8, 4:28, 0]
    slope = (middle[:, -1] - middle[:, 0]) / 23 / 8  # columns of the picture per column of the crop
    assert slope.max() <= 1.02
    assert slope.min() >= 1 - share - 0.02
    assert slope.max() - slope.min() > share / 2  # it is drawn for each sample
    assert torch.equal(out[:, 0], out[:, 1])  # the ticks of a window alike


def test_a_crop_keeps_depths_that_were_measured():
    depth = torch.zeros(32, 1, 16, 16, 1)
    depth[..., 8:, :] = 2.5
    out = pictures.cropped(depth, 0.4, rng())
    assert out.dtype == torch.float32
    assert set(out.unique().tolist()) == {0.0, 2.5}


def test_colours_change_in_brightness_contrast_and_saturation_by_at_most_the_strength():
    grey = torch.full((200, 1, 4, 4, 1), 100, dtype=torch.uint8)
    bright = pictures.recoloured(grey, 0.2, rng()).float().flatten(1)
    assert (bright == bright[:, :1]).all()  # contrast is about the mean: an even picture stays even
    assert bright.min() >= 80
    assert bright.max() <= 120
    assert bright.max() - bright.min() > 35
    red = torch.zeros(200, 1, 1, 1, 3)
    red[..., 0] = 100
    out = pictures.recoloured(red.to(torch.uint8), 0.2, rng(1)).float().reshape(200, 3)
    # The least red: brightness 0.8 gives (80, 0, 0) with grey 23.9, contrast 0.8 about it (68.8, 4.8, 4.8), and
    # saturation 0.8 about the same grey 59.8. The most of the others: 120, 35.9, (103.2, 7.2, 7.2), 12.9.
    assert out[:, 0].min() >= 59
    assert out[:, 1:].min() == 0
    assert 8 < out[:, 1:].max() <= 14


def test_a_blur_spreads_a_point_by_its_deviation_and_keeps_its_sum():
    points = torch.zeros(100, 1, 33, 33, 1, dtype=torch.uint8)
    points[:, 0, 16, 16, 0] = 255
    out = pictures.blurred(points, 1.0, rng()).double()[:, 0, ..., 0]
    sharp = out[:, 16, 16]
    assert sharp.max() > 250  # deviations near 0
    assert sharp.min() < 50  # 255 / (2 pi) = 41 at deviation 1
    assert sharp.min() >= 40
    edges = torch.full((4, 1, 8, 8, 3), 200, dtype=torch.uint8)
    assert torch.equal(pictures.blurred(edges, 3.0, rng()), edges)  # borders are repeated, not black


def test_colour_and_blur_leave_depths_as_they_are_and_each_change_is_repeatable():
    depth, camera = torch.rand(8, 1, 16, 16, 1), ramp(8, 1)
    tokens = torch.ones(8, 1, 4, dtype=torch.int64)
    window = Window(torch.zeros(8, 1, 2), {}, {"depth": depth, "camera": camera, "words": tokens})
    batch = Batch(window, torch.zeros(8, 1, 1))
    training = Training(colour=0.3, blur_px=1.0)
    one, two = (augmented(batch, training, rng(3)).observation for _ in range(2))
    assert torch.equal(one["depth"], depth)
    assert torch.equal(one["words"], tokens)
    assert not torch.equal(one["camera"], camera)
    assert torch.equal(one["camera"], two["camera"])
    assert one["camera"].dtype == torch.uint8


def test_settings_out_of_range_are_refused():
    for change, wrong in (
        ("crop=1.0", "crop is 1.0"),
        ("colour=-0.1", "colour is -0.1"),
        ("blur_px=-1", "blur_px is -1"),
    ):
        with pytest.raises(SettingsError, match=wrong):
            changed(Recipe(), [change])


def test_without_changes_nothing_is_drawn():
    window = Window(torch.zeros(8, 1, 2), {}, {"camera": ramp(8, 1)})
    batch, generator = Batch(window, torch.zeros(8, 1, 1)), rng()
    before = generator.get_state()
    assert augmented(batch, Training(input_dropout=0.1), generator) is batch
    assert torch.equal(generator.get_state(), before)
    assert augmented(batch, Training(input_dropout=0.1), generator, ("camera",)) is not batch
    assert Training().crop == 0
