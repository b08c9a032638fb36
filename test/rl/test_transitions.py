"""Transitions: absorbing states, scales, draws from demonstrations and from own steps."""

import math

import numpy as np
import pytest
import torch

from il_ros.rl.transitions import ReplayBuffer, Scale, Shown, ShownEpisode


def rng():
    return torch.Generator().manual_seed(0)


def episode(*observations, terminated=False):
    values = np.array(observations, float)[:, None]
    return ShownEpisode(values, np.arange(len(values) - 1), terminated)


def test_a_scale_by_hand():
    # observations 0, 2, 4: mean 2, deviation sqrt(8 / 3)
    scale = Scale([episode(0, 2, 4)])
    deviation = math.sqrt(8 / 3)
    np.testing.assert_allclose(
        scale(np.array([[2.0], [4.0]])), [[0, 0], [math.asinh(2 / deviation), 0]], rtol=1e-6
    )
    assert scale.absorbing.tolist() == [0, 1]
    still = Scale([episode(5, 5, 5)])
    assert still(np.array([[5.0], [6.0]]))[1, 0] == pytest.approx(math.asinh(1 / 0.051), rel=1e-6)


def test_a_terminated_episode_goes_on_in_the_absorbing_state_and_a_truncated_one_does_not():
    ends, cut = episode(0, 1, 2, terminated=True), episode(0, 1, 2)
    scale = Scale([ends])
    shown = Shown([[ends], [cut]], [scale, scale])
    assert shown.counts == [3, 2]
    absorbing = torch.tensor([0.0, 1.0])
    assert torch.equal(shown.following[0, 1], absorbing)
    assert torch.equal(shown.observation[0, 2], absorbing)
    assert torch.equal(shown.following[0, 2], absorbing)
    assert shown.action[0].tolist() == [0, 1, 0]
    assert torch.equal(shown.following[1, 1], torch.from_numpy(scale(np.array([2.0]))))


def test_fillers_of_a_shorter_set_are_never_drawn():
    first, second = [episode(1, 1, 1, 1, 1, 1)], [episode(3, 3)]
    shown = Shown([first, second], [Scale(second)] * 2)
    drawn = shown.draw(500, rng())
    assert drawn.observation[1, :, 0].unique().tolist() == [
        0.0
    ]  # scaled 3; a filler's observation has action 0 too
    assert drawn.action[0].unique().tolist() == [0, 1, 2, 3, 4]
    assert drawn.shown.min() == 1


def test_the_oldest_own_steps_are_replaced():
    replay = ReplayBuffer(2, 3, 2, torch.zeros((), dtype=torch.int64))
    for number in range(5):
        replay.add(0, [number, 0], number, [number + 1, 0], float(number))
    replay.add(1, [9, 0], 9, [9, 0], 9.0)
    drawn = replay.draw(300, rng())
    assert drawn.action[0].unique().tolist() == [2, 3, 4]
    assert drawn.action[1].unique().tolist() == [9]
    assert torch.equal(drawn.following[0, :, 0], drawn.observation[0, :, 0] + 1)
    assert drawn.shown.max() == 0


@pytest.mark.parametrize(
    ("observations", "actions", "says"),
    [
        (
            np.zeros((3, 1)),
            np.zeros(3),
            r"observations \(3, 1\) and actions \(3,\); it needs one step or more",
        ),
        (np.zeros((1, 1)), np.zeros(0), "it needs one step or more"),
        (
            np.array([[0.0], [np.nan], [0.0]]),
            np.zeros(2),
            "observations of a demonstration are not finite in step 1",
        ),
    ],
)
def test_a_demonstration_that_does_not_fit_is_refused(observations, actions, says):
    with pytest.raises(ValueError, match=says):
        ShownEpisode(observations, actions)


def test_sets_that_cannot_be_used_are_refused():
    with pytest.raises(ValueError, match="there are no demonstrations; at least one is needed"):
        Shown([[]], [Scale([episode(0, 1)])])
    other = ShownEpisode(np.zeros((2, 3)), np.zeros(1, np.int64))
    with pytest.raises(
        ValueError, match="the demonstrations differ in their numbers of observations or actions"
    ):
        Shown([[episode(0, 1), other]], [Scale([episode(0, 1)])])
