"""The verdict of a success model as the outcome of episodes that nobody has marked, where it is sure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from scipy.special import expit  # type: ignore[import-untyped]

from il_ros.episodes.layout import load_info
from il_ros.records.outcomes import FAILURE, SUCCESS, UNMARKED
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.settings import SuccessSettings
from il_ros.rewards.watch import hold_ticks
from il_ros.training.rewards.calibration import clearest
from il_ros.training.rewards.rating import Rated


@dataclass(frozen=True)
class ModelVerdict:
    """`probability`: of success, by the clearest moment of the episode. `outcome`: unmarked where it is not sure."""

    outcome: str
    probability: float


def verdict_of(reward: LoadedReward, rated: Rated, sure: float) -> ModelVerdict:
    """Return the verdict of a success model: a success from the probability `sure` on, a failure up to 1 - `sure`.

    Raises ValueError when the reward is no success model or `sure` is not between 0.5 and 1.
    """
    settings = reward.settings
    if not isinstance(settings, SuccessSettings):
        raise ValueError(
            f"reward {reward.version} is of the family {reward.family}; only a success model gives verdicts"
        )
    if not 0.5 < sure < 1:
        raise ValueError(f"sure is {sure:g}; it must be above 0.5 and below 1")
    ticks = hold_ticks(settings, rated.episode.period_ns / 1e9)
    probability = float(expit(clearest(rated.reward, ticks)))
    outcome = SUCCESS if probability >= sure else FAILURE if probability <= 1 - sure else UNMARKED
    return ModelVerdict(outcome, probability)


def mark(folder: Path, verdict: ModelVerdict, version: str) -> None:
    """Write the verdict of the model `version` as the outcome of the episode in `folder`.

    Raises LayoutError when the episode has no description, OSError when it cannot be written, ValueError when a person
    has marked it: that stays.
    """
    info = load_info(folder)
    if info.outcome != UNMARKED and not info.outcome_by:
        raise ValueError(f"{folder.name}: is marked {info.outcome} by a person")
    by = "" if verdict.outcome == UNMARKED else f"{version}, p = {verdict.probability:.2f}"
    replace(info, outcome=verdict.outcome, outcome_by=by).save(folder)
