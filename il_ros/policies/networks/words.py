"""Words as numbers: an embedding for each text among a policy's inputs, and the mean over an instruction's words."""

from __future__ import annotations

from torch import Tensor, nn

from il_ros.policies.protocol import ModelSpec
from il_ros.policies.vocabulary import PADDING, UNKNOWN, Vocabulary


def word_embeddings(spec: ModelSpec, width: int) -> nn.ModuleDict:
    """Return an embedding of `width` numbers for each text; empty without texts."""
    vocabulary = Vocabulary.among(spec.assets)
    return nn.ModuleDict(
        {
            each.key: nn.Embedding(vocabulary.size, width, padding_idx=PADDING)
            for each in spec.inputs.texts
            if vocabulary is not None
        }
    )


def mean_of_words(embedding: nn.Module, tokens: Tensor) -> Tensor:
    """Return the mean embedding (..., W) of the known words in `tokens` (..., L); 0 where there are none.

    Other words are left out: their embedding was never trained.
    """
    known = (tokens > max(PADDING, UNKNOWN))[..., None]
    total: Tensor = (embedding(tokens) * known).sum(dim=-2)
    return total / known.sum(dim=-2).clamp(min=1)
