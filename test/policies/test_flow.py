"""Flow matching: the path, and that several ways stay apart."""

import dataclasses

import made_arrays as made
import numpy as np
import pytest
import torch
from conformance import Prepared, Subject

from il_ros.policies.families.flow import Flow
from il_ros.policies.protocol import Batch, noise
from il_ros.policies.runner import sample

SMALL = Subject("flow", {"hidden": (64, 64), "channels": (4,)}, 0.005)


def with_field(velocity, **changes):
    """A network whose velocity field is this function of chunk and time."""
    network = Prepared(SMALL, **changes).network
    network.velocity = lambda _features, chunk, time, _given: velocity(chunk, time)
    return network


def test_a_constant_field_moves_the_noise_along_it():
    network, batch = with_field(lambda chunk, _time: torch.full_like(chunk, 2.0)), Prepared(SMALL).batch(3)
    start = noise((3, 3, 2), torch.Generator().manual_seed(5), "cpu")
    answer = network.sample(Batch(batch.observation), torch.Generator().manual_seed(5))
    torch.testing.assert_close(answer.chunk, start + 2.0)


def test_the_exact_field_of_one_point_leads_to_it_in_any_number_of_passes():
    # straight paths to one chunk a: the velocity at x and t is (a - x) / (1 - t), and Euler's last step is exact
    for passes in (1, 2, 7):
        network = with_field(lambda chunk, time: (0.3 - chunk) / (1 - time[..., None]), passes=passes)
        answer = sample(network, Batch(Prepared(SMALL).batch(4).observation))
        torch.testing.assert_close(answer.chunk, torch.full((4, 3, 2), 0.3))


def test_committed_steps_follow_their_path_while_the_others_are_drawn():
    seen = []

    def velocity(chunk, time):
        seen.append((chunk[:, 0].clone(), time[0, 0].item()))
        return torch.zeros_like(chunk)

    network = with_field(velocity, passes=4)
    batch, committed = Prepared(SMALL).batch(2), torch.full((2, 1, 2), 0.8)
    rng = torch.Generator().manual_seed(1)
    answer = network.sample(Batch(batch.observation), rng, committed)
    start = noise((2, 3, 2), torch.Generator().manual_seed(1), "cpu")[:, 0]
    assert [time for _, time in seen] == [0.0, 0.25, 0.5, 0.75]
    for chunk, time in seen:
        torch.testing.assert_close(chunk, (1 - time) * start + time * committed[:, 0])
    torch.testing.assert_close(answer.chunk[:, 0], committed[:, 0])


def test_two_ways_stay_apart_where_regression_answers_with_their_mean():
    """From one state the demonstrations go to -1 or to 1; the share of the answers between is small."""
    episode = made.episode(0, 200)
    seen = {key: np.repeat(values[:1], 200, axis=0) for key, values in episode.observations.items()}
    sides = np.repeat(np.where(np.arange(200) % 2, 0.5, -0.5)[:, None], 2, axis=1)
    episode = dataclasses.replace(episode, observations=seen, commands=sides)
    data = dataclasses.replace(made.dataset(train=1), train=(episode,), validation=())
    training = {"epochs": 400, "batch_size": 100}
    drawn = {}
    for name, subject in (("flow", SMALL), ("bc", Subject("bc", {"hidden": (32,)}))):
        ready = Prepared(subject, data=data, horizon=1, training=training)
        ready.train()
        network, windows = ready.policy().network, ready.batch(200).observation
        drawn[name] = sample(network, Batch(windows)).chunk[:, 0, 0]
    assert drawn["bc"].abs().max() < 0.2
    assert (drawn["flow"].abs() > 0.6).float().mean() > 0.8
    assert 0.3 < (drawn["flow"] > 0).float().mean() < 0.7  # both ways, as often as shown: half each


def test_settings_that_cannot_be_are_errors():
    with pytest.raises(ValueError, match="passes is 0"):
        Flow(passes=0)
    with pytest.raises(ValueError, match="hidden must have at least one layer"):
        Flow(hidden=())
