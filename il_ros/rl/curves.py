"""The curves of a training with own steps: the evaluations of all seeds, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from il_ros.core import atomic
from il_ros.core.plot_style import POLICY, QUIET, STYLE, save
from il_ros.training.metrics.curves import PICTURE, TABLE
from il_ros.training.metrics.seeds import interval


@dataclass(frozen=True)
class SeedScore:
    """The evaluation of one seed's policy after `step` own steps. `success`: the rate; None: it is not defined.

    `kept`: the policy was the best one so far. `measured`: running means over all seeds. `episodes`: those begun by all
    seeds. `verdict`: the gate's, see `gate`; "" without a clone.
    """

    step: int
    seed: int
    mean_return: float
    success: float | None = None
    kept: bool = False
    measured: dict[str, float] = field(default_factory=dict)
    episodes: int = 0
    verdict: str = ""

    @property
    def score(self) -> tuple[float, float]:
        """What policies are compared by: success first, then the return."""
        return (self.success or 0.0, self.mean_return)


def write_table(folder: Path, scores: Sequence[SeedScore]) -> None:
    """Write curves.csv: a header and one row per evaluation and seed."""
    names = list(dict.fromkeys(name for score in scores for name in score.measured))
    rows = [
        [
            str(score.step),
            str(score.seed),
            repr(score.mean_return),
            "" if score.success is None else repr(score.success),
            str(score.kept),
            *(repr(score.measured[name]) if name in score.measured else "" for name in names),
            str(score.episodes),
            score.verdict,
        ]
        for score in scores
    ]
    header = ["step", "seed", "return", "success", "kept", *names, "episodes", "verdict"]
    text = "\n".join(",".join(row) for row in [header, *rows]) + "\n"
    atomic.write_text(folder / TABLE, text, durable=False)


def write_picture(folder: Path, scores: Sequence[SeedScore]) -> None:
    """Plot curves.png: success, or the return, of each seed over its own steps, with mean and interval."""
    import matplotlib
    from matplotlib.figure import Figure

    judged = any(score.success is not None for score in scores)
    by_step: dict[int, list[float]] = {}
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        for seed in sorted({score.seed for score in scores}):
            own = [score for score in scores if score.seed == seed]
            values = [float((score.success or 0.0) if judged else score.mean_return) for score in own]
            axes.plot([score.step for score in own], values, color=QUIET, linewidth=0.8)
            for score, value in zip(own, values, strict=True):
                by_step.setdefault(score.step, []).append(value)
        steps = sorted(by_step)
        mean, low, high = np.array([interval(by_step[step]) for step in steps]).T
        axes.plot(steps, mean, color=POLICY, label=f"mean of {len(by_step[steps[0]])}")
        if np.isfinite(low).any():
            axes.fill_between(steps, low, high, color=POLICY, alpha=0.2, label="95 % interval")
        kept = [score for score in scores if score.kept][-1:]
        for score in kept:
            value = (score.success or 0.0) if judged else score.mean_return
            axes.plot([score.step], [value], "o", color=POLICY, label=f"kept: seed {score.seed}")
        axes.set(xlabel="own steps of each seed", ylabel="success" if judged else "return")
        if judged:
            axes.set_ylim(-0.03, 1.03)
        axes.legend(frameon=False)
        save(figure, folder / PICTURE, dpi=110)
