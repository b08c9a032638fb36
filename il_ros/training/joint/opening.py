"""The data set and the recipe of a joint training: the episodes of several contracts for one policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract
from il_ros.core.tables import counted, listed
from il_ros.episodes.arrays.dataset import Dataset, DatasetError, DatasetSummary
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.catalogue import Entry, Omission, Selection, usable_in
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.joint.contracts import JoinedContract, joined
from il_ros.policies.joint.part import joint_settings, part_settings
from il_ros.policies.uncertainty import RAW
from il_ros.training import saved
from il_ros.training.auto import rules
from il_ros.training.joint.episodes import in_union
from il_ros.training.recipe import Recipe
from il_ros.training.trainer.plans import TrainingPlan

Progress = Callable[[Sequence[Entry]], Iterable[Entry]]


@dataclass(frozen=True)
class EpisodeSource:
    """The episodes of one contract in one folder. `label`: what their names begin with in the joint data set."""

    folder: Path
    contract: Contract
    names: tuple[str, ...]
    label: str

    def renamed(self, episode: str) -> str:
        """Return the name of one of its episodes in the joint data set."""
        return f"{self.label}.{episode}"


class JointEpisodes:
    """The episodes of a plan's folders, which `trainer.opening.opened` reads by one recipe.

    Raises ValueError on contracts that cannot be joined, and on weights of unknown contracts.
    """

    def __init__(self, plan: TrainingPlan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self._sources = sources_in((plan.data, *plan.further))
        self._parts = {source.contract.name: source.contract for source in self._sources}
        self._own = joined(tuple(self._parts.values()))
        self._weights = _weights(plan.weights, tuple(self._parts))

    def choose(self, found: Sequence[Dataset] | None) -> Recipe:
        """Return the recipe that `auto` chooses for all contracts; None: the one to read the episodes by.

        Raises ValueError when it chooses different ones.
        """
        episodes: dict[str, list[EpisodeArrays]] = {name: [] for name in self._parts}
        for source, dataset in zip(self._sources, found or (), strict=found is not None):
            episodes[source.contract.name] += dataset.train
        changes = self._plan.changes
        return _agreed(
            {name: rules.chosen(self._parts[name], some, changes) for name, some in episodes.items()}
        )

    def read(self, recipe: Recipe) -> list[Dataset]:
        """Return the data set of each source, under its own contract; raises DatasetError when one has no episode."""
        plan, own = self._plan, self._own
        policy = joint_settings(recipe.policy, own)
        Inputs.for_policy(own, policy)  # unknown inputs are an error before the data are read
        before = saved.data(plan.out) if plan.resume else None
        found = []
        for source in self._sources:
            select = Selection(plan.outcomes, plan.tasks, source.names, poor=plan.poor)
            held_out: list[str] | None = None
            if before is not None:
                known = {source.renamed(name): name for name in source.names}
                select = Selection(
                    names=[known[name] for part in before.values() for name in part if name in known],
                    poor=True,
                )
                held_out = [known[name] for name in before["validation"] if name in known]
            settings = part_settings(policy, own, source.contract)
            try:
                found.append(
                    Dataset.open(
                        *(source.folder, source.contract, select),
                        held_out=held_out,
                        progress=self._progress,
                        optional=Inputs.for_policy(source.contract, settings).may_lack,
                        jobs=0,
                        **recipe.reading(),
                    )
                )
            except DatasetError as error:
                raise DatasetError(f"contract '{source.contract.name}': {error}") from error
        return found

    def whole(self, found: Sequence[Dataset], recipe: Recipe) -> tuple[Dataset, Recipe]:
        """Return the joint data set and its recipe; raises ValueError as `joint_recipe`."""
        return joint_dataset(self._own, self._sources, found, self._weights), joint_recipe(recipe, self._own)


def sources_in(folders: Sequence[Path]) -> list[EpisodeSource]:
    """Return the sources in folders, one for each folder and contract; raises ValueError as `scan`."""
    found: list[EpisodeSource] = []
    parsed: dict[str, Contract] = {}  # by text: episodes share a few
    for folder in folders:
        episodes: dict[tuple[str, str], tuple[Contract, list[str]]] = {}
        for entry in usable_in(folder):
            if entry.info is not None and (text := entry.info.contract_text):
                if text not in parsed:
                    parsed[text] = contracts.parse(text, f"{entry.folder} (its contract)")
                own = parsed[text]
                episodes.setdefault((own.name, own.hash), (own, []))[1].append(entry.name)
        if not episodes:
            raise ValueError(f"{folder}: no episode records its contract")
        for own, names in episodes.values():
            before = sum(source.contract.name == own.name for source in found)
            label = own.name if not before else f"{own.name}-{before + 1}"
            found.append(EpisodeSource(folder, own, tuple(names), label))
    return found


def joint_recipe(recipe: Recipe, own: JoinedContract) -> Recipe:
    """Return the recipe for a joined contract; raises ValueError on what has no meaning for several contracts."""
    if recipe.training.mirror:
        raise ValueError("training.mirror has no meaning for several contracts; leave it out")
    if recipe.training.uncertainty != RAW:
        raise ValueError(
            f"training.uncertainty is {recipe.training.uncertainty}; for several contracts only {RAW} is possible"
        )
    # an input that another robot lacks is never missing on the robot that has it
    training = replace(recipe.training, input_dropout=0.0)
    return replace(recipe, policy=joint_settings(recipe.policy, own), training=training)


def joint_dataset(
    own: JoinedContract,
    sources: Sequence[EpisodeSource],
    found: Sequence[Dataset],
    weights: Mapping[str, float],
) -> Dataset:
    """Return the data sets of all sources as one; `weights`: that of a frame of each contract, 1 without an entry."""
    sizes = {part.name: ActionForm(part).size for part in own.parts}
    most = max(sizes.values())
    train: list[EpisodeArrays] = []
    validation: list[EpisodeArrays] = []
    skipped: Counter[str] = Counter()
    left_out: dict[str, str] = {}
    omissions: dict[str, Omission] = {}
    warnings: list[str] = []
    notes: list[str] = []
    for source, dataset in zip(sources, found, strict=True):
        part, summary = source.contract, dataset.summary
        # the loss is a mean over commanded numbers, of which each frame shall have the same share
        weight = weights.get(part.name, 1.0) * (most / sizes[part.name] if own.grouped else 1.0)
        for to, some in ((train, dataset.train), (validation, dataset.validation)):
            to += [in_union(each, own, part, source.renamed(each.name), weight) for each in some]
        skipped.update(summary.skipped)
        for name, reason in summary.left_out:
            if name in source.names:  # the others in its folder belong to other contracts
                left_out[source.renamed(name)] = reason
                omissions[source.renamed(name)] = summary.omissions[name]
        warnings += [f"{source.label}: {warning}" for warning in summary.warnings]
        episodes = len(summary.train) + len(summary.validation)
        notes.append(f"{source.label}: {counted(episodes, 'episode')}, {counted(summary.frames, 'frame')}")
        notes += [f"{source.label}: {note}" for note in summary.notes]
    summary = DatasetSummary(
        train=tuple(episode.name for episode in train),
        validation=tuple(episode.name for episode in validation),
        frames=sum(dataset.summary.frames for dataset in found),
        skipped=dict(skipped.most_common()),
        left_out=tuple(left_out.items()),
        warnings=tuple(warnings),
        omissions=omissions,
        notes=tuple(notes),
    )
    return Dataset(own, tuple(train), tuple(validation), summary)


def _agreed(recipes_by_part: Mapping[str, Recipe]) -> Recipe:
    """Return the recipe of several contracts, of which the family and its settings must be one; the longest of them."""
    found = list(recipes_by_part.values())
    if any((each.family, each.policy) != (found[0].family, found[0].policy) for each in found):
        chosen = "".join(f"\n  '{name}': {recipe.reason}" for name, recipe in recipes_by_part.items())
        raise ValueError(f"auto chooses different recipes for the contracts; name one with --recipe:{chosen}")
    longest = max(found, key=lambda recipe: recipe.training.epochs)
    told = "".join(f"\n'{name}': {recipe.reason}" for name, recipe in recipes_by_part.items())
    told = f"auto looked at the episodes of each contract:{told}"
    return replace(longest, reason=told)


def _weights(given: Sequence[str], known: Sequence[str]) -> dict[str, float]:
    """Return the weight of each contract's frames; raises ValueError on a weight that is not NAME=NUMBER."""
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = 0.0
        if name not in known:
            raise ValueError(f"--weight {text}: there is no contract '{name}'; there are: {listed(known)}")
        if not (0 < weight < float("inf")):
            raise ValueError(
                f"--weight {text}: must be CONTRACT=NUMBER with a finite number above 0, such as {name}=2"
            )
        found[name] = weight
    return found
