"""What was measured is kept with the settings it was measured by, and not measured again."""

import json


def kept(file, settings, measure, only=False):
    """Return the points in `file`, if they were measured by these settings; else those of `measure()`.

    `only`: measure nothing; what isn't there is left out.
    """
    settings = json.loads(json.dumps(settings, default=str))
    if file.exists():
        found = json.loads(file.read_text(encoding="utf-8"))
        if found["settings"] == settings:
            return found["points"]
    if only:
        return []
    points = list(measure())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"settings": settings, "points": points}) + "\n", encoding="utf-8")
    return points
