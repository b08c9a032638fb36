"""A recipe that trains with own steps in an environment: policy, reward, agent, and the learner's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from il_ros.core import settings
from il_ros.core.plugins import PluginError
from il_ros.core.settings import SettingsError
from il_ros.policies.families.actor import Actor
from il_ros.policies.runner import LoadedPolicy
from il_ros.rewards.adversarial import GailSettings
from il_ros.rewards.registry import RewardSettings, reward_family
from il_ros.rl.agents.agent import AgentSettings, CloneUse
from il_ros.rl.learner import Imitation
from il_ros.rl.reward_source import MODEL, SQIL, TASK
from il_ros.rl.steps.judge import ModelReward
from il_ros.training.recipe import changed_values, require_keys
from il_ros.training.trainer.recipe_file import OWN_STEPS, read

SECTIONS = ("policy", "reward", "agent", "clone", OWN_STEPS)
_FAMILY = "actor"
OF_CLONE = ("inputs", "hidden", "activation")
"""The settings of a policy that a training which goes on from a clone takes from it."""
_LATER = {
    "policy": ("activation",),
    "reward": ("absorbing_distance",),
    "agent": ("actor_rate", "entropy", "entropy_bonus", "correlation"),
    "clone": tuple(settings.plain(CloneUse())),
    OWN_STEPS: ("updates", "ahead", "keep_successes", "short_demonstrations", "level"),
}
"""Keys by section that recipes did not have at first."""


@dataclass(frozen=True)
class ImitationRecipe:
    """`family`: of the reward, or SQIL or TASK, whose `reward` is None, or MODEL with a `ModelReward`."""

    family: str = "gail"
    policy: Actor = field(default_factory=Actor)
    reward: RewardSettings | None = field(default_factory=GailSettings)
    agent: AgentSettings = field(default_factory=AgentSettings)
    clone: CloneUse = field(default_factory=CloneUse)
    imitation: Imitation = field(default_factory=Imitation)

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary, the inverse of `from_plain`."""
        reward = {} if self.reward is None else settings.plain(self.reward)
        return {
            "family": _FAMILY,
            "policy": settings.plain(self.policy),
            "reward": {"family": self.family, **reward},
            "agent": settings.plain(self.agent),
            "clone": settings.plain(self.clone),
            OWN_STEPS: settings.plain(self.imitation),
        }

    def identity(self) -> dict[str, Any]:
        """Return what a resumed training must have in common with the interrupted one.

        Keys that came later are left out at their first default: trainings of before have none.
        """
        plain, former = self.to_plain(), ImitationRecipe().to_plain()
        for section, keys in _LATER.items():
            for key in keys:
                if key in plain[section] and plain[section][key] == former[section][key]:
                    del plain[section][key]
        return {key: value for key, value in plain.items() if value or key not in _LATER}

    def going_on_from(self, start: LoadedPolicy | None, changes: Sequence[str] = ()) -> ImitationRecipe:
        """Return the recipe with the OF_CLONE settings of an actor, unless `changes` (`key=value`) name them.

        Without a policy, or with one that is no actor, it is the same recipe.
        """
        if start is None or not isinstance(start.settings, Actor):
            return self
        named = {change.partition("=")[0].strip().removeprefix("policy.") for change in changes}
        own = {name: getattr(start.settings, name) for name in OF_CLONE if name not in named}
        return replace(self, policy=replace(self.policy, **own))

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], source: str) -> ImitationRecipe:
        """Return the recipe for `values`; raises SettingsError naming the wrong key."""
        require_keys(values, ("family", *SECTIONS), source)
        if values.get("family", _FAMILY) != _FAMILY:
            raise SettingsError(f"{source}: family: own steps train the family '{_FAMILY}' only")
        given = values.get("reward")
        if not isinstance(given, Mapping) or not isinstance(given.get("family"), str):
            raise SettingsError(
                f"{source}: reward: needs the key 'family', such as gail, {SQIL}, {TASK} or {MODEL}"
            )
        own = {key: value for key, value in given.items() if key != "family"}
        return cls(
            given["family"],
            settings.build(Actor, values.get("policy"), f"{source}: policy"),
            _reward(given["family"], own, f"{source}: reward"),
            settings.build(AgentSettings, values.get("agent"), f"{source}: agent"),
            settings.build(CloneUse, values.get("clone"), f"{source}: clone"),
            settings.build(Imitation, values.get(OWN_STEPS), f"{source}: {OWN_STEPS}"),
        )


def load(name: str | Path, changes: Sequence[str] = ()) -> ImitationRecipe:
    """Return the recipe in a file, or the one shipped under that name in config/training.

    `changes`: `key=value` strings that override the file, such as `steps=2000` or `agent.rate=3e-4`.
    Raises SettingsError naming the file or change, the key, and the valid alternatives.
    """
    values, source = read(name, SECTIONS)
    recipe = ImitationRecipe.from_plain(values, source)
    if not changes:
        return recipe
    values = recipe.to_plain()
    values["reward"] = _reward_values(values["reward"], changes)
    return ImitationRecipe.from_plain(changed_values(values, changes), "--set")


def _reward_values(given: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return the reward's values, or the defaults of the family that `changes` name instead: it has keys of its own."""
    pairs = [change.partition("=") for change in changes]
    chosen = [text.strip() for key, _, text in pairs if key.strip() in ("family", "reward.family")]
    if not chosen or chosen[-1] == given["family"]:
        return given
    name = chosen[-1]
    try:
        kind = (
            None if name in (SQIL, TASK) else ModelReward if name == MODEL else reward_family(name).settings
        )
    except PluginError:  # `from_plain` says so
        return given
    own = {} if kind is None else {each.name: each.default for each in fields(kind)}
    return {"family": name, **own}


def _reward(name: str, values: Mapping[str, Any], source: str) -> RewardSettings | None:
    if name in (SQIL, TASK):
        require_keys(values, (), source) if values else None
        return None
    if name == MODEL:
        rated: RewardSettings = settings.build(ModelReward, values, source)
        return rated
    try:
        kind = reward_family(name)
    except PluginError as error:
        others = f"{SQIL} and {TASK} need no model, {MODEL} the path of one"
        raise SettingsError(f"{source}: family: {error}; {others}") from error
    made: RewardSettings = settings.build(kind.settings, values, source)
    return made
