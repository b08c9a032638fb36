"""What a success and a progress model say of a running episode, tick by tick, and when its success is sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import ObservationSpec
from il_ros.records.rating import Rating
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.settings import SuccessSettings
from il_ros.rewards.watch import ProgressWatch, SuccessWatch


class EpisodeJudge:
    """Rates one episode after the other by a success model, a progress model, or both.

    `end_at`: the probability that the success model must keep for its `hold_s` before the success is sure; its own
    threshold if that is higher. 0: an episode never ends by it. A success that is there when the episode begins, such
    as that of the episode before, does not count until it was gone.
    Raises ValueError when a model is of another family, when there is none, or on an `end_at` outside of 0..1.
    """

    def __init__(
        self,
        contract: Contract,
        success: LoadedReward | None,
        progressing: LoadedReward | None,
        end_at: float = 0.5,
    ) -> None:
        if success is None and progressing is None:
            raise ValueError("there is no model: success and progress are both empty")
        if not 0 <= end_at < 1:
            raise ValueError(f"end_at is {end_at:g}; it must be 0 (never) or a probability below 1")
        period_s = contract.period_ns / 1e9
        self._success, self._progressing, self._end_at = success, progressing, end_at
        self._sure = None if success is None else SuccessWatch(_surer(success, end_at), period_s)
        self._progress = None if progressing is None else ProgressWatch(progressing, period_s)
        self.begin("")

    @property
    def needs(self) -> tuple[ObservationSpec, ...]:
        """The observations that the models read."""
        models = [model for model in (self._success, self._progressing) if model is not None]
        return tuple({spec.key: spec for model in models for spec in model.inputs.sources}.values())

    def begin(self, episode: str) -> None:
        """Begin an episode; "": none is recorded."""
        self.episode, self._unfinished = episode, False
        for watch in (self._sure, self._progress):
            if watch is not None:
                watch.begin()

    def see(self, tick_ns: int, observation: Mapping[str, NDArray[Any]]) -> Rating:
        """Take the observation of a tick; raises PolicyError when it lacks what a model reads."""
        rating = Rating(tick_ns, self.episode)
        if self._sure is not None and self._success is not None:
            settings = self._success.settings
            assert isinstance(settings, SuccessSettings)
            sure = self._sure.see(observation, tick_ns)
            probability = self._sure.probability
            if not self._unfinished and probability < settings.decides_at:
                self._unfinished = True
                self._sure.forget()
                sure = False
            ends = sure and self._unfinished and self._end_at > 0
            rating = replace(rating, success=self._success.version, probability=probability, ends=ends)
        if self._progress is not None and self._progressing is not None:
            stalled = self._progress.see(observation, tick_ns)
            rating = replace(
                rating,
                progressing=self._progressing.version,
                progress=self._progress.progress,
                stalled=stalled,
                why=self._progress.words(),
            )
        return rating


def _surer(success: LoadedReward, end_at: float) -> LoadedReward:
    """Return the model with the threshold from which its success is sure."""
    settings = success.settings
    if not isinstance(settings, SuccessSettings):
        return success  # `SuccessWatch` refuses it
    return replace(success, settings=replace(settings, threshold=max(settings.decides_at, end_at)))
