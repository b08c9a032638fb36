"""A policy as an ONNX graph, with its normalisation inside, checked against torch on random inputs.

The graph has an input `state` (B, T, F), the state features of T ticks, oldest first, in their units; one per camera
(B, T, H, W, C), as decoded by the contract; and with T above 1 `existing` (B, T), which of the ticks exist. It answers
`actions` (B, H, L), in their units, and `uncertainty` (B,) where the network has one. B is 1 where the network fixes it
in the graph. A card says what each number is.

The graph is computed in double precision outside of the network: its inputs are clipped and normalised as the policy
server does.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from il_ros.core import atomic
from il_ros.core.tables import shown
from il_ros.policies.protocol import Array, Batch, Window
from il_ros.policies.runner import LoadedPolicy

OPSET = 17
ANY = "batch"
"""The name of the first axis in a graph that takes any number of samples."""
COUNTS = (1, 3)
"""Samples of the random inputs on which the graph is compared with torch."""
TOLERANCE = 1e-5
"""Largest difference there, of the largest number in the answer."""
NEEDS = "an export to ONNX needs onnx and onnxruntime: pip install 'il_ros[onnx]'"


class ExportError(ValueError):
    """A policy that cannot be exported, or a graph that answers otherwise; the message says why."""


@dataclass(frozen=True)
class Port:
    """An input or output of the graph: its name, shape and type, and the `names` and `units` of its last axis."""

    name: str
    shape: tuple[str | int, ...]
    dtype: str
    what: str
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exported:
    """What was written: the graph's ports, and the largest difference to torch on random inputs."""

    file: Path
    card: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    difference: float


class Graph(nn.Module):
    """The policy as a function of tensors: raw features in, actions in their units out."""

    def __init__(self, policy: LoadedPolicy) -> None:
        super().__init__()
        self.network, self.inputs, self.history = policy.network, policy.inputs, policy.history
        normaliser, unlimited = policy.normaliser, np.full(len(policy.inputs.groups), np.inf)
        shown_range = normaliser.shown
        numbers = {
            "lower": -unlimited if shown_range is None else shown_range.lower,
            "upper": unlimited if shown_range is None else shown_range.upper,
            "centre": normaliser.state.centre,
            "scale": normaliser.state.scale,
            "action_centre": normaliser.actions.centre,
            "action_scale": normaliser.actions.scale,
        }
        for name, values in numbers.items():
            self.register_buffer(name, torch.from_numpy(np.array(values, dtype=np.float64)), persistent=False)
        self.columns = {key: torch.from_numpy(places) for key, places in policy.inputs.columns.items()}

    def forward(self, state: Tensor, *others: Tensor, seed: int = 0) -> tuple[Tensor, ...]:
        """Return actions (B, H, L), and the uncertainty (B,) if there is one; see `ports`."""
        clipped = torch.minimum(torch.maximum(state, self.get_buffer("lower")), self.get_buffer("upper"))
        normal = ((clipped - self.get_buffer("centre")) / self.get_buffer("scale")).float()
        keys = [spec.key for spec in self.inputs.images]
        past = others[len(keys)] if self.history > 1 else None
        window = Window(normal, self.columns, dict(zip(keys, others, strict=False)), past)
        answer = self.network.sample(Batch(window), torch.Generator().manual_seed(seed))
        actions = answer.chunk.double() * self.get_buffer("action_scale") + self.get_buffer("action_centre")
        return (actions,) if answer.uncertainty is None else (actions, answer.uncertainty)


def export(policy: LoadedPolicy, file: Path) -> Exported:
    """Write a policy's graph to `file` and its card beside it, as Markdown; return what was written.

    Raises ExportError when the policy cannot be exported, the packages are missing, or the graph answers otherwise than
    torch; nothing is written then. Raises OSError when the folder is not writable.
    """
    require_exportable(policy)
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ExportError(f"{NEEDS} ({error})") from error
    graph = Graph(policy).eval()
    try:
        made = _checked(graph, policy, ANY, onnx, onnxruntime)
    except ExportError:  # a network that fixes the count of samples in its graph, such as by an arange
        made = _checked(graph, policy, 1, onnx, onnxruntime)
    raw, inputs, outputs, difference = made
    card = file.with_suffix(".md")
    atomic.write_bytes(file, raw)
    atomic.write_text(card, _card(policy, file, inputs, outputs, difference))
    return Exported(file, card, inputs, outputs, difference)


