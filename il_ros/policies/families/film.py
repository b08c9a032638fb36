"""Behaviour cloning by words: an instruction scales and shifts every hidden layer of the network.

FiLM (Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning Layer"): a hidden layer's outputs x become
(1 + s) x + b, where s and b are linear in the mean of the words' embeddings. The words thus select what of the state
counts, which a network that only gets them as further inputs has to learn from many more demonstrations.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.policies.families.behaviour_cloning import BehaviourCloning, BehaviourCloningNetwork
from il_ros.policies.families.registry import Family
from il_ros.policies.networks.cameras import with_camera_features
from il_ros.policies.networks.words import mean_of_words, word_embeddings
from il_ros.policies.protocol import ModelSpec, NumpyForward, Perceptrons, ReadsWords, Window
from il_ros.policies.vocabulary import ASSET

_SPREAD = 0.5
"""Standard deviation of the first embeddings: different instructions begin with clearly different networks."""


@dataclass(frozen=True)
class FilmCloning(ReadsWords, BehaviourCloning):
    """The settings, those of behaviour cloning; config/training/film.yaml explains each."""


class FilmNetwork(BehaviourCloningNetwork):
    """The network of this family: that of behaviour cloning, with the words of the newest tick at each hidden layer."""

    def __init__(self, settings: FilmCloning, spec: ModelSpec) -> None:
        super().__init__(settings, spec)
        self._assets = dict(spec.assets)
        self.words = word_embeddings(spec, 2 * sum(settings.hidden))
        for embedding in self.words.values():
            assert isinstance(embedding, nn.Embedding)
            nn.init.normal_(embedding.weight, std=_SPREAD)
            embedding._fill_padding_idx_with_zero()

    def assets(self) -> dict[str, bytes]:
        """Return the vocabulary, if a text is among the inputs."""
        return {ASSET: self._assets[ASSET]} if ASSET in self._assets else {}

    def forward(self, window: Window) -> Tensor:
        """Return the head's prediction (B, ...)."""
        found = with_camera_features(window, self.cameras)
        if not self.words:
            plain: Tensor = self.head(self.trunk(found))
            return plain
        told = sum(mean_of_words(layer, window[key][:, -1]) for key, layer in self.words.items())
        assert isinstance(told, Tensor)
        parts = iter(torch.split(told, [width for width in self.settings.hidden for _ in range(2)], dim=1))
        for layer in self.trunk:
            found = layer(found)
            if isinstance(layer, nn.Linear):
                found = (1 + next(parts)) * found + next(parts)
        prediction: Tensor = self.head(found)
        return prediction

    def perceptrons(self) -> Perceptrons | None:
        """See `PolicyModel.perceptrons`; None with words."""
        return None if self.words else super().perceptrons()

    def numpy_forward(self) -> NumpyForward | None:
        """See `PolicyModel.numpy_forward`; None with words."""
        return None if self.words else super().numpy_forward()


FAMILY = Family(FilmCloning, FilmNetwork)
