"""A person who takes over from a learner: who drove, what becomes a demonstration, and how a training goes on."""

import line_env
import numpy as np
import pytest
import torch

from il_ros.interactive.dagger.corrector import Corrector
from il_ros.interactive.dagger.human import HumanModel
from il_ros.policies.families.actor import Actor
from il_ros.policies.features import Inputs
from il_ros.rl.agents.agent import AgentSettings
from il_ros.rl.learner import Imitation, ImitationLearner
from il_ros.rl.reward_source import TASK
from il_ros.rl.steps.demonstrations import fit_scales, steps_of
from il_ros.rl.steps.world import World

ACTOR = Actor(hidden=(16,))
QUICK = HumanModel(reaction_ticks=2, least_ticks=3, misjudged=0.0, tremor=0.0)


class ToTheMiddle:
    """Full speed to the middle; gives up beyond 0.9."""

    def act(self, observation):
        place = float(observation["observation"][0])
        return None if abs(place) > 0.9 else np.array([[-np.sign(place)]])


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    return line_env.dataset(
        tmp_path_factory.mktemp("line"), numbers=True, expert=lambda place: float(place < 0)
    )


def corrector(contract, most=1_000):
    return Corrector(contract, np.array([1.0]), ToTheMiddle, QUICK, most)


def learner(dataset, person, **changes):
    scales = fit_scales(dataset.train, dataset.contract, Inputs.for_policy(dataset.contract, ACTOR), "limits")
    steps = [step for episode in dataset.train for step in steps_of(episode, scales, line_env.STEPS)]
    world = World(line_env.PlainLine(numbers=True, goal=0.1), scales, "the line", person)
    settings = Imitation(**{"steps": 120, "random_steps": 60, "batch": 16, **changes})
    agent = AgentSettings(hidden=16, discount=0.9, entropy_bonus=False)
    return ImitationLearner(settings, ACTOR, agent, (TASK, None), scales, [world], steps, judged=True)


def test_a_person_takes_over_where_the_learner_goes_wrong_and_lets_it_go_on_where_the_expert_gives_up(shown):
    person = corrector(shown.contract)
    person.begin(0)
    wrong, right = np.array([1.0]), np.array([-1.0])
    place = {"observation": np.array([0.5])}
    assert person.correct(place, wrong) is None  # reacts after two ticks
    assert person.correct(place, wrong).tolist() == [-1.0]
    assert (person.takeovers, person.ticks) == (1, 1)
    assert person.correct({"observation": np.array([0.95])}, wrong) is None
    for _ in range(4):
        person.correct(place, right)
    assert person.correct(place, right) is None  # convinced
    assert person.takeovers == 2  # once more after the expert had given up


def test_a_person_watches_the_first_episodes_only(shown):
    person = corrector(shown.contract, most=1)
    for watched in (True, False):
        person.begin(0)
        found = [person.correct({"observation": np.array([0.5])}, np.array([1.0])) for _ in range(3)]
        assert any(each is not None for each in found) is watched


def test_corrections_are_remembered_as_own_steps_and_as_demonstrations(shown):
    person = corrector(shown.contract)
    found = learner(shown, person)
    before = found._shown.counts[0]
    for _ in found.steps():
        pass
    own, kept = (memory.tensors() for memory in (found._own, found._shown))
    assert person.ticks > 5
    added = slice(before, found._shown.counts[0])
    corrected = ~kept["absorbing"][0, added]
    assert int(corrected.sum()) == person.ticks
    places, moves = kept["observation"][0, added, 0][corrected], kept["action"][0, added, 0][corrected]
    centre, scale = _state_scale(found)
    towards = moves * -torch.sign(places * scale + centre)
    assert (towards > 0.99).all()  # what the expert does, not the learner
    remembered = torch.cat([own["observation"][0], own["action"][0]], dim=1).tolist()
    for row in torch.stack([places, moves], dim=1).tolist():
        assert row in remembered


def test_a_training_with_a_person_goes_on_with_its_memory_in_a_new_episode_and_says_so(shown):
    first = learner(shown, corrector(shown.contract))
    for progress in first.steps():
        if progress.step == 80:
            break
    state = {name: tensor.clone() for name, tensor in first.tensors().items()}
    second = learner(shown, corrector(shown.contract))
    (note,) = second.restore(state)
    assert note.startswith("environment 0 does not repeat its episode: a new one begins")
    assert second._shown.counts == first._shown.counts
    for _ in second.steps():
        pass
    assert second.step == 120


def _state_scale(found):
    state = found._scales.normaliser.state
    return float(state.centre[0]), float(state.scale[0])
