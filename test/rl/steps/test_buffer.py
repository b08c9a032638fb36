"""Steps in memory: absorbing states, capacity, draws, and what a saved state holds."""

import numpy as np
import pytest
import torch

from il_ros.rl.steps.buffer import EnvironmentStep, StepBuffer, joined


def rng():
    return torch.Generator().manual_seed(0)


def step(place, terminated=False, earned=0.0):
    at, after = np.array([place], np.float32), np.array([place + 1], np.float32)
    return EnvironmentStep(at, np.array([place / 10], np.float32), after, earned, terminated)


def test_a_terminated_episode_goes_on_in_the_absorbing_state_and_a_truncated_one_does_not():
    buffer = StepBuffer(2, 8, 1, 1)
    for terminated, seed in ((True, 0), (False, 1)):
        buffer.add(seed, step(1))
        buffer.add(seed, step(2, terminated))
    assert buffer.counts == [3, 2]
    drawn = buffer.draw(400, rng())
    first, second = slice(0, 400), slice(400, 800)
    assert drawn.absorbing[first].any()
    assert not drawn.absorbing[second].any()
    assert not drawn.terminated[second].any()
    last = drawn.observation.state[:, 0, 0] == 2
    assert drawn.terminated[first][last[first]].all()
    assert torch.equal(drawn.ends, drawn.terminated | drawn.absorbing)
    absorbing = drawn.absorbing.nonzero()[:, 0]
    assert drawn.action[absorbing].abs().max() == 0
    assert drawn.earned[absorbing].max() == 0


def test_places_that_hold_nothing_are_never_drawn():
    buffer = StepBuffer(1, 100, 1, 1)
    buffer.add(0, step(3))
    assert buffer.draw(50, rng()).observation.state.unique().tolist() == [3.0]
    with pytest.raises(ValueError, match="seed 0 has no steps to draw from"):
        StepBuffer(1, 4, 1, 1).draw(1, rng())


def test_the_oldest_steps_are_replaced():
    buffer = StepBuffer(2, 3, 1, 1)
    for place in range(5):
        buffer.add(0, step(place, earned=float(place)))
    buffer.add(1, step(9))
    drawn = buffer.draw(300, rng())
    assert drawn.observation.state[:300].unique().tolist() == [2, 3, 4]
    assert drawn.observation.state[300:].unique().tolist() == [9]
    assert torch.equal(drawn.following.state, drawn.observation.state + 1)
    assert torch.equal(drawn.earned[:300], drawn.observation.state[:300, 0, 0])


def test_a_place_that_held_the_absorbing_state_holds_an_ordinary_step_later():
    buffer = StepBuffer(1, 2, 1, 1)
    buffer.add(0, step(1, terminated=True))
    buffer.add(0, step(5))
    buffer.add(0, step(6))
    drawn = buffer.draw(100, rng())
    assert not drawn.absorbing.any()
    assert not drawn.terminated.any()


def test_a_restored_buffer_draws_and_overwrites_as_the_saved_one():
    whole, other = StepBuffer(1, 3, 1, 1), StepBuffer(1, 3, 1, 1)
    for place in range(4):
        whole.add(0, step(place))
    other.restore({name: tensor.clone() for name, tensor in whole.tensors().items()})
    for buffer in (whole, other):
        buffer.add(0, step(7))
    assert torch.equal(whole.draw(50, rng()).observation.state, other.draw(50, rng()).observation.state)


def test_joined_batches_keep_the_rows_of_each_seed_together():
    buffers = [StepBuffer(2, 2, 1, 1) for _ in range(2)]
    for number, buffer in enumerate(buffers):
        for seed in range(2):
            buffer.add(seed, step(10 * number + seed))
    both = joined(buffers[0].draw(2, rng()), buffers[1].draw(2, rng()), 2)
    assert both.observation.state[:, 0, 0].tolist() == [0, 0, 10, 10, 1, 1, 11, 11]


def ahead_of(steps, ahead, discount=0.5, draws=200, capacity=8):
    """Return what steps of one seed lead to, by the observation: (following, earned, number of steps, end)."""
    buffer = StepBuffer(1, capacity, 1, 1)
    for step in steps:
        buffer.add(0, step)
    drawn = buffer.draw(draws, torch.Generator().manual_seed(0), ahead, discount)
    rows = zip(
        drawn.observation.state[:, 0, 0].tolist(),
        drawn.following.state[:, 0, 0].tolist(),
        drawn.earned.tolist(),
        drawn.ahead.tolist(),
        drawn.terminated.tolist(),
        drawn.absorbing.tolist(),
        strict=True,
    )
    return {first: tuple(rest) for first, *rest, absorbing in rows if not absorbing}


def led(before, after, earned=0.0, terminated=False):
    return EnvironmentStep(
        np.array([before], np.float32),
        np.zeros(1, np.float32),
        np.array([after], np.float32),
        earned,
        terminated,
    )


def test_steps_lead_ahead_to_the_end_of_their_episode_and_earn_the_discounted_sum():
    found = ahead_of([led(1, 2, 1.0), led(2, 3, 2.0), led(3, 4, 4.0, True), led(7, 8), led(8, 9)], 3)
    assert found == {
        1.0: (0.0 + 4.0, 1.0 + 0.5 * 2.0 + 0.25 * 4.0, 3, True),
        2.0: (4.0, 2.0 + 0.5 * 4.0, 2, True),
        3.0: (4.0, 4.0, 1, True),
        7.0: (9.0, 0.0, 2, False),  # cut off: nothing follows
        8.0: (9.0, 0.0, 1, False),
    }


def test_the_newest_step_does_not_lead_to_the_oldest_one():
    steps = [led(place, place + 1, 1.0) for place in range(10)]
    steps += [
        led(10, 2)
    ]  # what it led to is what the oldest of the 8 kept, 3, does not begin with; then it does:
    assert ahead_of(steps, 2)[10.0] == (2.0, 0.0, 1, False)
    around = [
        led(place % 9, (place + 1) % 9, 1.0) for place in range(9)
    ]  # 8 leads to 0, but the oldest kept is 1
    around[-1] = led(8, 1, 1.0)
    assert ahead_of(around, 2)[8.0] == (1.0, 1.0, 1, False)