def _checked(
    graph: Graph, policy: LoadedPolicy, batch: str | int, onnx: Any, onnxruntime: Any
) -> tuple[bytes, tuple[Port, ...], tuple[Port, ...], float]:
    """Return the file's content, the ports and the difference to torch, for `batch` samples or ANY number of them.

    Raises ExportError where the graph cannot be made or run, or answers otherwise.
    """
    inputs, outputs = ports(policy, len(graph(*_random(policy, 1))), batch)
    model = onnx.load_from_string(_traced(graph, policy, inputs, outputs))
    for key, value in _metadata(policy, inputs, outputs).items():
        model.metadata_props.add(key=key, value=value)
    raw: bytes = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its errors are raised, too
    try:
        session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
        difference = _difference(graph, session, policy, inputs)
    except ExportError:
        raise
    except Exception as error:  # the package has errors of its own for each kind of fault
        raise ExportError(f"policy {policy.version}: ONNX cannot run its graph: {error}") from error
    return raw, inputs, outputs, difference


def require_exportable(policy: LoadedPolicy) -> None:
    """Raise ExportError for a policy whose answer is not one function of a fixed set of tensors."""
    name = f"policy {policy.version} ({policy.family})"
    if policy.inputs.texts:
        keys = ", ".join(spec.key for spec in policy.inputs.texts)
        raise ExportError(f"{name} reads words ({keys}), which its vocabulary encodes outside of a graph")
    if policy.inputs.optional:
        keys = ", ".join(policy.inputs.optional)
        raise ExportError(f"{name} may lack inputs ({keys}); a graph needs all of its inputs at each tick")
    if policy.settings.follows:
        raise ExportError(f"{name} reads the observations that follow, and drives no robot")
    graph, given = Graph(policy).eval(), _random(policy, 3)
    with torch.inference_mode():
        answers = [graph(*given, seed=seed)[0] for seed in (0, 1)]
    if not torch.equal(*answers):
        raise ExportError(
            f"{name} draws its answer by chance, and a graph has no generator; a recipe with one answer can be "
            "exported, such as bc_mlp, ensemble, two_step, act, or `--set policy.answer=likeliest` for moe"
        )


def ports(
    policy: LoadedPolicy, outputs: int, batch: str | int = ANY
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """Return the inputs and the outputs of a policy's graph with a number of `outputs`, for `batch` samples."""
    ticks = policy.history
    width = len(policy.inputs.groups)
    names, units = policy.inputs.features_of, policy.inputs.units
    given = [Port("state", (batch, ticks, width), "float64", "state features, not normalised", names, units)]
    for spec in policy.inputs.images:
        what = "frames, as decoded by the contract"
        given.append(Port(spec.key, (batch, ticks, *spec.shape), str(np.dtype(spec.dtype)), what))
    if ticks > 1:
        what = "which of the ticks exist; before the first one, the oldest is repeated"
        given.append(Port("existing", (batch, ticks), "bool", what))
    form = policy.form
    shape = (batch, policy.horizon, form.size)
    answered = [Port("actions", shape, "float64", "a chunk of actions", form.names, _action_units(policy))]
    if outputs > 1:
        answered.append(Port("uncertainty", (batch,), "float32", "the network's own, not calibrated"))
    return tuple(given), tuple(answered)


def _action_units(policy: LoadedPolicy) -> tuple[str, ...]:
    unit = {action.key: action.unit or "" for action in policy.contract.actions}
    plain = set(policy.contract.action_names)
    return tuple(unit[name.partition("/")[0]] if name in plain else "1" for name in policy.form.names)


def _random(policy: LoadedPolicy, count: int) -> tuple[Tensor, ...]:
    """Return random inputs of the graph, about as the demonstrations were, and some far from them."""
    rng, normaliser = np.random.default_rng(count), policy.normaliser
    shape = (count, policy.history)
    drawn = rng.standard_normal((*shape, len(policy.inputs.groups))) * rng.choice([0.5, 1, 4], (*shape, 1))
    given = [torch.from_numpy(normaliser.state.restore(drawn))]
    for spec in policy.inputs.images:
        pixels = rng.uniform(0, 255 if spec.dtype == np.uint8 else 2, (*shape, *spec.shape))
        given.append(torch.from_numpy(pixels.astype(spec.dtype)))
    if policy.history > 1:
        existing = np.arange(policy.history) >= rng.integers(0, policy.history, (count, 1))
        given.append(torch.from_numpy(existing))
    return tuple(given)


def _traced(graph: Graph, policy: LoadedPolicy, inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
    """Return the graph in ONNX; raises ExportError if torch cannot translate an operation."""
    names = [port.name for port in inputs], [port.name for port in outputs]
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            warnings.catch_warnings(),
            torch.inference_mode(),
        ):
            warnings.simplefilter("ignore")
            into = Path(folder) / "graph.onnx"
            torch.onnx.export(
                graph,
                _random(policy, 2 if inputs[0].shape[0] == ANY else 1),
                into,
                dynamo=False,  # the other exporter needs two packages more, and a minute
                opset_version=OPSET,
                input_names=names[0],
                output_names=names[1],
                dynamic_axes={port.name: {0: ANY} for port in (*inputs, *outputs) if port.shape[0] == ANY},
            )
            return into.read_bytes()
    except Exception as error:  # torch has errors of its own for each kind of operation
        first = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"policy {policy.version} ({policy.family}): torch cannot translate it to ONNX: {first}"
        ) from error


