"""A bag whose recorder's clock was set back: the file's order shows it, and only what came before is used."""

import sqlite3

import made_episodes as made
import numpy as np
import pytest
from mcap.writer import IndexType, Writer

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.verify import verify

MS, S = made.MS, 1_000_000_000
_CAMERA = made.TEXT[made.TEXT.index("  camera:") : made.TEXT.index("actions:")]
CONTRACT = contracts.parse(made.TEXT.replace(_CAMERA, ""), "joints alone")


def taken(tick, written_at):
    """A state and the commands of a tick, with log times and stamps moved to another tick."""
    shift_ns = made.stamp(written_at) - made.stamp(tick)
    state = made.joints(tick, stamp_ns=made.stamp(written_at))
    return [state, *(item._replace(log_ns=item.log_ns + shift_ns) for item in made.commands(tick))]


def stepped(back_ticks, before=40, after=40):
    """Ticks 0..39; then the clock is set back, and ticks 40..79 get the time of earlier ones."""
    items = [item for tick in range(before) for item in taken(tick, tick)]
    return items + [item for tick in range(before, before + after) for item in taken(tick, tick - back_ticks)]


def own(folder, items, per_chunk=13):
    with BagWriter(folder) as bag:
        numbers = {item.topic: bag.add_stream(item.topic, item.type) for item in items[:3]}
        for place, item in enumerate(items):
            bag.write(numbers[item.topic], item.log_ns, item.raw)
            if place % per_chunk == per_chunk - 1:
                bag.flush()


def foreign(folder, items, **options):
    folder.mkdir(parents=True)
    with (folder / "rec_0.mcap").open("wb") as stream:
        writer = Writer(stream, **options)
        writer.start(profile="ros2")
        channels = {}
        for item in items:
            if item.topic not in channels:
                text = messages.definition(item.type).encode()
                schema = writer.register_schema(item.type, "ros2msg", text)
                channels[item.topic] = writer.register_channel(item.topic, "cdr", schema)
            writer.add_message(channels[item.topic], item.log_ns, item.raw, item.log_ns)
        writer.finish()


def split(folder, items):
    for part, some in enumerate((items[:60], items[60:])):
        foreign(folder / str(part), some)
        (folder / str(part) / "rec_0.mcap").rename(folder / f"rec_{part}.mcap")
        (folder / str(part)).rmdir()


def database(folder, items):
    """A bag of rosbag2's other storage, with the messages in the order of arrival."""
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as RosbagsWriter
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with RosbagsWriter(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = {}
        for item in items:
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(item.topic, item.type, typestore=store)
            writer.write(connections[item.topic], item.log_ns, item.raw)


WRITERS = {
    "own": own,
    "foreign": foreign,
    "small_chunks": lambda folder, items: foreign(folder, items, chunk_size=300),
    "without_index": lambda folder, items: foreign(folder, items, index_types=IndexType.NONE),
    "without_chunks": lambda folder, items: foreign(folder, items, use_chunking=False),
    "split": split,
    "database": database,
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("back_ticks", [8, 20, 70])  # 0.4 s, 1 s, 3.5 s: also onto the very same log times
def test_only_what_was_recorded_before_the_step_is_used(tmp_path, kind, back_ticks):
    WRITERS[kind](tmp_path / "rec", stepped(back_ticks))
    bag = open_bag(tmp_path / "rec")
    # the last state before it at tick 39, the first after it at tick 40 - back
    back_s = (back_ticks - 1) * 0.05
    assert str(bag.step) == f"the recorder's clock was set back by {back_s:.3f} s"
    kept = [messages.decode(item.type, item.raw) for item in bag.before_step(["/joint_states"])]
    assert [dict(zip(each.name, each.position, strict=True))["a"] for each in kept] == list(range(40))
    assert sum(1 for _ in bag.messages()) == 240  # nothing is hidden from other readers
    episode = Dataset.open(tmp_path, CONTRACT, validation=0.0).train[0]
    np.testing.assert_array_equal(episode.observations["joints"][:, 0], range(40))
    np.testing.assert_array_equal(episode.commands[:, 0], np.arange(40) + 1)
    said = f"{bag.step}; what was recorded after that is not used: 40 messages of /joint_states"
    assert episode.skipped == {said: 1}
    report = verify(tmp_path / "rec", CONTRACT)
    assert (report.frames, report.ticks) == (40, 40)
    assert f"1 left out: {said}" in report.warnings


@pytest.mark.parametrize("kind", WRITERS)
def test_a_clock_that_only_goes_forward_has_no_step(tmp_path, kind):
    items = [item for tick in range(40) for item in taken(tick, tick if tick < 20 else tick + 100)]
    WRITERS[kind](tmp_path / "rec", items)
    assert open_bag(tmp_path / "rec").step is None


def test_messages_that_overtake_each_other_are_no_step(tmp_path):
    items = stepped(0)
    items[6], items[9] = items[9], items[6]  # two states, 50 ms apart
    own(tmp_path / "rec", items)
    assert open_bag(tmp_path / "rec").step is None


def test_topics_written_one_after_the_other_are_no_step(tmp_path):
    own(tmp_path / "rec", stepped(0)[:3] + sorted(stepped(0)[3:], key=lambda item: item.topic))
    assert open_bag(tmp_path / "rec").step is None


def test_an_own_take_of_an_earlier_version_ends_at_the_step(tmp_path):
    """Earlier versions went on recording; `stopped_ns` may then be before the step, or before the start."""
    items = stepped(70)
    folder = made.write(tmp_path, items[:3], text=CONTRACT.text, stopped_ns=made.stamp(9))
    for file in folder.glob("*.mcap"):
        file.unlink()
    own(folder, items)
    bag = open_bag(folder)
    assert bag.step.before_ns == made.stamp(39) + 3 * MS
    episode = Dataset.open(tmp_path, CONTRACT, validation=0.0).train[0]
    assert len(episode) == 40


def test_decisions_after_the_step_are_no_ticks(tmp_path):
    items = [made.decision(tick) for tick in range(40)]
    shift_ns = made.stamp(6) - made.stamp(0)
    for tick in range(40, 60):  # the node's clock went back with the recorder's
        late = made.decision(tick, stamp_ns=made.stamp(tick) - shift_ns)
        items.append(late._replace(log_ns=made.stamp(tick) + 4 * MS - shift_ns))
    states = [made.joints(tick) for tick in range(40)]
    folder = made.write(tmp_path, [states[0], items[0]], text=CONTRACT.text)
    for file in folder.glob("*.mcap"):
        file.unlink()
    with BagWriter(folder) as bag:
        numbers = {item.topic: bag.add_stream(item.topic, item.type) for item in (states[0], items[0])}
        for item in [each for pair in zip(states, items, strict=False) for each in pair] + items[40:]:
            bag.write(numbers[item.topic], item.log_ns, item.raw)
    episode = Dataset.open(tmp_path, CONTRACT, validation=0.0).train[0]
    np.testing.assert_array_equal(episode.commands[:, 0], np.arange(40) + 1)


def test_a_damaged_index_is_the_readers_one_error(tmp_path):
    from il_ros.episodes.bag.reader import BagError

    database(tmp_path / "rec", stepped(20))
    (file,) = (tmp_path / "rec").glob("*.db3")
    bag = open_bag(tmp_path / "rec")
    connection = sqlite3.connect(file)
    connection.execute("DROP TABLE topics")
    connection.commit()
    connection.close()
    with pytest.raises(BagError, match="is damaged"):
        bag.step  # noqa: B018
