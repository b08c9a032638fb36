"""Memory and time of making arrays: a camera may be the trigger, a take may be long, and there may be many."""

import tracemalloc

import made_episodes as made
import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import BagMessage
from il_ros.episodes.catalogue import look

MB = 1_000_000
STEPS = 600
RESIZED = made.TEXT.replace("encoding: rgb8}", "encoding: rgb8, fit: resize}")


def joints(tick, number, log_ns):
    """Joint states of so many joints, of which the contract reads three."""
    names = ["a", "b", "gripper", *(f"other_{index}" for index in range(number - 3))]
    message = messages.make(
        made.JOINTS, header=messages.header(made.stamp(tick)), name=names, position=np.full(number, 0.01)
    )
    return BagMessage("/joint_states", made.JOINTS, messages.encode(made.JOINTS, message), log_ns)


def peak_bytes(folder, text, items):
    """Return the memory that the conversion of a bag with these messages takes, without the file, which is mapped."""
    own = contract.parse(text, "contract.yaml")
    warm = look(made.write(folder / "warm", items[: len(items) // 20], text=text))
    cache.Conversion(own, folder / "cache").load(warm)  # imports everything
    entry = look(made.write(folder / "episodes", items, text=text))
    tracemalloc.start()
    try:
        cache.Conversion(own, folder / "cache").load(entry)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("trigger", ["joint_states", "camera/image_raw"])
def test_pictures_are_not_kept_also_where_they_are_the_trigger(tmp_path, trigger):
    """Robots' policies often run at their camera's rate; the bytes of 600 pictures would be 35 MB."""
    items = []
    for tick in range(STEPS):
        items += [made.image(tick, 160, 120), made.joints(tick), *made.commands(tick), made.decision(tick)]
    text = RESIZED.replace("trigger: joint_states", f"trigger: {trigger}")
    assert peak_bytes(tmp_path, text, items) < 15 * MB


def test_messages_between_the_ticks_are_not_kept(tmp_path):
    """Two messages of 1,000 joints a tick: the 1,200 would be 25 MB, their arrays are 0.1 MB."""
    items = []
    for tick in range(STEPS):
        at = [made.stamp(tick) + part * made.PERIOD_NS // 2 for part in range(2)]
        items += [joints(tick, 1000, log_ns + made.MS) for log_ns in at]
        items += [made.image(tick), *made.commands(tick), made.decision(tick)]
    assert peak_bytes(tmp_path, made.TEXT, items) < 15 * MB


def test_a_second_training_reads_no_bag_again(tmp_path, monkeypatch):
    for number in range(1, 13):
        made.write(tmp_path, made.recorded(10), number)
    first = Dataset.open(tmp_path, made.CONTRACT, validation=0.0)

    def unread(*_, **__):
        raise AssertionError("a bag is read again")

    monkeypatch.setattr(cache, "open_bag", unread)
    again = Dataset.open(tmp_path, made.CONTRACT, validation=0.0)
    assert len(again.train) == 12
    for one, two in zip(first.train, again.train, strict=True):
        np.testing.assert_array_equal(one.commands, two.commands)
