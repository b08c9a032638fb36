"""The Transformer over past ticks: what it sees, and what it does not."""

import made_arrays as made
import numpy as np
import pytest
import torch
from conformance import WITH_TEXT, Prepared, Subject, with_words

from il_ros.core import contract
from il_ros.policies.families.transformer import Transformer
from il_ros.policies.protocol import Batch
from il_ros.policies.runner import sample

SMALL = Subject("transformer", {"width": 16, "heads": 2, "blocks": 2, "channels": (4,), "history": 3})
MOVING = contract.parse(
    made.TEXT.replace("names: [a, b], max_age_s", "names: [a, b], fields: [position, velocity], max_age_s"),
    "moving",
)


def answer(network, window):
    return sample(network, Batch(window)).chunk


def test_its_own_past_is_hidden_and_that_of_others_is_seen():
    network = Prepared(SMALL).policy().network
    window = Prepared(SMALL).batch(4).observation.rows(torch.tensor([3]))
    before = answer(network, window)
    for key, is_seen in (("joints", False), ("object", True)):
        state = window.state.clone()
        state[:, :-1, window.columns[key]] += 1.0
        assert torch.equal(answer(network, window.changed(state=state)), before) != is_seen, key
        newest = window.state.clone()
        newest[:, -1, window.columns[key]] += 1.0
        assert not torch.equal(answer(network, window.changed(state=newest)), before), key


@pytest.mark.parametrize("own_motion", [False, True])
def test_its_own_velocity_is_seen_only_if_asked_for(own_motion):
    episode = made.episode(0, own=made.CONTRACT)
    joints = np.concatenate([episode.observations["joints"]] * 2, axis=1)
    episode = made.episode(0, observations={**episode.observations, "joints": joints})
    data = made.Dataset(MOVING, (episode,), (), made.dataset().summary)
    ready = Prepared(SMALL, MOVING, data, own_motion=own_motion)
    network, window = ready.policy().network, ready.batch(8).observation
    state = window.state.clone()
    state[..., 2:4] += 1.0  # joints/velocity/a and b
    assert ready.inputs.features_of[2:4] == ("joints/velocity/a", "joints/velocity/b")
    assert torch.equal(answer(network, window), answer(network, window.changed(state=state))) != own_motion


def test_what_is_masked_is_not_seen():
    ready = Prepared(SMALL)
    network, window = ready.policy().network, ready.batch(8).observation
    past = torch.ones((8, 3), dtype=torch.bool)
    past[:, 0] = False
    masked = window.changed(past=past)
    state = window.state.clone()
    state[:, 0] = 7.0
    assert torch.equal(answer(network, masked), answer(network, masked.changed(state=state)))
    assert not torch.equal(
        answer(network, window.changed(past=torch.ones_like(past))), answer(network, masked)
    )


def test_a_token_does_not_depend_on_later_ticks():
    ready = Prepared(SMALL)
    network, window = ready.policy().network, ready.batch(6).observation.rows(torch.tensor([5]))
    seen = []
    network.encoder[-1].register_forward_hook(lambda _module, _given, out: seen.append(out.detach()))
    state = window.state.clone()
    state[:, 2] += 1.0
    for each in (window, window.changed(state=state)):
        answer(network, each)
    first, second = (
        memory[0, 1:].unflatten(0, (3, 2)) for memory in seen
    )  # by tick and key, after the start token
    assert torch.equal(first[:2], second[:2])
    assert not torch.equal(first[2], second[2])


def test_history_dropout_leaves_the_past_out_of_its_share_of_samples():
    ready = Prepared(SMALL, history_dropout=0.75)
    windows = []
    ready.network.tokens = lambda window, own=ready.network.tokens: (windows.append(window), own(window))[1]
    batch = ready.batch(60)
    assert len(batch) == 60
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        ready.network.train().loss(batch, rng)
    hidden = [~window.past[2:30, 0] for window in windows]  # the first two frames have a shorter past
    assert torch.stack(hidden).float().mean().item() == pytest.approx(
        0.75, abs=0.07
    )  # 4 standard errors of 560
    assert all(window.past[:, -1].all() for window in windows)
    ready.network.eval().loss(batch, rng)
    assert windows[-1].past is batch.observation.past


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 10, "heads": 4}, "width is 10; it must be a multiple of heads, 4"),
        ({"history_dropout": 1.0}, "history_dropout is 1.0"),
        ({"blocks": 65}, "blocks is 65; at most 64"),
        ({"loss": "gaussian"}, "gaussian"),
        ({"history": 0}, "history is 0"),
        ({"history": 257}, "history is 257; at most 256"),
    ],
)
def test_settings_that_cannot_be_are_errors(values, message):
    with pytest.raises(ValueError, match=message):
        Transformer(**values)


def test_an_instruction_that_was_not_shown_is_named_and_raises_the_uncertainty():
    policy = Prepared(SMALL, WITH_TEXT, with_words()).policy()
    heard = {**made.observation(), "words": np.array("Push it LEFT")}
    assert policy.act_in_parts(heard).beyond == 0.0
    assert policy.beyond_shown(heard) == {}
    strange = {**heard, "words": np.array("push it upwards")}
    assert policy.act_in_parts(strange).beyond == 2.0  # not shown, and one word that was not
    assert policy.beyond_shown(strange) == {"the words of words ('push it upwards')": 2.0}
    assert policy.act_with_uncertainty(strange)[1] == 2.0
