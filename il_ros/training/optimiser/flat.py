"""All parameters of a network in one vector: updated by one fused call, stored as one array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from il_ros.policies.protocol import ParameterGroup


class FlatParameters:
    """`values` (P,) and `gradient` (P,); the network's parameters and their gradients become views of them.

    The network works as before: `backward()` accumulates into the views; `values` holds its parameters, those of a
    group (`ParameterGroup`) next to each other. Raises ValueError if a group has no parameters, a parameter
    belongs to two groups, or its type is not that of the others.
    """

    def __init__(self, network: nn.Module, groups: Sequence[ParameterGroup] = ()) -> None:
        parameters = dict(network.named_parameters())
        places = {name: _group_of(name, groups) for name in parameters}
        for number, group in enumerate(groups):
            if number not in places.values():
                raise ValueError(f"no parameter's name begins with {' or '.join(map(repr, group.prefixes))}")
        ordered = sorted(
            parameters, key=lambda name: places[name]
        )  # stable: without groups as the network has them
        kinds = {parameters[name].dtype for name in ordered}
        if len(kinds) > 1:
            raise ValueError(f"parameters have several types: {', '.join(sorted(map(str, kinds)))}; use one")
        self._network = network
        self._shapes = {name: parameters[name].shape for name in ordered}
        self.values = torch.cat([parameters[name].detach().reshape(-1) for name in ordered])
        self.gradient = torch.zeros_like(self.values)
        views, gradients = self.named(self.values), self.named(self.gradient)
        for name, one in parameters.items():
            one.data, one.grad = views[name], gradients[name]
        sizes = [
            sum(self._shapes[name].numel() for name in ordered if places[name] == n) for n in _numbers(groups)
        ]
        ends = torch.tensor(sizes).cumsum(0).tolist()
        self.parts = [
            (slice(end - size, end), group)
            for end, size, group in zip(ends, sizes, (None, *groups), strict=True)
            if size
        ]
        """The place of each group in the vector; of those that belong to none first, with None."""

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """Return views of a vector (P,), by parameter name and in parameter shape."""
        parts = torch.split(values, [shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def buffers(self) -> dict[str, Tensor]:
        """Return the network's buffers that are saved, by name: what `state_dict` has besides parameters."""
        parameters = {name for name, _ in self._network.named_parameters(remove_duplicate=False)}
        state: Mapping[str, Tensor] = self._network.state_dict()
        return {name: value for name, value in state.items() if name not in parameters}

    def state_dict(self, values: Tensor, buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what `load_state_dict` takes: parameters of a vector (P,), those with two names twice, and buffers."""
        named = self.named(values)
        first = {id(one): name for name, one in self._network.named_parameters()}
        twice = self._network.named_parameters(remove_duplicate=False)
        return {**{name: named[first[id(one)]] for name, one in twice}, **buffers}


def _numbers(groups: Sequence[ParameterGroup]) -> range:
    return range(-1, len(groups))


def _group_of(name: str, groups: Sequence[ParameterGroup]) -> int:
    """Return the number of a parameter's group, -1 if it belongs to none."""
    found = [number for number, group in enumerate(groups) if name.startswith(group.prefixes)]
    if len(found) > 1:
        raise ValueError(f"parameter '{name}' belongs to {len(found)} groups; it may belong to one")
    return found[0] if found else -1
