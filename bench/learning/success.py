"""Success versus expert effort: pooled over seeds, and plotted."""

import json
import sys

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from il_ros.records.trials import success_interval


def log_result(found):
    """Print the results to stderr and return them."""
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def pooled(points, methods, efforts):
    """Yield (row, its points) for each method and stage: means of the `efforts`, success of all seeds."""
    for method in methods:
        for stage in sorted({point["stage"] for point in points if point["method"] == method}):
            some = [point for point in points if (point["method"], point["stage"]) == (method, stage)]
            successes, count = (sum(point[key] for point in some) for key in ("successes", "episodes"))
            row = {
                "method": method,
                "stage": stage,
                "seeds": len(some),
                **{key: round(float(np.mean([point[key] for point in some])), 1) for key in efforts},
                "success": round(successes / count, 3),
                "interval_95": [round(bound, 3) for bound in success_interval(successes, count)],
            }
            yield row, some


def draw(rows, title, file):
    """Plot success versus labels, and versus ticks of the expert in control."""
    matplotlib.rcParams["svg.fonttype"] = "none"  # keep text as text
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("labels", "expert_ticks"), strict=True):
        for method in dict.fromkeys(row["method"] for row in rows):
            some = [row for row in rows if row["method"] == method]
            success = np.array([row["success"] for row in some])
            low, high = np.array([row["interval_95"] for row in some]).T
            spread = np.maximum([success - low, high - success], 0)
            axes.errorbar([row[key] for row in some], success, spread, marker="o", capsize=3, label=method)
        axes.set(xlabel=f"{key.replace('_', ' ')} (20 per second)", ylim=(0, 1.02))
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.grid(alpha=0.3)
    figure.axes[0].set(ylabel="success, 95 % interval", title=title)
    figure.axes[1].legend(fontsize=8)
    figure.savefig(file)


def numbers(text):
    """Return the numbers of an argument such as 0,1."""
    return tuple(int(part) for part in text.split(","))
