"""What everything that learns has in common: the batches it is given, and what it answers.

A `Model` learns from batches of windows; a `PolicyModel` answers with chunks of actions (and a `RewardModel`, in
`il_ros.rewards.protocol`, with rewards). Models keep no memory. History is part of the window, which the caller keeps:
policies can then be replayed, run in shadow, swapped and rolled back at any tick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from il_ros.core.contract import Contract
from il_ros.core.settings import at_least, one_of
from il_ros.core.specs import Vector
from il_ros.policies.networks import together
from il_ros.policies.normaliser import ACTION_SCALES, Normaliser
from il_ros.policies.window import MOST_HISTORY
from il_ros.policies.window import Array as Array
from il_ros.policies.window import Observation as Observation
from il_ros.records.labelling import BY_MODE, Rule

if TYPE_CHECKING:
    from il_ros.policies.features import Inputs

NumpyForward = Callable[[Array], "tuple[Array, float | None] | tuple[Array, float | None, Array | None]"]
"""Maps the normalised states of one window, flat (T * F,), to its chunk (H, A) and uncertainty (None: it has none).

The third is the spread (A,) of each number, see `Actions`; without it, the uncertainty is of the whole only.
"""

MOST_HORIZON = 4096  # steps of a chunk
_NOTHING: Mapping[str, Tensor] = MappingProxyType({})


class PolicyError(ValueError):
    """The policy cannot act: the observation is unusable or the output is not finite."""


class Policy(Protocol):
    """Maps an observation to a chunk of H actions. Trained policies and scripted experts implement it."""

    def act(self, observation: Observation) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units."""
        ...