def _difference(graph: Graph, session: Any, policy: LoadedPolicy, inputs: Sequence[Port]) -> float:
    """Return the largest difference of ONNX's and torch's answers; raises ExportError if it is above TOLERANCE."""
    names = {each.name for each in session.get_inputs()}  # an input without influence is no part of the graph
    worst = 0.0
    for count in COUNTS if inputs[0].shape[0] == ANY else (1,):
        given = _random(policy, count)
        feed = {
            port.name: values.numpy()
            for port, values in zip(inputs, given, strict=True)
            if port.name in names
        }
        with torch.inference_mode():
            wanted = [answer.numpy() for answer in graph(*given)]
        found: list[Array] = session.run(None, feed)
        for mine, its in zip(wanted, found, strict=True):
            apart = float(np.abs(mine - its).max()) if mine.shape == its.shape else np.inf
            most = TOLERANCE * max(1.0, float(np.abs(mine).max()))
            if not apart <= most:
                raise ExportError(
                    f"policy {policy.version} ({policy.family}): ONNX answers otherwise than torch, by {apart:.3g} for "
                    f"{count} random inputs; nothing was written"
                )
            worst = max(worst, apart)
    return worst


def _metadata(policy: LoadedPolicy, inputs: Sequence[Port], outputs: Sequence[Port]) -> dict[str, str]:
    """Return what a program needs to use the graph, as JSON in the file's metadata."""

    def plain(port: Port) -> dict[str, Any]:
        return {"what": port.what, "names": list(port.names), "units": list(port.units)}

    return {
        "il_ros": json.dumps(
            {
                "version": policy.version,
                "family": policy.family,
                "contract": policy.contract.name,
                "contract_hash": policy.contract.hash,
                "rate_hz": policy.contract.rate_hz,
                "ports": {port.name: plain(port) for port in (*inputs, *outputs)},
            }
        )
    }


def _card(
    policy: LoadedPolicy, file: Path, inputs: Sequence[Port], outputs: Sequence[Port], difference: float
) -> str:
    """Return the card as Markdown."""
    contract = policy.contract
    lines = [
        f"# {shown(file.name)}",
        "",
        f"Policy {shown(policy.version)} of the family `{policy.family}` for the contract `{shown(contract.name)}` "
        f"({contract.hash}), {contract.rate_hz:g} times per second. ONNX, opset {OPSET}. On random inputs its answers "
        f"differ from torch's by at most {difference:.2g}.",
        "",
        "Clipping to the demonstrated range, normalisation and its inverse are inside the graph: give and take numbers "
        "in the units below. The safety limiter, and what the contract says of topics and rates, are not.",
    ]
    deltas = [action.key for action in contract.actions if action.mode == "delta"]
    if deltas:
        lines += [
            "",
            f"Differences to the measured value at the first tick: {', '.join(map(shown, deltas))}.",
        ]
    for title, some in (("Inputs", inputs), ("Outputs", outputs)):
        lines += ["", f"## {title}", "", "| name | shape | type | what |", "|---|---|---|---|"]
        lines += [
            f"| `{shown(port.name)}` | ({', '.join(map(str, port.shape))}) | {port.dtype} | {port.what} |"
            for port in some
        ]
        for port in some:
            if port.names:
                lines += [
                    "",
                    f"The last axis of `{port.name}`:",
                    "",
                    "| place | number | unit |",
                    "|---|---|---|",
                ]
                rows = enumerate(zip(port.names, port.units, strict=True))
                lines += [f"| {place} | {shown(name)} | {unit} |" for place, (name, unit) in rows]
    return "\n".join(lines) + "\n"
