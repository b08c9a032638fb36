"""Reinforcement learning from recorded episodes: the learner of a policy that drives elsewhere, such as on a robot.

The actor is the policy server with the supervisor; the recorder's bags carry what happened (as HIL-SERL's queue does,
Luo et al. 2024): the command of each tick, who drove, and the verdict, which is the reward. A person's steps are
demonstrations. Each training goes on from a version and its critics, with the steps recorded since.

OUT/checkpoint/, version.json   as of any training
    resume/                     agent, and how often it was updated: what the next training goes on from
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from il_ros.core.contract import Contract
from il_ros.core.contract_differences import another_contract
from il_ros.core.share import package_version
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies import checkpoint, lineage
from il_ros.policies.families.actor import ActorNetwork, is_choice
from il_ros.policies.families.guided import GuidedNetwork
from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.policies.lineage import Lineage
from il_ros.policies.protocol import Model
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.versions import CHECKPOINT
from il_ros.records.outcomes import OUTCOMES
from il_ros.rl.agents.agent import Shape
from il_ros.rl.learner import make_agent
from il_ros.rl.optimiser import named, under
from il_ros.rl.recipe import OF_CLONE, ImitationRecipe
from il_ros.rl.reward_source import TASK, Earned
from il_ros.rl.steps.buffer import EnvironmentStep, StepBuffer, joined
from il_ros.rl.steps.demonstrations import deviation_of, recorded_steps
from il_ros.rl.steps.world import Scales
from il_ros.training import outputs, saved
from il_ros.training.device import torch_settings
from il_ros.training.loop import TrainingError
from il_ros.training.recipe import policy_differences


@dataclass(frozen=True)
class RecordedOutcome:
    """`policy` as it is on disk. `updates` of this training; `finished`: it was not stopped by the caller."""

    policy: LoadedPolicy
    updates: int
    finished: bool


def unusable(start: LoadedPolicy, contract: Contract, recipe: ImitationRecipe) -> str:
    """Return why a training from recorded steps cannot go on from a policy, "" if it can."""
    if another := another_contract(contract, start.contract):
        return another
    network = start.network
    if not isinstance(_clone_in(network), ActorNetwork):
        return f"family is {start.family}; one of actor or guided is needed"
    before, now = ({name: getattr(of, name) for name in OF_CLONE} for of in (start.settings, recipe.policy))
    for difference in policy_differences(before, now):
        return difference
    if isinstance(network, GuidedNetwork) and start.settings.way != recipe.clone.use:
        return f"it uses its clone as {start.settings.way}, the recipe as {recipe.clone.use}"
    return ""


class RecordedLearner:
    """One agent and the steps of all episodes; `earlier`: the state that a training before left, None: a clone's.

    An episode that was cut off, failed or succeeded is experience; what a person did, and with `keep_successes` an
    episode that succeeded, is also demonstrated. Raises ValueError when nothing was demonstrated, or `earlier` is of
    other settings.
    """

    def __init__(
        self,
        recipe: ImitationRecipe,
        scales: Scales,
        episodes: Sequence[Sequence[EnvironmentStep]],
        start: LoadedPolicy,
        earlier: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._settings, self._scales, self._discount = recipe.imitation, scales, recipe.agent.discount
        shape = Shape(1, len(scales.inputs.groups), scales.form.size, recipe.policy)
        room = sum(len(steps) + 1 for steps in episodes)  # with an absorbing state each
        self._own, self._shown = (StepBuffer(1, room, shape.inputs, shape.actions) for _ in range(2))
        for steps in episodes:
            for step in steps:
                self._own.add(0, step)
            succeeded = bool(steps) and steps[-1].terminated and steps[-1].earned > 0
            whole = succeeded and self._settings.keep_successes
            for step in steps:
                if whole or step.shown:
                    self._shown.add(0, step)
        if not self._shown.counts[0]:
            raise ValueError(
                "no recorded step was demonstrated or led to a success: show the task, correct the policy, or mark "
                "successes"
            )
        every = [step for steps in episodes for step in steps]
        shown = [step for step in every if step.shown] or every
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._settings.seed)
            self._agent = make_agent(
                scales.contract, shape, recipe.agent, recipe.clone.of_recorded(), (0.0, 1.0)
            )
        network = start.network
        clone = _clone_in(network)
        assert isinstance(clone, ActorNetwork)
        self._agent.take_from(clone, deviation_of(shown, clone))
        self._rng = torch.Generator().manual_seed(self._settings.seed)
        self.updates = 0
        """The number of updates, with those of the trainings before."""
        if earlier is not None:
            try:
                self._agent.restore(under("agent", earlier))
            except (KeyError, RuntimeError) as error:
                raise ValueError(
                    f"--from {start.version}: its critics have other settings than the recipe's (agent.hidden, "
                    f"clone.use); keep them, or go on from the clone: {error}"
                ) from error
            self._rng.set_state(earlier["rng"])
            self.updates = int(earlier["updates"])
        elif isinstance(network, GuidedNetwork):
            self._agent.take_back(network, 0)

    @property
    def frozen(self) -> int:
        """The number of updates that are left before the policy moves."""
        return max(0, self._settings.frozen_steps - self.updates)

    def update(self) -> dict[str, float]:
        """Learn from one batch, half of it demonstrated; of `updates` the last one reaches the policy.

        Raises FloatingPointError when a loss is not finite.
        """
        settings = self._settings
        own, shown = (
            buffer.draw(settings.batch, self._rng, settings.ahead, self._discount)
            for buffer in (self._own, self._shown)
        )
        both = joined(own, shown, 1)
        values_only = self.frozen > 0 or (self.updates + 1) % settings.updates > 0
        self.updates += 1
        step = self._agent.update_values if values_only else self._agent.update
        return step(both, Earned().of(both), self._rng)

    def policy(self, version: str, metrics: Mapping[str, Any]) -> LoadedPolicy:
        """Return the present policy."""
        contract, normaliser = self._scales.contract, self._scales.normaliser
        built = (self._agent.family, self._agent.policy, contract, normaliser)
        with torch.random.fork_rng(devices=[]):
            network = make_network(*built)
        self._agent.put_into(network, 0)
        return LoadedPolicy(contract, built[0], built[1], network, normaliser, version, dict(metrics))

    def tensors(self) -> dict[str, Tensor]:
        """Return what the next training goes on from."""
        state = {"rng": self._rng.get_state(), "updates": torch.tensor(self.updates)}
        return named("agent", self._agent.tensors()) | state

    def curves_plain(self) -> list[dict[str, Any]]:
        """Return no curves: how good a version is says the promotion."""
        return []

    def restore(self, tensors: Mapping[str, Tensor], curves: list[dict[str, Any]]) -> None:
        """Raise ValueError: a training from recorded steps is begun again, from the same version."""
        raise ValueError("a training from recorded steps cannot be resumed; begin it again")


def train_recorded(
    dataset: Dataset,
    recipe: ImitationRecipe,
    out: Path,
    start: LoadedPolicy,
    earlier: Mapping[str, Tensor] | None = None,
    *,
    version: str = "",
    seconds: float = 0.0,
    on_update: Callable[[int, int, Mapping[str, float]], bool] = lambda *_: True,
    clock: Callable[[], float] = time.monotonic,
) -> RecordedOutcome:
    """Train from recorded episodes and write the result to `out`.

    `dataset`: episodes as arrays of the rule `labelling.DRIVEN`. `earlier`: `earlier_state` of `start`. There are
    `updates` of the recipe for each step that `start` has not learnt from, after `frozen_steps` of the critics alone.
    `seconds`: a limit to all of them, 0: none; the training after it goes on with what is left of the frozen ones.
    `on_update(done, wanted, measured)` is called after each; returning False stops the training.
    Raises ValueError on settings or episodes that cannot be used, TrainingError on a number that is not finite,
    OutputError and OSError as `training.run.train`.
    """
    outputs.require_writable(out)
    checkpoint.require_text(dataset.contract)
    _require_fit(dataset, recipe, start)
    inputs = Inputs.for_policy(dataset.contract, recipe.policy)
    scales = Scales(dataset.contract, inputs, start.normaliser, start.form)
    known = set(start.metrics.get("data", {}).get("train", ())) if earlier is not None else set()
    steps = {episode.name: recorded_steps(episode, scales) for episode in dataset.train}
    new = sum(len(each) for name, each in steps.items() if name not in known)
    with torch_settings(threads=1):
        learner = RecordedLearner(recipe, scales, list(steps.values()), start, earlier)
        wanted = learner.frozen + recipe.imitation.updates * new
        began_s, done, finished = clock(), 0, True
        try:
            while done < wanted and not (seconds and clock() - began_s > seconds):
                measured = learner.update()
                done += 1
                if not on_update(done, wanted, measured):
                    finished = False
                    break
        except FloatingPointError as error:
            raise TrainingError(
                f"update {learner.updates}: {error}; {start.version} stays as it is"
            ) from error
        metrics = _metrics(dataset, start) | {
            "updates": learner.updates,
            "new_steps": new,
            "finished": finished,
        }
        out.mkdir(parents=True, exist_ok=True)
        checkpoint.save(out / CHECKPOINT, learner.policy(version, metrics))
        identity = {"recipe": recipe.to_plain(), "contract": dataset.contract.hash, "data": metrics["data"]}
        saved.save(out, learner, identity)
    policy = checkpoint.load(out / CHECKPOINT)
    kept = ("updates", "new_steps", "outcomes", "finished")
    made = (policy.version, policy.metrics, kept, recipe.to_plain(), policy.contract.hash)
    lineage.write(out, Lineage.of_training(*made))
    return RecordedOutcome(policy, done, finished)


def earlier_state(run: Path) -> Mapping[str, Tensor] | None:
    """Return what a training from recorded steps left in its folder for the next one; None where it was another one.

    Raises TrainingError when it is damaged.
    """
    found = saved.tensors(run)
    return found if found is not None and {"updates", "rng"} <= found.keys() else None


def _clone_in(network: Model) -> Model:
    """Return the clone beside which a guided actor learns; another network is the clone itself."""
    return network.clone if isinstance(network, GuidedNetwork) else network


def _require_fit(dataset: Dataset, recipe: ImitationRecipe, start: LoadedPolicy) -> None:
    if recipe.family != TASK:
        raise ValueError(
            f"reward: '{recipe.family}'; of recorded steps the reward is the verdict of their episode: {TASK} is needed"
        )
    if is_choice(dataset.contract):
        raise ValueError("the action is a choice; learning from recorded steps needs numbers")
    if recipe.imitation.seeds != 1:
        raise ValueError(
            f"seeds is {recipe.imitation.seeds}; one policy learns from recorded steps: 1 is needed"
        )
    if why := unusable(start, dataset.contract, recipe):
        raise ValueError(f"--from {start.version}: {why}")


def _metrics(dataset: Dataset, start: LoadedPolicy) -> dict[str, Any]:
    return {
        "data": {"train": [episode.name for episode in dataset.train], "validation": []},
        "outcomes": {
            outcome: sum(episode.outcome == outcome for episode in dataset.train) for outcome in OUTCOMES
        },
        "tasks": sorted({episode.task for episode in dataset.train if episode.task}),
        "frames": sum(len(episode) for episode in dataset.train),
        "reward": TASK,
        "parent": start.version,
        "il_ros": package_version(),
        "torch": str(torch.__version__),
    }