class Window(Mapping[str, Tensor]):
    """The observations of B samples at T successive ticks, oldest first, by the keys of the contract.

    `window[key]`: (B, T, D) normalised features of a numeric observation, (B, T, H, W, C) decoded frames (uint8,
    or float32 metres), or (B, T, L) tokens of a text (int64, 0 after its end). `state` (B, T, F) has the features
    of all numeric keys in one tensor, for networks that do not tell them apart.

    `mask[key]` (B, T): True where there is an observation. Before the history begins, the oldest tick is repeated
    and masked. A missing observation is 0 and masked.
    """

    __slots__ = ("absent", "columns", "others", "past", "state")

    def __init__(
        self,
        state: Tensor,
        columns: Mapping[str, Tensor] | None = None,
        others: Mapping[str, Tensor] | None = None,
        past: Tensor | None = None,
        absent: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`columns`: the places in F of each numeric key. `others`: frames and tokens by key.

        `past` (B, T): the ticks that exist; None: all. `absent[key]` (B, T): where an optional key is missing.
        """
        self.state, self.columns, self.others = state, columns or _NOTHING, others or _NOTHING
        self.past, self.absent = past, absent or _NOTHING

    def __getitem__(self, key: str) -> Tensor:
        return self.others[key] if key in self.others else self.state[..., self.columns[key]]

    def __iter__(self) -> Iterator[str]:
        yield from (*self.columns, *self.others)

    def __len__(self) -> int:
        return len(self.columns) + len(self.others)

    @property
    def flat_state(self) -> Tensor:
        """The features of all ticks in one row per sample (B, T * F)."""
        return self.state.flatten(1)

    @property
    def mask(self) -> Mapping[str, Tensor]:
        """Where there is an observation, by key: (B, T) bool."""
        past = self.past
        if past is None:
            past = torch.ones(self.state.shape[:2], dtype=torch.bool, device=self.state.device)
        return {key: past & ~self.absent[key] if key in self.absent else past for key in self}

    def changed(
        self,
        state: Tensor | None = None,
        others: Mapping[str, Tensor] | None = None,
        past: Tensor | None = None,
        absent: Mapping[str, Tensor] | None = None,
    ) -> Window:
        """Return a window with other parts; None keeps a part."""
        return Window(
            self.state if state is None else state,
            self.columns,
            self.others if others is None else others,
            self.past if past is None else past,
            self.absent if absent is None else absent,
        )

    def without(self, key: str, chosen: Tensor) -> Window:
        """Return a window in which `key` is missing in the chosen samples (B,) bool."""
        gone = chosen[:, None].expand(self.state.shape[:2])
        absent = {**self.absent, key: self.absent[key] | gone if key in self.absent else gone}
        if key in self.others:
            keep = (~chosen).view(-1, *[1] * (self.others[key].dim() - 1))
            return self.changed(others={**self.others, key: self.others[key] * keep}, absent=absent)
        state = self.state.clone()
        state[..., self.columns[key]] *= (~chosen)[:, None, None]
        return self.changed(state=state, absent=absent)

    def rows(self, chosen: Tensor) -> Window:
        """Return the window of the chosen samples, by their indices."""
        return Window(
            self.state[chosen],
            self.columns,
            {key: values[chosen] for key, values in self.others.items()},
            None if self.past is None else self.past[chosen],
            {key: gone[chosen] for key, gone in self.absent.items()},
        )


@dataclass(frozen=True)
class Batch:
    """B samples. `action` (B, H, A): the normalised chunks to learn; None when a policy is asked for one.

    `weight` (B, H, G): the weight of each step, 0 for padding; None: all are 1. G is 1, or A where groups of actions
    have weights of their own, so that it can be multiplied with errors (B, H, A). `following`: the windows
    `PolicySettings.ahead` ticks later, for models that ask for them (`follows`); masked where the episode ends.
    `progress`: the share of the training that is done, for losses that change along it; 1 outside of a training.
    `way`: the way to answer with, below the policy's `ways`; None: the policy chooses.
    """

    observation: Window
    action: Tensor | None = None
    weight: Tensor | None = None
    following: Window | None = None
    progress: float = 1.0
    way: int | None = None

    def __len__(self) -> int:
        return len(self.observation.state)


class Loss(NamedTuple):
    """The loss () of a batch. `parts`: its named parts (), for the curves, such as a KL divergence."""

    total: Tensor
    parts: Mapping[str, Tensor] = _NOTHING


class Actions(NamedTuple):
    """The answer of a policy: normalised chunks (B, H, A), and their uncertainty (B,) >= 0; None: it has none.

    `spread` (B, A): the standard deviation of each number, root mean square over the chunk, from which the uncertainty
    of each action group is made; None: the uncertainty is known as a whole only.
    `way` (B,): which of the policy's `ways` each chunk belongs to, int64; None: it keeps none apart.
    """

    chunk: Tensor
    uncertainty: Tensor | None = None
    way: Tensor | None = None
    spread: Tensor | None = None


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters whose names begin with one of `prefixes`: their share of the learning rate, and their weight decay.

    `weight_decay` None: that of the recipe.
    """

    prefixes: tuple[str, ...]
    rate: float = 1.0
    weight_decay: float | None = None


@dataclass(frozen=True)
class Perceptrons:
    """The claim that a policy's loss is that of K parallel perceptrons on the flat state; it is checked before use.

    `layers`: modules with `weight` and `bias`: nn.Linear (K = 1), or (K, in, out) and (K, 1, out). `activation`: the
    name of what is between them, see `il_ros.policies.networks.activations`.
    `loss`: the name of the elementwise loss. `step_weights`: maps action (B, H, A) and weight (B, H, G) or None to
    the weights of steps, (B, H, G), (B, K, H, G) or None.
    """

    layers: Sequence[nn.Module]
    activation: str
    loss: str
    step_weights: Callable[[Tensor, Tensor | None], Tensor | None]


@dataclass(frozen=True)
class PolicySettings:
    """The settings that all policies have; a family adds its own. config/training/*.yaml explain each.

    `optional`: the inputs that may be missing, in an episode or at a tick. `reads_images`, `reads_text`, `follows`:
    whether the model reads cameras and texts, and whether it asks for what was observed afterwards; such a model does
    not drive. `rule`: which commands of an episode it learns.
    """

    reads_images: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False
    follows: ClassVar[bool] = False
    rule: ClassVar[Rule] = BY_MODE

    inputs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    history: int = 1
    horizon: int = 1
    action_scale: str = "min_max"

    def __post_init__(self) -> None:
        for name, most, what in (("history", MOST_HISTORY, "ticks"), ("horizon", MOST_HORIZON, "steps")):
            at_least(name, getattr(self, name), 1)
            if getattr(self, name) > most:
                raise ValueError(f"{name} is {getattr(self, name)}; at most {most} {what} are possible")
        one_of("action_scale", self.action_scale, ACTION_SCALES)

    @property
    def ahead(self) -> int:
        """How many ticks later the windows are that a model asks for (`Batch.following`)."""
        return 1


@dataclass(frozen=True)
class ReadsWords:
    """The settings of policies that read texts, beside those of `PolicySettings`.

    `paraphrases`: a text that was not shown is taken for the shown one nearest in meaning (`Vocabulary.with_meanings`).
    """

    reads_text: ClassVar[bool] = True

    paraphrases: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """What a model is built from besides its settings.

    `action_size`: the count of learnt numbers per action, A. `assets`: those of `Model.assets` of the saved model, or
    those that training made from the data (`vocabulary.json`, if a text is among the inputs).
    """

    contract: Contract
    inputs: Inputs
    action_size: int
    normaliser: Normaliser
    assets: Mapping[str, bytes] = field(default_factory=dict)


class Model(nn.Module):
    """A network that learns. Its parameters and buffers are trained, saved and restored."""

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of a batch; all that is random is drawn from `rng` (see `noise`)."""
        raise NotImplementedError

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the groups with a learning rate or a weight decay of their own; others have the recipe's."""
        return ()

    def assets(self) -> Mapping[str, bytes]:
        """Return what else the model consists of, such as a vocabulary: data by name, saved in the checkpoint."""
        return {}


class PolicyModel(Model):
    """A network that answers a window with a chunk of actions."""

    @property
    def ways(self) -> int:
        """The number of ways to do the task that it keeps apart, each of which `Batch.way` can ask for."""
        return 1

    @property
    def departure(self) -> float | None:
        """How far, in the mean, its normalised actions can be from those of a clone that is part of it; None: any."""
        return None

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the chunks (B, H, A) to execute, normalised; it may run the network several times.

        `previous` (B, K, A): the first steps of the chunk, which are committed already; the chunk continues them
        (`continued`). All that is random is drawn from `rng`.
        """
        raise NotImplementedError

    def numpy_forward(self) -> NumpyForward | None:
        """Return `sample` without noise in NumPy, with a copy of the current weights; None if there is none.

        It is used only if it gives the answers of `sample` on random windows.
        """
        return None

    def perceptrons(self) -> Perceptrons | None:
        """Return the layers for which the gradient may be written out; None if there are none."""
        return None


def continued(chunk: Tensor, previous: Tensor | None) -> Tensor:
    """Return the chunk (B, H, A) with the committed steps (B, K, A) in the place of its first ones."""
    return chunk if previous is None else torch.cat([previous, chunk[:, previous.shape[1] :]], dim=1)


def noise(shape: Sequence[int], rng: torch.Generator, device: torch.device | str) -> Tensor:
    """Return normal noise drawn from `rng`, which may be on another device; float32."""
    made = together.drawn(lambda size: torch.randn(size, generator=rng, device=rng.device), shape, rng)
    return made.to(device)


def uniform(shape: Sequence[int], rng: torch.Generator, device: torch.device | str) -> Tensor:
    """Return uniform numbers in [0, 1) drawn from `rng`, which may be on another device; float32."""
    made = together.drawn(lambda size: torch.rand(size, generator=rng, device=rng.device), shape, rng)
    return made.to(device)


def weighted_mean(errors: Tensor, weight: Tensor | None) -> Tensor:
    """Return the mean () of errors (B, H, A) with weight (B, H, G), see `Batch`; None: all are 1.

    Of several processes, see `il_ros.policies.networks.together`.
    """
    if weight is None:
        return together.mean(errors)
    total = together.averaged(weight.sum())
    if weight.shape[2] == 1:
        return (errors.mean(dim=2) * weight[..., 0]).sum() / total
    return (errors * weight).sum() / total
