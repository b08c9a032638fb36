"""The settings of the trainings of success and progress models, without torch."""

from __future__ import annotations

from il_ros.rewards.settings import FrameSettings, ProgressSettings, SuccessSettings
from il_ros.training.recipe import Training

TRAINING = Training(
    epochs=40, batch_size=32, learning_rate=3e-3, shift_px=6, state_noise=0.05, weight_decay=1e-4
)
"""The settings of a training, unless they are changed."""
FAMILIES: dict[str, type[FrameSettings]] = {"success": SuccessSettings, "progress": ProgressSettings}
"""The families that are learnt from episodes with verdicts, with their settings."""
