"""What reward models say of the newest tick of a running episode: the message of the node `judge`.

std_msgs/String with one JSON object, on `judge/rating`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from il_ros.core.messages import MessageError
from il_ros.records import strict_json as check

TOPIC = "judge/rating"


class RatingError(MessageError):
    """A text that is not a rating; the error names the field."""


@dataclass(frozen=True)
class Rating:
    """`stamp_ns`: the tick. `episode`: the one that the recorder records, "" for none. None: no model says it.

    `probability`: of success, by the success model `success`. `ends`: it has been sure for long enough that the episode
    is a success, after it had not been one at its beginning.
    `progress` (0..1), by the progress model `progressing`. `stalled`: how long there has been no progress, in units of
    the longest such time in a success; above 1 the episode does worse than any of those. `why`: that in words.
    """

    stamp_ns: int
    episode: str = ""
    success: str = ""
    probability: float | None = None
    ends: bool = False
    progressing: str = ""
    progress: float | None = None
    stalled: float | None = None
    why: str = ""

    def words(self) -> str:
        """Return who says that the episode is a success, and how sure that is: 'success-1a2b3c4d, p = 0.97'."""
        return f"{self.success}, p = {self.probability or 0.0:.2f}"


def to_json(rating: Rating) -> str:
    """Return the text of a rating."""
    return json.dumps(asdict(rating))


def from_json(text: str) -> Rating:
    """Return the rating in a text; raises RatingError on any other text."""
    try:
        return Rating(**_RATING(check.loads(text), ""))
    except check.JsonError as error:
        raise RatingError(f"not a rating: {error}: {text[:80]!r}") from None


_RATING = check.record(
    "a rating",
    {
        "stamp_ns": check.whole(),
        "episode": check.text,
        "success": check.text,
        "probability": check.or_null(check.number(0.0)),
        "ends": check.flag,
        "progressing": check.text,
        "progress": check.or_null(check.number(0.0)),
        "stalled": check.or_null(check.number(0.0)),
        "why": check.text,
    },
    ["episode", "success", "probability", "ends", "progressing", "progress", "stalled", "why"],
)
