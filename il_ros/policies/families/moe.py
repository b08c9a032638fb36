"""Mixture of experts on chunks: each of several networks learns one way to do the task, a gate says how likely it is.

The loss of a sample is that of its best expert, plus a share of the mean of all that falls to 0 during training
(relaxed winner-takes-all; Rupprecht et al. 2017, "Learning in an Uncertain World", with a schedule): without it, one
expert can win everything. The gate learns the winner by cross-entropy. There is no term that balances the experts: it
would make the gate choose experts that learnt nothing.

Several experts may learn one way: twice, or one part of it each. Training therefore keeps count of which two experts
*conflict*: both are likely for some samples, their chunks differ there by more than what the experts leave unexplained,
and each of them wins some of these. The ways are the largest set of experts that all conflict with each other; an
expert that conflicts with one of them is not used for its way, and the others share it. A way is drawn per chunk, and
can be asked for (`Batch.way`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.core.settings import at_least, check_widths, one_of
from il_ros.policies.families.ensemble import MemberLinear
from il_ros.policies.families.registry import Family
from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.heads.mixture import drawn_by
from il_ros.policies.networks import activations, together
from il_ros.policies.networks.cameras import PictureSettings, camera_encoders, with_camera_features
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    ModelSpec,
    PolicyModel,
    Window,
    continued,
)

DRAW, LIKELIEST = ANSWERED = ("draw", "likeliest")
MOST_EXPERTS = 8
LIKELY = 0.03
"""Probability from which on an expert counts as likely for a sample."""
UNLIKELY = 0.25
"""Probability, relative to the likeliest expert of a way, up to which an expert is not drawn."""
SELDOM = 0.002
"""Share of the samples up to which an expert counts as unused, and two experts as without a conflict."""
RESIDUALS = 6.0
"""Mean actions of chunks differ when they are farther apart than this many times the winners' own error (RMS)."""
_LEAST_COUNT = 1e-3
_MEMORY = 0.99
"""Decay of the counts per training step."""


@dataclass(frozen=True)
class MixtureOfExperts(PictureSettings):
    """The settings; config/training/moe.yaml explains each."""

    horizon: int = 8
    experts: int = 4
    hidden: tuple[int, ...] = (64, 64)
    activation: str = activations.RELU
    loss: str = "mse"
    relaxation: float = 0.5
    relaxed_until: float = 0.6
    gate_weight: float = 0.1
    different: float = 0.1
    answer: str = DRAW

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("experts", self.experts, 2)
        if self.experts > MOST_EXPERTS:
            raise ValueError(f"experts is {self.experts}; at most {MOST_EXPERTS}")
        check_widths("hidden", self.hidden)
        one_of("activation", self.activation, activations.ACTIVATIONS)
        one_of("loss", self.loss, tuple(ELEMENTWISE))
        for name in ("relaxation", "gate_weight", "different"):
            at_least(name, getattr(self, name), 0)
        if not 0 < self.relaxed_until <= 1:
            raise ValueError(f"relaxed_until is {self.relaxed_until}; it must be above 0, at most 1")
        one_of("answer", self.answer, ANSWERED)


