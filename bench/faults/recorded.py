"""What an episode's bag holds, also after its recorder was killed or its disk lost bytes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from il_ros.core import messages
from il_ros.episodes import layout
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.recover import recover
from il_ros.records import decision

STRING = "std_msgs/msg/String"


def decision_stamps(folder: Path) -> set[int]:
    """Return the ticks of the decisions in an episode's bag; a copy of an interrupted one is recovered first."""
    with tempfile.TemporaryDirectory() as place:
        complete = False
        with contextlib.suppress(layout.LayoutError):  # a power cut may leave an empty episode.json
            complete = layout.load_info(folder).complete
        if not complete:
            folder = Path(shutil.copytree(folder, Path(place) / folder.name))
            recover(folder)
        found = set()
        for item in open_bag(folder).messages():
            if item.topic == "/dagger_supervisor/decision":
                with contextlib.suppress(ValueError):
                    found.add(decision.from_json(messages.decode(STRING, item.raw).data).stamp_ns)
        return found
