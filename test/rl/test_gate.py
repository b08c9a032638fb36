"""What is served is the clone until another policy is shown to be better on the same starts."""

from types import SimpleNamespace

import pytest
import torch

from il_ros.rl.gate import PROMOTED, REFUSED, ROLLED_BACK, Served, ServingGate
from il_ros.rl.selection import BetterThanClone


def scores(*successes):
    """Scores in which the return is the success, as in the simulated tasks."""
    return tuple((float(each), float(each)) for each in successes)


CLONE = scores(1, 1, 1, 1, 1, 0, 0, 0, 0, 0)
BETTER = scores(*[1] * 10)  # wins 5, loses none: p = 2 / 2**5 = 0.0625
ALIKE = scores(0, 0, *[1] * 8)  # wins 5, loses 2: p = 0.45
WORSE = scores(*[0] * 10)


def policy(weight):
    return SimpleNamespace(network=torch.nn.Linear(1, 1).requires_grad_(False), name=weight)


def gate(seeds=2, level=0.1):
    return ServingGate(Served(policy("clone"), CLONE), seeds, level)


def test_a_policy_is_served_when_it_is_shown_to_be_better_and_each_seed_has_its_own():
    found, candidate = gate(), policy("new")
    assert found.judge(1, candidate, BETTER, 500) == PROMOTED
    assert [each.policy.name for each in found.served] == ["clone", "new"]
    assert found.served[1].step == 500
    assert gate(level=0.05).judge(1, candidate, BETTER, 500) == REFUSED


def test_more_successes_alone_are_no_proof():
    found = gate()
    assert found.judge(0, policy("new"), ALIKE, 500) == REFUSED
    assert found.served[0].policy.name == "clone"


def test_what_is_worse_than_the_served_policy_is_rolled_back_also_where_it_equals_the_clone():
    found = gate()
    assert found.judge(0, policy("new"), WORSE, 500) == ROLLED_BACK
    assert found.judge(0, policy("good"), BETTER, 1000) == PROMOTED
    assert found.judge(0, policy("as the clone"), CLONE, 1500) == ROLLED_BACK
    assert found.served[0].policy.name == "good"


def test_of_those_above_the_clone_the_one_that_wins_more_than_it_loses_is_served():
    clone = WORSE
    first = scores(*[1] * 5, *[0] * 5)  # against the clone: wins 5, loses none: p = 2 / 2**5 = 0.0625
    more = scores(0, *[1] * 6, *[0] * 3)  # p = 0.03; against the first: wins 2, loses 1, which proves nothing
    found = ServingGate(Served(policy("clone"), clone), 1, 0.1)
    assert found.judge(0, policy("first"), first, 500) == PROMOTED
    assert found.judge(0, policy("more"), more, 1000) == PROMOTED
    assert found.judge(0, policy("as good"), more, 1500) == REFUSED
    assert found.judge(0, policy("fewer"), first, 2000) == REFUSED
    assert found.served[0].policy.name == "more"
    assert found.judge(0, policy("none"), clone, 2500) == ROLLED_BACK


def test_without_a_success_the_returns_decide():
    """As on Hopper, whose threshold of success no policy reaches: the gate kept the clone, at a sixth of the return."""
    found = ServingGate(Served(policy("clone"), ((0.0, 130.0),) * 10), 1, 0.1)
    assert found.judge(0, policy("farther"), ((0.0, 2000.0),) * 10, 500) == PROMOTED
    assert found.judge(0, policy("swings back"), ((0.0, 700.0),) * 10, 1000) == ROLLED_BACK
    assert found.judge(0, policy("farther still"), ((0.0, 2300.0),) * 10, 1500) == PROMOTED
    assert found.served[0].policy.name == "farther still"


def test_higher_returns_neither_outweigh_a_success_nor_do_successes_count_less_for_lower_ones():
    found = ServingGate(Served(policy("clone"), ((1.0, 200.0),) * 10), 1, 0.1)
    one_fewer = ((0.0, 199.0), *[(1.0, 250.0)] * 9)  # wins 9, loses 1: p = 0.02
    assert found.judge(0, policy("one fewer"), one_fewer, 500) == REFUSED
    found = ServingGate(Served(policy("clone"), ((1.0, 250.0),) * 9 + ((0.0, 100.0),)), 1, 0.1)
    one_more = ((1.0, 210.0),) * 10  # wins 1, loses 9: p = 0.02
    assert found.judge(0, policy("one more"), one_more, 500) == REFUSED


def test_more_successes_count_although_most_returns_are_lower():
    """As on the lander: 27 instead of 23 of 30 land, the others a little later."""
    found = ServingGate(Served(policy("clone"), ((0.0, -100.0),) * 30), 1, 0.1)
    served = ((1.0, 240.0),) * 23 + ((0.0, 50.0),) * 7
    assert found.judge(0, policy("served"), served, 500) == PROMOTED
    more = ((1.0, 230.0),) * 27 + ((0.0, 40.0),) * 3  # wins 4, loses 26
    assert found.judge(0, policy("more"), more, 1000) == PROMOTED


def test_many_small_gains_do_not_outweigh_a_large_loss():
    clone = ((0.0, 500.0),) + ((0.0, 100.0),) * 9
    found = ServingGate(Served(policy("clone"), clone), 1, 0.1)
    often = ((0.0, 10.0),) + ((0.0, 110.0),) * 9  # wins 9, loses 1, and 400 of the sum
    assert found.judge(0, policy("often"), often, 500) == REFUSED
    rarely = ((0.0, 5000.0),) + ((0.0, 90.0),) * 9
    assert found.judge(0, policy("rarely"), rarely, 1000) == REFUSED  # not rolled back


def test_a_saved_state_without_returns_goes_on_by_successes():
    saved = gate(1).tensors()
    saved = {name: each[:, 0] if name.endswith("scores") else each for name, each in saved.items()}
    resumed = gate(1)
    resumed.restore(saved, [policy("a")])
    dear = tuple((success, -5.0) for success, _ in CLONE)
    assert resumed.judge(0, policy("alike"), dear, 500) == REFUSED  # all are ties, whatever the returns
    assert resumed.judge(0, policy("better"), BETTER, 1000) == PROMOTED


def test_a_gate_goes_on_from_its_saved_state():
    found, candidate = gate(), policy("new")
    found.judge(1, candidate, BETTER, 500)
    later, blank = gate(), [policy("a"), policy("b")]
    later.restore({name: values.clone() for name, values in found.tensors().items()}, blank)
    assert [(each.step, each.scores) for each in later.served] == [(0, CLONE), (500, BETTER)]
    assert later.served[0].policy.name == "clone"
    assert torch.equal(later.served[1].policy.network.weight, candidate.network.weight)
    resumed = ServingGate(Served(policy("clone"), ()), 2, 0.1)
    resumed.restore(found.tensors(), blank)
    assert resumed.judge(0, candidate, BETTER, 1000) == PROMOTED  # the clone's scores are known again
    with pytest.raises(KeyError):
        gate().restore({}, blank)


def test_so_few_tests_that_nothing_could_pass_are_refused():
    with pytest.raises(
        ValueError, match=r"tests is 4; with level 0.1 no policy .* better than the clone: 5 or more"
    ):
        BetterThanClone(None, None, 1, 4, 0.1, None)
    BetterThanClone(None, None, 1, 5, 0.1, None)
