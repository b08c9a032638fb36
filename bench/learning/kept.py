"""A cache of results, keyed by the settings of the measurement."""

import json

STAGES = ("demonstrations", "rounds", "rated")
"""Settings that only extend a run (each result's `stage`) and do not change existing results."""


def kept(file, args, stages, measure, others, only=False):
    """Return the results in `file` if it has all `stages` for these settings; otherwise those of `measure()`.

    `others`: arguments that do not affect a result. `only`: return cached results without measuring.
    """
    apart = {*others, *STAGES}
    settings = {key: value for key, value in vars(args).items() if key not in apart}
    settings = json.loads(json.dumps(settings, default=str))
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        done = {point["stage"] for point in found["points"]}
        if found["settings"] == settings and (only or done >= set(stages)):
            return found["points"]
    if only:
        return []
    points = list(measure())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"settings": settings, "points": points}) + "\n", encoding="utf-8")
    return points
