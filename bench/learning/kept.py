"""What was measured is kept with the settings it was measured by, and not measured again."""

import json

STAGES = ("demonstrations", "rounds", "rated")
"""Settings that say how far to go, as each point's `stage` does: more of them make no other points."""


def kept(file, args, stages, measure, others, only=False):
    """Return the points in `file`, if it has all `stages` by these settings; else those of `measure()`.

    `others`: arguments that a point doesn't depend on. `only`: measure nothing, return what is there.
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
