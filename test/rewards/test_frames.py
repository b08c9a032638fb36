"""Models that judge by what is seen: patterns wherever they are, rest and motion, members, files of before."""

import json
from dataclasses import replace

import hand_rewards
import numpy as np
import pytest
import torch
from hand_rewards import CONTRACT, PERIOD_NS

from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.protocol import Window
from il_ros.rewards import checkpoint
from il_ros.rewards.patterns import PatternEncoder
from il_ros.rewards.settings import FrameSettings, SuccessSettings
from il_ros.rewards.watch import SuccessWatch
from il_ros.training.rewards.calibration import clearest, platt
from il_ros.training.rewards.rating import shares
from il_ros.training.rewards.verdicts import folds


class Picture:
    height, width, shape = 64, 64, (64, 64, 3)


def picture(row, column, bright=200):
    """Return a grey picture with a block of 6 pixels."""
    frame = np.full((64, 64, 3), 90, np.uint8)
    frame[row : row + 6, column : column + 6] = (bright, 30, 30)
    return frame


def encoded(encoder, *frames):
    with torch.no_grad():
        return encoder(torch.from_numpy(np.stack(frames))[None])[0]


def test_a_pattern_is_the_same_wherever_it_is():
    torch.manual_seed(3)
    encoder = PatternEncoder(Picture, (4, 8, 8), 127.5, 127.5, ticks=1)
    there = encoded(encoder, picture(20, 20))
    # two strides of 2: the answers move with the block by whole cells
    torch.testing.assert_close(encoded(encoder, picture(32, 24)), there)
    assert (encoded(encoder, picture(32, 24, bright=90)) - there).abs().max() > 1e-3


def test_what_moved_is_told_from_what_rests():
    torch.manual_seed(3)
    encoder = PatternEncoder(Picture, (4, 8, 8), 127.5, 127.5, ticks=2)
    rests, moved = (encoded(encoder, picture(20, column), picture(20, 20)) for column in (20, 17))
    assert (rests - moved).abs().max() > 1e-3
    with pytest.raises(ValueError, match="64x30 are too small for encoder: pattern; the minimum is 40x40"):
        PatternEncoder(type("P", (), {"height": 30, "width": 64, "shape": (30, 64, 3)}), (4,), 0.0, 1.0, 1)


def test_members_judge_together_by_their_mean_logit():
    ones = [hand_rewards.success(CONTRACT, at=at) for at in (0.0, 3.0)]
    both = hand_rewards.success(CONTRACT, members=2)
    both.network.put([one.network for one in ones])
    seen = Window(torch.tensor([[[1.0]], [[4.0]]]))
    assert both.network(seen).tolist() == pytest.approx([-0.5, 2.5])  # (1 - 0, 1 - 3), (4 - 0, 4 - 3)


def test_a_file_from_before_there_were_members_judges_as_before(tmp_path):
    settings = {"encoder": "position", "before_s": 0.0, "members": 1}
    checkpoint.save(tmp_path / "reward", hand_rewards.success(CONTRACT, at=0.5, **settings))
    config = tmp_path / "reward" / "config.json"
    values = json.loads(config.read_text())
    for name in (*settings, "scale", "offset"):
        del values["settings"][name]
    config.write_text(json.dumps(values))
    loaded = checkpoint.load(tmp_path / "reward")
    assert (loaded.settings.encoder, loaded.settings.before_s, loaded.settings.members) == (
        "position",
        0.0,
        1,
    )
    assert loaded.network.share(Window(torch.tensor([[[0.5]]]))).tolist() == [0.5]


def episode(places, ticks, outcome="unmarked"):
    arrays = {"joints": np.array(places, float)[:, None]}
    zeros = np.zeros((len(ticks), 1))
    return EpisodeArrays("one", arrays, zeros, zeros, np.array(ticks) * PERIOD_NS, PERIOD_NS, outcome)


def test_a_running_window_is_the_recorded_one_also_after_a_gap():
    """The change within 0.1 s (two ticks) is seen; after the gap the window begins anew."""
    model = hand_rewards.success(CONTRACT, before_s=0.1, at=0.0)
    with torch.no_grad():
        model.network.layers[0].weight[0] = torch.tensor([1.0, 10.0])  # the place, and ten times its change
    recorded = episode([0.0, 0.1, 0.3, 0.7, 0.8, 1.0], [1, 2, 3, 7, 8, 9])
    found = shares(model, recorded)
    changes = np.array([0.0, 0.1, 0.3, 0.0, 0.1, 0.3])
    expected = 1 / (1 + np.exp(-(recorded.observations["joints"][:, 0] + 10 * changes)))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    watch = SuccessWatch(model, 0.05)
    for row, tick_ns in enumerate(recorded.ticks_ns.tolist()):
        watch.see(recorded.observation(row), tick_ns)
        assert watch.probability == pytest.approx(found[row], abs=1e-6)


def test_every_marked_episode_is_left_out_of_one_members_training():
    kinds = ["success"] * 4 + ["failure"] * 5 + ["unmarked"] * 2
    some = [episode([0.0], [1], kind) for kind in kinds]
    left = folds(some, SuccessSettings(members=3), seed=1)
    assert sorted(place for places in left for place in places) == list(range(9))
    for places in left:  # 4 and 5 episodes over three members
        assert {kinds[place] for place in places} == {"success", "failure"}
    assert folds(some, SuccessSettings(members=1), seed=1) == [()]


def test_what_is_seen_becomes_the_probability_of_the_verdict():
    """Two verdicts: the smoothed targets are 1/3 and 2/3 (Platt 1999), so the logits are -ln 2 and ln 2."""
    scale, offset = platt(np.array([-1.0, 1.0]), np.array([False, True]))
    assert (scale, offset) == pytest.approx((np.log(2), 0.0), abs=1e-4)
    scale, offset = platt(np.array([3.0, 5.0]), np.array([False, True]))
    assert -offset / scale == pytest.approx(4.0, abs=1e-3)
    # the best two ticks in a row have 0.9 and 0.8: ln(0.8 / 0.2)
    assert clearest(np.array([0.5, 0.9, 0.8, 0.3, 0.95]), 2) == pytest.approx(np.log(4.0))


def test_wrong_settings_are_refused_by_name():
    for values, message in (
        ({"encoder": "where"}, "encoder"),
        ({"members": 0}, "members"),
        ({"members": 99}, "members is 99; at most 16"),
        ({"before_s": 11.0}, "before_s is 11; it must be from 0 to 10 seconds"),
    ):
        with pytest.raises(ValueError, match=message):
            FrameSettings(**values)
    with pytest.raises(ValueError, match="scale is 0 and offset 0"):
        SuccessSettings(scale=0.0)
    fast = replace(CONTRACT, rate_hz=500.0)
    with pytest.raises(ValueError, match=r"before_s is 2: \d+ ticks at 500 Hz"):
        SuccessSettings(before_s=2.0).history(fast)
