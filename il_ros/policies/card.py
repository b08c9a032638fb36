"""The model card of a checkpoint: what a policy is, what it learnt from, how well, and where it must not be used.

It is made from what the checkpoint holds. After Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from il_ros.core import settings
from il_ros.core.tables import counted, shown
from il_ros.policies.runner import LoadedPolicy

FILE = "card.md"
MOST_EPISODES = 1000


def card(policy: LoadedPolicy, version: str) -> str:
    """Return the card of a policy as Markdown; a fact that the checkpoint does not have is left out."""
    return "\n".join(_lines(policy, version)) + "\n"


def _lines(policy: LoadedPolicy, version: str) -> Iterator[str]:
    metrics, contract = policy.metrics, policy.contract
    yield f"# Policy {shown(version)}"
    yield ""
    yield f"A policy of the family `{policy.family}` for the contract `{shown(contract.name)}` ({contract.hash})."
    if metrics.get("parent"):
        yield f"Its training began with the weights of {shown(str(metrics['parent']))}."
    if metrics.get("transfer"):
        yield f"They are of another task or robot: {_in_one_line(metrics['transfer'])}."
    if metrics.get("finished") is False:
        yield "**Its training was stopped early.**"
    yield ""
    yield f"- Observes: {', '.join(spec.key for spec in policy.inputs.sources)}"
    for key, formula in policy.inputs.formulas.items():
        yield f"- Derives: {key} = {formula}"
    yield f"- Commands: {', '.join(contract.action_names)}, {contract.rate_hz:g} times per second"
    yield f"- Settings: {_listed(settings.plain(policy.settings))}"
    if metrics.get("reason"):
        yield f"- Why: {_in_one_line(metrics['reason'])}"
    if metrics.get("training"):
        yield f"- Training: {_listed(metrics['training'])}"
    made_by = [f"{name} {metrics[name]}" for name in ("il_ros", "torch") if metrics.get(name)]
    if made_by:
        yield f"- Made by: {', '.join(made_by)}"
    yield from _data(metrics)
    yield from _measured(metrics)
    yield from _limits(policy)


def _in_one_line(text: object) -> str:
    return shown("; ".join(line.strip() for line in str(text).splitlines()))


def _data(metrics: Mapping[str, Any]) -> Iterator[str]:
    data, hashes = metrics.get("data") or {}, metrics.get("hashes") or {}
    if not any(data.values()):
        return
    yield from ("", "## Data", "")
    tasks = ", ".join(map(shown, metrics.get("tasks") or ())) or "not named"
    frames = counted(metrics.get("frames") or 0, "labelled frame")
    corrected = metrics.get("corrections")
    yield f"{frames}{f', {corrected} of them corrections' if corrected else ''}; task: {tasks}."
    yield from ("", "| episode | used for | SHA-256 of its numbers and labels |", "|---|---|---|")
    rows = [(name, part) for part, names in data.items() for name in names]
    for name, part in rows[:MOST_EPISODES]:
        yield f"| {shown(name)} | {part} | {hashes.get(name, '')} |"
    if len(rows) > MOST_EPISODES:
        yield f"| and {len(rows) - MOST_EPISODES} more, see config.json | | |"


def _measured(metrics: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "train_loss": "training loss",
        "validation_loss": "loss on held-out episodes",
        "epochs": "epochs",
        "best_epoch": "kept epoch",
        "steps": "steps",
    }
    found = [
        (word, metrics[key]) for key, word in words.items() if isinstance(metrics.get(key), (int, float))
    ]
    if not found:
        return
    yield from ("", "## Measured", "")
    yield from (f"- {word}: {value:.6g}" for word, value in found)
    yield from _tested(metrics.get("tests") or {})
    yield ""
    yield "A loss is no success rate: `il-ros evaluate` measures that in simulation, trials measure it on the robot."


def _tested(tests: Mapping[str, Any]) -> Iterator[str]:
    """Say what tests in the simulator found during the training."""
    if tests.get("mean_return") is None:
        return
    starts, success = tests["starts"], tests["success"]
    if success is None:
        found = f"return in the simulator: {tests['mean_return']:.4g}, mean of {counted(starts, 'episode')}"
    else:
        found = f"success in the simulator: {round(success * starts)} of {counted(starts, 'episode')}"
    best = f"; chosen as the best of {counted(tests['times'], 'test')}, so it is likely to do less well from others"
    yield f"- {found}{best if tests['chosen'] else ''}"


def _limits(policy: LoadedPolicy) -> Iterator[str]:
    yield from ("", "## Limits", "")
    yield "Outside of the ranges below it is untested. It does not replace a safety-rated stop."
    range_of = policy.normaliser.shown
    if range_of is None:
        yield "The checkpoint is from before ranges were kept."
        return
    still = policy.inputs.names_where(range_of.still)
    if still:
        yield f"It does not react to these, which never moved in the demonstrations: {', '.join(still)}."
    yield from ("", "| input | from | to | unit |", "|---|---|---|---|")
    names, units = policy.inputs.features_of, policy.inputs.units
    for name, low, high, unit in zip(names, range_of.lower, range_of.upper, units, strict=True):
        yield f"| {shown(name)} | {low:.4g} | {high:.4g} | {unit} |"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())
