"""A reward of a driving robot's way: its length, and how far the clearance to what a laser scan shows falls short.

It rates on any map what maximum-entropy IRL finds on the map of one corridor (`il_ros.irl.corridor_map`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from il_ros.policies.action_form import ActionForm
from il_ros.policies.protocol import ModelSpec
from il_ros.rewards.protocol import RewardModel, Transition
from il_ros.rewards.registry import RewardFamily
from il_ros.rewards.settings import ClearanceSettings


class ClearanceReward(RewardModel):
    """Linear in the length of a step, and in the length times the shortfall of the clearance after it."""

    def __init__(self, settings: ClearanceSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__()
        if seeds != 1:
            raise ValueError(
                "a reward of clearances is not learnt beside a policy, with several seeds in one"
            )
        names = ActionForm(spec.contract).names
        if settings.speed not in names:
            raise ValueError(
                f"speed: contract '{spec.contract.name}' has no action '{settings.speed}'; it has: {', '.join(names)}"
            )
        self._settings, self._normaliser = settings, spec.normaliser
        self._speed, self._period_s = names.index(settings.speed), spec.contract.period_ns / 1e9
        self.register_buffer("weights", torch.zeros(1 + len(settings.limits_m)))

    def features(self, transition: Transition) -> Tensor:
        """Return the features (B, 1 + limits) of steps: metres, and metres times the relative shortfalls."""
        actions, state = self._normaliser.actions, self._normaliser.state
        place = self._speed
        speed = transition.action[:, place] * float(actions.scale[place]) + float(actions.centre[place])
        length_m = speed.abs().clamp(min=self._settings.least_m_s) * self._period_s
        ranges_m = transition.following.state[:, -1] * torch.from_numpy(state.scale).float()
        nearest_m = (ranges_m + torch.from_numpy(state.centre).float()).min(dim=1).values
        clearance_m = nearest_m - self._settings.radius_m
        limits_m = torch.tensor(self._settings.limits_m)
        short = (1 - clearance_m[:, None] / limits_m).clamp(min=0.0)
        return length_m[:, None] * torch.cat([torch.ones(len(short), 1), short], dim=1)

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return the reward (B,) of each step, 0 in the absorbing state."""
        weights: Tensor = self.get_buffer("weights")
        worth = self.features(transition) @ weights
        return torch.where(transition.absorbing, torch.zeros_like(worth), worth)


CLEARANCE = RewardFamily(ClearanceSettings, ClearanceReward)
