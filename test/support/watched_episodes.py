"""A trainer with `watch`, and a training stopped while it writes."""

import json
import signal
import threading
import time

import made_versions as made

from il_ros.episodes import layout
from il_ros.nodes.trainer.node import Trainer
from il_ros.policies.versions import CHECKPOINT, RUNNING

STRING = "std_msgs/msg/String"
LONG_S = 120.0  # a process that imports torch, on a busy machine
QUICK = ["hidden=[8]", "epochs=3"]
BIG = ["hidden=[1500, 1500]", "epochs=1"]  # 9 MB of weights
ENDLESS = ["hidden=[8]", "epochs=1000000"]


class Watched:
    """A trainer that watches two demonstrations of 20 labels each."""

    def __init__(self, graph, tmp_path, changes=QUICK, **parameters):
        self.graph, self.root, self.versions = graph, tmp_path / "episodes", tmp_path / "policies"
        for number in (1, 2):
            if not (self.root / layout.episode_name(number)).exists():
                made.episode(self.root, number)
        self._progress = graph.received("trainer/progress", STRING, 1000)
        self.node = graph.start(
            Trainer,
            root=str(self.root),
            checkpoint=str(self.versions),
            changes=changes,
            **{
                "recipe": "bc_mlp",
                "watch": True,
                "train_after": 30,
                "warm_epochs": 2,
                "background": False,
                **parameters,
            },
        )

    @property
    def events(self):
        return [json.loads(message.data) for message in self._progress]

    def until(self, event, count=1):
        """Return the count-th event of that name."""

        def found():
            some = [each for each in self.events if each["event"] == event]
            return some[count - 1] if len(some) >= count else None

        return self.graph.until(found, f"event {event} ({count})", LONG_S)


def stopped_while_writing(until, process, folder, number):
    """Stop the process that trains version `number` under `folder` once it has begun to write.

    Return the partial folder, or None if it finished first. `until(condition, what)` waits.
    """
    run = folder / f"v{number}{RUNNING}"
    place = run / f".{CHECKPOINT}.{process.pid}"
    caught = threading.Event()

    def stop_at_first_file():
        while not (place.exists() or (run / CHECKPOINT).exists()):
            time.sleep(0.0002)
        process.send_signal(signal.SIGSTOP)
        caught.set()

    threading.Thread(target=stop_at_first_file, daemon=True).start()
    until(caught.is_set, "the writing")
    return place if place.exists() and not (run / CHECKPOINT).exists() else None
