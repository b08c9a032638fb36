"""The mixture of experts: losses, ways, and that ways are kept apart, counted and can be asked for."""

import tempfile
from pathlib import Path

import gaps
import numpy as np
import pytest
import torch
from conformance import Prepared, Subject

from il_ros.policies.families.moe import MixtureOfExperts
from il_ros.policies.protocol import Batch
from il_ros.training import recipe as recipes
from il_ros.training.run import train

SMALL = Subject("moe", {"hidden": (16,), "experts": 3, "horizon": 1})


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def answering(network, chunks, shares):
    """Give a network the experts' chunks (K, A) and the gate's probabilities (K,) for every sample."""

    def forward(window):
        count = len(window.state)
        chunk = torch.tensor(chunks)[:, None].expand(count, -1, -1, -1).requires_grad_()
        return chunk, torch.tensor(shares).log().expand(count, -1)

    network.forward = forward
    return network


def test_the_best_expert_learns_and_the_others_by_a_share_that_falls():
    network = answering(Prepared(SMALL).network, [[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]], [0.5, 0.25, 0.25])
    batch = Prepared(SMALL).batch(4)
    action = torch.full((4, 1, 2), 0.9)
    errors = {"best": 0.01, "mean": (0.81 + 0.01 + 4.41) / 3, "gate": 0.1 * np.log(4)}
    for progress, share in ((0.0, 0.5), (0.3, 0.25), (0.6, 0.0), (1.0, 0.0)):
        loss = network.loss(Batch(batch.observation, action, progress=progress), torch.Generator())
        assert loss.total.item() == pytest.approx(
            errors["best"] + share * errors["mean"] + errors["gate"], rel=1e-4
        )
        assert loss.parts["expert"].item() == pytest.approx(0.01, rel=1e-4)
    network.eval()
    validation = network.loss(Batch(batch.observation, action, progress=0.0), torch.Generator())
    assert validation.total.item() == pytest.approx(errors["best"] + errors["gate"], rel=1e-4)


def with_counts(conflicts, won):
    network = Prepared(SMALL).network
    network.apart = torch.zeros(3, 3)
    for one, other in conflicts:
        network.apart[one, other] = network.apart[other, one] = 0.05
    network.won = torch.tensor(won)
    return network.eval()


@pytest.mark.parametrize(
    ("conflicts", "won", "ways"),
    [
        ([(0, 1), (1, 2), (0, 2)], [0.3, 0.3, 0.4], [[0], [1], [2]]),
        ([(0, 1), (1, 2)], [0.2, 0.4, 0.4], [[1], [0, 2]]),  # 0 and 2 do the same
        ([(0, 1)], [0.3, 0.3, 0.4], [[0, 2], [1, 2]]),  # 2 does what both ways need, such as the end
        ([(0, 1)], [0.5, 0.5, 0.0], [[0], [1]]),  # 2 has learnt nothing
        ([], [0.5, 0.5, 0.0], [[0, 1]]),
        ([], [0.0, 0.0, 0.0], [[0, 1, 2]]),
    ],
)
def test_ways_are_experts_that_all_conflict_and_duplicates_are_merged(conflicts, won, ways):
    network = with_counts(conflicts, won)
    assert network.ways == len(ways)
    found = [torch.nonzero(row).flatten().tolist() for row in network._allowed]
    assert found == ways
    window = Prepared(SMALL).batch(5).observation
    for way in range(len(ways)):
        assert network.sample(Batch(window, way=way), torch.Generator()).way.tolist() == [way] * 5
    with pytest.raises(
        ValueError, match=f"way is {len(ways)}; this policy has the ways 0 to {len(ways) - 1}"
    ):
        network.sample(Batch(window, way=len(ways)), torch.Generator())


def test_an_expert_of_another_way_is_never_answered():
    network = answering(
        with_counts([(0, 1)], [0.4, 0.4, 0.2]), [[0.0] * 2, [1.0] * 2, [2.0] * 2], [0.6, 0.1, 0.3]
    )
    window = Prepared(SMALL).batch(60).observation
    rng = torch.Generator().manual_seed(0)
    for way, possible in ((0, {0.0, 2.0}), (1, {1.0, 2.0})):
        chunk = network.sample(Batch(window, way=way), rng).chunk
        assert set(chunk.flatten().tolist()) == possible


def test_two_ways_are_found_kept_in_their_shares_and_followed_when_asked_for():
    """Around an obstacle on both sides, 70:30; regression answers with the mean and hits it at every start."""
    data, shown = gaps.demonstrations(2, (0.7, 0.3), 60, seed=0)
    changes = ("batch_size=256", "validation=0", "still_every=1", "epochs=180", "horizon=8")
    rated, ways = {}, {}
    for name, more in (("moe", ()), ("bc_mlp", ("loss=mse", "learning_rate=0.001"))):
        with tempfile.TemporaryDirectory() as folder:
            policy = train(data, recipes.load(name, (*changes, *more)), Path(folder) / "v1").policy
        rated[name], ways[name] = gaps.rate(policy, 2, 200), policy.network.ways
        if name == "moe":
            forced = [gaps.rate(policy, 2, 20, way=way) for way in range(ways[name])]
    assert rated["bc_mlp"].success < 0.1
    assert ways == {"moe": 2, "bc_mlp": 1}
    assert rated["moe"].success >= 0.95
    np.testing.assert_allclose(rated["moe"].shares, shown, atol=0.1)
    assert [each.success for each in forced] == [1.0, 1.0]
    assert sorted(int(each.shares.argmax()) for each in forced) == [0, 1]
    assert all(each.shares.max() == 1.0 for each in forced)


def test_settings_that_cannot_be_are_errors():
    with pytest.raises(ValueError, match="experts is 9; at most 8"):
        MixtureOfExperts(experts=9)
    with pytest.raises(ValueError, match=r"relaxed_until is 0\.0; it must be above 0"):
        MixtureOfExperts(relaxed_until=0.0)
