"""A causal Transformer over the window of past ticks, which answers with a chunk.

Each observation of each tick is a token: numeric features through a linear layer, frames through a small CNN, a text as
the mean of its words. A causal encoder lets a token see its own tick and earlier ones. The H steps of the chunk are
learnt queries that attend to all tokens.

History invites a shortcut: from its own motion a network reads what it did last and repeats it (de Haan et al. 2019,
"Causal Confusion in Imitation Learning"; Wen et al. 2020, "Fighting Copycat Agents"). By default it therefore sees its
own measured state at the newest tick only, without velocities, and the past is left out of some training samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.core.settings import at_least, one_of
from il_ros.policies.families.registry import Family
from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.networks.cameras import PictureSettings, camera_encoders, camera_features
from il_ros.policies.networks.encoders import CameraEncoder
from il_ros.policies.networks.words import mean_of_words, word_embeddings
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    ModelSpec,
    PolicyModel,
    ReadsWords,
    Window,
    continued,
    uniform,
    weighted_mean,
)
from il_ros.policies.vocabulary import ASSET

MOST_BLOCKS = 64
_VELOCITIES = ("velocity", "linear", "angular")
"""The fields of messages that say how fast something moves."""


@dataclass(frozen=True)
class Transformer(ReadsWords, PictureSettings):
    """The settings; config/training/transformer.yaml explains each."""

    history: int = 8
    horizon: int = 8
    width: int = 64
    blocks: int = 2
    decoder_blocks: int = 0
    heads: int = 4
    feed: int = 2
    loss: str = "l1"
    own_motion: bool = False
    history_dropout: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "blocks", "heads", "feed"):
            at_least(name, getattr(self, name), 1)
        at_least("decoder_blocks", self.decoder_blocks, 0)
        for name in ("blocks", "decoder_blocks", "feed"):
            if getattr(self, name) > MOST_BLOCKS:
                raise ValueError(f"{name} is {getattr(self, name)}; at most {MOST_BLOCKS}")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; it must be a multiple of heads, {self.heads}")
        one_of("loss", self.loss, tuple(ELEMENTWISE))
        if not 0 <= self.history_dropout < 1:
            raise ValueError(f"history_dropout is {self.history_dropout}; it must be at least 0 and below 1")


class TransformerNetwork(PolicyModel):
    """The network of this family. W: the width of a token, M: the number of tokens."""

    def __init__(self, settings: Transformer, spec: ModelSpec) -> None:
        super().__init__()
        self.settings = settings
        self._assets = dict(spec.assets)
        self._own = () if settings.own_motion else own_keys(spec)
        self._shown = {key: self._features_shown(key, spec) for key in spec.inputs.columns}
        width = settings.width
        self.numbers = nn.ModuleDict(
            {key: nn.Linear(len(places), width) for key, places in self._shown.items() if places}
        )
        self.cameras, _ = camera_encoders(settings, spec)
        self.pictures = nn.ModuleDict(
            {
                key: nn.Linear(camera.size, width)
                for key, camera in self.cameras.items()
                if isinstance(camera, CameraEncoder)
            }
        )
        self.words = word_embeddings(spec, width)
        self.keys = (*self.numbers, *self.pictures, *self.words)
        self.key_code = nn.Parameter(torch.empty(len(self.keys), width).normal_(std=0.02))
        self.age_code = nn.Parameter(torch.empty(settings.history, 1, width).normal_(std=0.02))
        self.start = nn.Parameter(
            torch.empty(1, 1, width).normal_(std=0.02)
        )  # always there, so that no row of weights is empty
        self.queries = nn.Parameter(torch.empty(1, settings.horizon, width).normal_(std=0.02))
        block = partial(Block, width, settings.heads, feed=settings.feed)
        self.encoder = nn.ModuleList(block() for _ in range(settings.blocks))
        self.decoder = nn.ModuleList(
            block(crossed=True) for _ in range(settings.decoder_blocks or settings.blocks)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, spec.action_size))

    def assets(self) -> dict[str, bytes]:
        """Return the vocabulary, if a text is among the inputs."""
        return {ASSET: self._assets[ASSET]} if ASSET in self._assets else {}

    def forward(self, window: Window, first: Tensor | None = None) -> Tensor:
        """Return the normalised chunk (B, H, A). `first` (B, 1, W): a token in the place of `start`."""
        tokens, exists = self.tokens(window)  # (B, T, K, W), (B, T, K)
        count, ticks, keys, _ = tokens.shape
        begin = self.start.expand(count, -1, -1) if first is None else first
        memory = torch.cat([begin, tokens.flatten(1, 2)], dim=1)  # (B, M, W)
        there = torch.cat([exists.new_ones((count, 1)), exists.flatten(1)], dim=1)[:, None]  # (B, 1, M)
        tick = torch.cat([torch.zeros(1), torch.arange(1, ticks + 1).repeat_interleave(keys)]).to(
            memory.device
        )
        causal = tick[:, None] >= tick  # (M, M)
        for block in self.encoder:
            memory = block(memory, memory, there & causal)
        steps = self.queries.expand(count, -1, -1)
        for block in self.decoder:
            steps = block(steps, memory, there.expand(-1, steps.shape[1], -1))
        chunk: Tensor = self.head(steps)
        return chunk

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the weighted mean error; in training mode, the past is left out of some samples."""
        assert batch.action is not None
        window = self.shortened(batch.observation, rng)
        errors = ELEMENTWISE[self.settings.loss](self(window), batch.action, reduction="none")
        return Loss(weighted_mean(errors, batch.weight))

    def shortened(self, window: Window, rng: torch.Generator) -> Window:
        """Return a window of training without its past, in some samples by chance (`history_dropout`)."""
        dropout = self.settings.history_dropout
        if not (self.training and dropout and self.settings.history > 1):
            return window
        kept = uniform((len(window.state), 1), rng, window.state.device) >= dropout
        newest = torch.arange(self.settings.history, device=window.state.device) == self.settings.history - 1
        past = kept | newest
        return window.changed(past=past if window.past is None else past & window.past)

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the predicted chunk."""
        return Actions(continued(self(batch.observation), previous))

    def tokens(self, window: Window) -> tuple[Tensor, Tensor]:
        """Return the tokens (B, T, K, W), oldest tick first, and which exist (B, T, K)."""
        parts = [layer(window[key][..., self._shown[key]]) for key, layer in self.numbers.items()]
        for key, layer in self.pictures.items():
            parts.append(layer(camera_features(window, key, self.cameras[key])))
        for key, layer in self.words.items():
            parts.append(mean_of_words(layer, window[key]))
        tokens = torch.stack(parts, dim=2) + self.key_code + self.age_code
        masks = window.mask
        newest = torch.arange(tokens.shape[1], device=tokens.device) == tokens.shape[1] - 1
        exists = [masks[key] & newest if key in self._own else masks[key] for key in self.keys]
        return tokens, torch.stack(exists, dim=2)

    def _features_shown(self, key: str, spec: ModelSpec) -> list[int]:
        """Return the places among the features of a key that the network sees."""
        names = np.array(spec.inputs.features_of)[spec.inputs.columns[key]].tolist()
        fields = [name.partition("/")[2].replace("/", ".").partition(".")[0] for name in names]
        hidden = _VELOCITIES if key in self._own else ()
        return [place for place, field in enumerate(fields) if field not in hidden]


class Block(nn.Module):
    """Pre-norm attention and feed-forward layer; `crossed`: attention among its own tokens comes before."""

    def __init__(self, width: int, heads: int, crossed: bool = False, feed: int = 2) -> None:
        """`feed`: width of the feed-forward layer, in widths of a token."""
        super().__init__()
        self.own = Attention(width, heads) if crossed else None
        self.attention = Attention(width, heads)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if crossed else 2))
        self.feed = nn.Sequential(nn.Linear(width, feed * width), nn.GELU(), nn.Linear(feed * width, width))

    def forward(self, tokens: Tensor, memory: Tensor, allowed: Tensor) -> Tensor:
        """Return tokens (B, N, W) after attending to the memory (B, M, W) where `allowed` (B, N, M)."""
        before, after = self.norms[0], self.norms[1]
        if self.own is not None:
            among = self.norms[2](tokens)
            tokens = tokens + self.own(among, among, None)
            seen = memory
        else:
            seen = before(memory)  # its own tokens
        tokens = tokens + self.attention(before(tokens), seen, allowed)
        out: Tensor = tokens + self.feed(after(tokens))
        return out


class Attention(nn.Module):
    """Multi-head attention of tokens to a memory."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, memory: Tensor, allowed: Tensor | None) -> Tensor:
        """Return (B, N, W) for tokens (B, N, W), memory (B, M, W) and `allowed` (B, N, M); None: all."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, N or M, W / heads)
            for part in (self.query(tokens), *self.key_value(memory).chunk(2, dim=2))
        )
        mask = None if allowed is None else allowed[:, None]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out


def own_keys(spec: ModelSpec) -> tuple[str, ...]:
    """Return the observations that measure what the policy commands."""
    references = {action.reference for action in spec.contract.actions}
    return tuple(each.key for each in spec.contract.observations if each.key in references)


FAMILY = Family(Transformer, TransformerNetwork)
