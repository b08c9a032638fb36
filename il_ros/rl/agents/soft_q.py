"""Soft Q-learning: agents whose action is one choice. Their values are their policy."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from il_ros.policies.families.actor import ActorNetwork
from il_ros.policies.networks.seeded_mlp import SeededMlp, marked_state, one_seed
from il_ros.policies.protocol import PolicyModel, Window
from il_ros.rewards.protocol import Transition
from il_ros.rl.agents.agent import AgentSettings, Shape, discounts, put_seed, repeated
from il_ros.rl.optimiser import Optimiser, follow, named, under


class SoftQ:
    """Soft Q-learning of one choice of A; P(a | s) is proportional to exp(Q(s, a) / temperature).

    Haarnoja et al. 2017, "Reinforcement Learning with Deep Energy-Based Policies".
    """

    family = "actor"

    def __init__(self, shape: Shape, settings: AgentSettings) -> None:
        self.policy = shape.actor
        self._settings, self._seeds, self._actions = settings, shape.seeds, shape.actions
        self._value = shape.actors(chooses=True)
        self._target = copy.deepcopy(self._value).requires_grad_(False)
        self._optimiser = Optimiser(self._value, settings.rate)

    @torch.no_grad()
    def explore(self, observation: Window, rng: torch.Generator) -> Tensor:
        """Return drawn actions; see `Agent`."""
        values = self._value.of_rows(marked_state(observation))
        shares = torch.softmax(values / self._settings.temperature, dim=1)
        return self._as_action(torch.multinomial(shares, 1, generator=rng)[:, 0])

    def random(self, rng: torch.Generator) -> Tensor:
        """Return uniformly drawn actions; see `Agent`."""
        return self._as_action(torch.randint(self._actions, (self._seeds,), generator=rng))

    @torch.no_grad()
    def log_probability(self, transition: Transition) -> Tensor:
        """Return log P(action | observation); see `Agent`."""
        values = self._value.of_rows(marked_state(transition.observation, transition.absorbing))
        shares = torch.log_softmax(values / self._settings.temperature, dim=1)
        return _of_choice(shares, transition.action)

    def update(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step of soft Q-learning; see `Agent`."""
        temperature = self._settings.temperature
        with torch.no_grad():
            following = self._target.of_rows(marked_state(batch.following, batch.ends))
            after = temperature * torch.logsumexp(following / temperature, dim=1)
            wanted = reward + discounts(batch, self._settings.discount) * after
        any_action = self._as_action(torch.randint(self._actions, (len(batch),), generator=rng))
        action = torch.where(batch.absorbing[:, None], any_action, batch.action)
        value = _of_choice(self._value.of_rows(marked_state(batch.observation, batch.absorbing)), action)
        loss = self._seeds * functional.smooth_l1_loss(value, wanted)
        self._optimiser.step(loss)
        follow(self._target, self._value, self._settings.target_share)
        return {"value_loss": float(loss.detach()) / self._seeds, "value": float(value.detach().mean())}

    def update_values(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Raise ValueError: the values are the policy."""
        raise ValueError("the policy of a choice is its values; they cannot be learnt without it")

    def put_into(self, network: PolicyModel, seed: int) -> None:
        """Give a network the weights of one agent; its outputs are the logarithms of probabilities."""
        assert isinstance(network, ActorNetwork)
        network.perceptron.load_state_dict(one_seed(self._value.state_dict(), seed))
        _scale_last(network.perceptron, 1 / self._settings.temperature)

    def take_from(self, clone: ActorNetwork, deviation: Tensor) -> None:
        """Give all agents the probabilities of a network."""
        for mine in (self._value, self._target):
            mine.load_state_dict(repeated(clone.perceptron, self._seeds))
            _scale_last(mine, self._settings.temperature)

    def take_back(self, network: PolicyModel, seed: int) -> None:
        """Give one agent the probabilities of a network."""
        assert isinstance(network, ActorNetwork)
        one = copy.deepcopy(network.perceptron)
        _scale_last(one, self._settings.temperature)
        for mine in (self._value, self._target):
            put_seed(mine, seed, one)

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state; see `Agent`."""
        return named("value", self._optimiser.tensors()) | named("target", self._target.state_dict())

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; see `Agent`."""
        self._optimiser.restore(under("value", tensors))
        self._target.load_state_dict(under("target", tensors))

    def _as_action(self, chosen: Tensor) -> Tensor:
        action: Tensor = 2.0 * functional.one_hot(chosen, self._actions) - 1.0
        return action


def _of_choice(values: Tensor, action: Tensor) -> Tensor:
    """Return the value (B,) of the chosen possibility, of values (B, A)."""
    return values.gather(1, action.argmax(dim=1, keepdim=True))[:, 0]


def _scale_last(perceptron: SeededMlp, factor: float) -> None:
    with torch.no_grad():
        for parameter in perceptron.layers[-1].parameters():
            parameter.mul_(factor)
