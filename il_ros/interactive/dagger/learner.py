"""Repeated training in memory on a growing set of episodes, each time from the previous weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from il_ros.core.contract import Contract
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import extended
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.vocabulary import Vocabulary
from il_ros.training.batches import Batches
from il_ros.training.device import device_of, torch_settings
from il_ros.training.fitting import fit_normaliser, made_assets, used_samples
from il_ros.training.loop import TrainingLoop
from il_ros.training.recipe import Recipe


@dataclass(frozen=True)
class Learner:
    """Trains with the recipe for `steps` gradient steps; its epochs are ignored, and there is no validation."""

    contract: Contract
    recipe: Recipe
    steps: int

    def learn(
        self, episodes: Sequence[EpisodeArrays], before: LoadedPolicy | None = None, version: str = ""
    ) -> LoadedPolicy:
        """Return a policy trained on all episodes, starting from the weights and the normaliser of `before`.

        Frames in which nothing moves are thinned, as by `training.run.train`.

        Raises ValueError on unusable data, TrainingError when the loss is not finite.
        """
        settings = self.recipe.policy
        inputs = Inputs.for_policy(self.contract, settings)
        form = ActionForm(self.contract) if before is None else before.form
        data, *_ = used_samples(episodes, inputs, self.recipe, form)
        assets = made_assets(data, inputs, settings) if before is None else before.network.assets()
        if before is None:
            normaliser = fit_normaliser(data, inputs, self.contract, self.recipe)
        else:
            normaliser = extended(
                before.normaliser, data.features, inputs.groups, self.recipe.training.input_margin
            )
        device, _ = device_of(self.recipe.training.device, images=bool(inputs.images))
        reading = {"vocabulary": Vocabulary.among(assets), "follows": settings.follows}
        batches = Batches(data, inputs, normaliser, device, **reading)
        epochs = max(1, round(self.steps / math.ceil(len(data) / self.recipe.training.batch_size)))
        training = replace(self.recipe.training, epochs=epochs, keep="last", patience=0, test_every=0)
        with torch_settings(training.threads), torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            network = make_network(self.recipe.family, settings, self.contract, normaliser, assets)
            if before is not None:
                network.load_state_dict(before.network.state_dict())
            network.to(device).train()
            loop = TrainingLoop(network, training)
            for _ in loop.epochs(batches, None, time.monotonic):
                pass
        network.load_state_dict(loop.best_weights())
        return LoadedPolicy(self.contract, self.recipe.family, settings, network, normaliser, version)