class MixtureOfExpertsNetwork(PolicyModel):
    """The network of this family. K: experts, W: ways."""

    apart: Tensor
    won: Tensor
    unexplained: Tensor

    def __init__(self, settings: MixtureOfExperts, spec: ModelSpec) -> None:
        super().__init__()
        self.settings, self.chunk_shape = settings, (settings.horizon, spec.action_size)
        self.cameras, width = camera_encoders(settings, spec)
        width = settings.history * (width + len(spec.inputs.groups))
        experts: list[nn.Module] = []
        gate: list[nn.Module] = []
        for after in settings.hidden:
            experts += [MemberLinear(settings.experts, width, after), activations.module(settings.activation)]
            gate += [nn.Linear(width, after), activations.module(settings.activation)]
            width = after
        self.experts = nn.Sequential(
            *experts, MemberLinear(settings.experts, width, math.prod(self.chunk_shape))
        )
        self.gate = nn.Sequential(*gate, nn.Linear(width, settings.experts))
        count = settings.experts
        for name, shape in (("apart", (count, count)), ("won", (count,)), ("unexplained", ())):
            self.register_buffer(name, torch.zeros(shape))
        self._allowed = torch.ones((1, count), dtype=torch.bool)

    def train(self, mode: bool = True) -> MixtureOfExpertsNetwork:
        """See `nn.Module.train`; the ways are those of the counts at the end of training."""
        super().train(mode)
        if not mode:
            self._allowed = self._ways()
        return self

    @property
    def ways(self) -> int:
        """The number of ways, W."""
        return len(self._allowed)

    def forward(self, window: Window) -> tuple[Tensor, Tensor]:
        """Return the chunk of each expert (B, K, H, A), and their log probabilities (B, K)."""
        features = with_camera_features(window, self.cameras)
        chunks: Tensor = self.experts(features.expand(self.settings.experts, -1, -1))
        scores: Tensor = self.gate(features.detach())  # the cameras learn what the experts need
        shape = (-1, self.settings.experts, *self.chunk_shape)
        return chunks.transpose(0, 1).reshape(shape), functional.log_softmax(scores, dim=1)

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of the best expert and of the gate; in training mode, count likely experts and conflicts."""
        action, settings = batch.action, self.settings
        assert action is not None
        chunks, log_share = self(batch.observation)
        wanted = action[:, None].expand_as(chunks)
        errors = ELEMENTWISE[settings.loss](chunks, wanted, reduction="none")
        weight = action.new_ones((1, 1, 1)) if batch.weight is None else batch.weight
        shares = weight.expand_as(action)  # (B, H, A)
        total = together.averaged(shares.sum())
        each = (errors * shares[:, None]).flatten(2).sum(dim=2)  # (B, K)
        winner = each.detach().argmin(dim=1)
        best = each.gather(1, winner[:, None]).sum() / total
        relaxation = 0.0
        if self.training:
            relaxation = settings.relaxation * max(0.0, 1 - batch.progress / settings.relaxed_until)
            self._count(chunks.detach(), log_share.detach(), winner, action, shares)
        rows = shares.flatten(1).sum(dim=1)
        gate = (functional.nll_loss(log_share, winner, reduction="none") * rows).sum() / total
        parts = {"expert": best.detach(), "gate": gate.detach()}
        return Loss(best + relaxation * each.mean(dim=1).sum() / total + settings.gate_weight * gate, parts)

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the chunk of an expert of a way; both are drawn by their probabilities, or the likeliest.

        Raises ValueError if `batch.way` is none of the ways.
        """
        chunks, log_share = self(batch.observation)
        allowed = self._allowed.to(chunks.device)  # (W, K)
        if batch.way is not None:
            if not 0 <= batch.way < self.ways:
                raise ValueError(f"way is {batch.way}; this policy has the ways 0 to {self.ways - 1}")
            way = torch.full((len(batch),), batch.way, device=chunks.device)
        else:
            likelihood = (log_share.exp()[:, None] * (allowed / allowed.sum(dim=0).clamp(min=1))).sum(
                dim=2
            )  # (B, W)
            likeliest = likelihood.argmax(dim=1)
            way = drawn_by(likelihood.log(), rng) if self.settings.answer == DRAW else likeliest
        log_share = log_share.masked_fill(~allowed[way], -math.inf)
        chosen = log_share.argmax(dim=1)
        if self.settings.answer == DRAW:  # experts of one way that do not conflict may still differ a little
            unlikely = log_share < log_share.amax(dim=1, keepdim=True) + math.log(UNLIKELY)
            chosen = drawn_by(log_share.masked_fill(unlikely, -math.inf), rng)
        chunk = chunks[torch.arange(len(chunks), device=chunks.device), chosen]
        return Actions(continued(chunk, previous), None, way)

    @torch.no_grad()
    def _count(
        self, chunks: Tensor, log_share: Tensor, winner: Tensor, action: Tensor, shares: Tensor
    ) -> None:
        """Count what experts win, and for which share of the samples one wins against a likely one that differs.

        Chunks are compared by their mean action: noise of single steps, which experts also share out among them,
        averages out there, and a way does not. Chunks that the end of the episode cuts do not count. `shares`
        (B, H, A): the weights.
        """
        learnt = shares > 0
        whole = (learnt == learnt[:, :1]).flatten(1).all(dim=1)  # (B,)
        mean, shown = chunks.mean(dim=2), action.mean(dim=1)  # (B, K, A), (B, A)
        error = (mean - shown[:, None]).square().mean(dim=2).gather(1, winner[:, None])[:, 0]  # (B,)
        squares, chunks_counted = (
            together.averaged(each.sum()) for each in (error * whole, whole.to(error.dtype))
        )
        self.unexplained.lerp_(squares / chunks_counted.clamp(min=_LEAST_COUNT), 1 - _MEMORY)
        least = (RESIDUALS**2 * self.unexplained).clamp(min=self.settings.different**2)
        distance = (mean[:, :, None] - mean[:, None]).square().mean(dim=3)  # (B, K, K)
        likely = log_share.exp() >= LIKELY  # (B, K)
        won = functional.one_hot(winner, self.settings.experts)
        wins = likely & whole[:, None] & (won > 0)
        differ = wins[:, :, None] & likely[:, None] & (distance > least)
        for counts, now in ((self.apart, differ), (self.won, won)):
            counts.lerp_(together.mean_row(now.to(counts.dtype)), 1 - _MEMORY)

    def _ways(self) -> Tensor:
        """Return which experts each way may use (W, K); all in one way before training."""
        count = self.settings.experts
        won = self.won.tolist()
        conflict = torch.minimum(self.apart, self.apart.T) > SELDOM
        used = [expert for expert in range(count) if won[expert] > SELDOM]
        sets = (
            group
            for size in range(len(used), 0, -1)
            for group in itertools.combinations(used, size)
            if all(conflict[one, other] for one, other in itertools.combinations(group, 2))
        )
        ways = max(sets, key=lambda group: (len(group), sum(won[expert] for expert in group)), default=())
        if len(ways) < 2:
            allowed = torch.zeros((1, count), dtype=torch.bool)
            allowed[0, used or list(range(count))] = True
            return allowed
        allowed = ~conflict[list(ways)].cpu()
        allowed &= torch.tensor([expert in used for expert in range(count)])
        allowed[range(len(ways)), ways] = True
        return allowed


FAMILY = Family(MixtureOfExperts, MixtureOfExpertsNetwork)
