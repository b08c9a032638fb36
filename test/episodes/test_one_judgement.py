"""All readers judge a damaged file in the same way, and name what is damaged in bytes and seconds."""

import os
import shutil

import made_episodes as made
import pytest

from il_ros.cli.main import main
from il_ros.core import contract as contracts
from il_ros.episodes import catalogue, layout
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.bag.recovery import integrity
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.verify import verify
from il_ros.session import report
from il_ros.training.trainer.watcher import EpisodeWatcher


def damaged(root, number=1, padding=0):
    """Write an episode of 40 ticks in four chunks, damage the third chunk, and return folder, place and items."""
    items = sorted(made.recorded(40), key=lambda item: item.log_ns)
    folder = made.write(root, items, number=number)
    file = layout.bag_file(folder)
    file.unlink()
    with BagWriter(folder) as bag:
        topics = {item.topic: item.type for item in items}
        numbers = {topic: bag.add_stream(topic, kind) for topic, kind in topics.items()}
        if padding:
            bag.write(bag.add_stream("/padding", made.STRING), items[0].log_ns, bytes(padding))
        for k, item in enumerate(items):
            if k == 100:
                bag.flush()
                place = bag.written_bytes
            bag.write(numbers[item.topic], item.log_ns, item.raw)
            if k % 50 == 49:
                bag.flush()
    raw = bytearray(file.read_bytes())
    raw[place + 500] ^= 1
    file.write_bytes(raw)
    return folder, place, items


def readers(root, folder):
    """Return what each reader says about the episode, by the name of the reader."""
    entry = catalogue.look(folder)
    contract = contracts.parse(entry.info.contract_text, "the episode's")
    with pytest.raises(BagError) as raised:
        cache.Conversion(contract, root / "arrays").load(entry)
    shutil.rmtree(root / "arrays")
    return {
        "arrays": str(raised.value),
        "verify": verify(folder).errors[0],
        "list": next(each.reason for each in catalogue.scan(root).left_out if each.folder == folder),
        "dataset": dict(Dataset.open(root, contract).summary.left_out)[folder.name],
        "trainer": dict(EpisodeWatcher(root).look().damaged)[folder.name],
        "report": dict(report.read(root).left_out)[folder.name],
    }


def test_all_readers_name_the_same_bytes_and_seconds(tmp_path):
    """The damaged chunk holds the messages 100 to 149; the message before it is 99, the one after it 150."""
    folder, place, items = damaged(tmp_path)
    made.write(tmp_path, made.recorded(5), number=2)
    (span,) = catalogue.look(folder).damage
    assert span.start == place
    seconds = [(items[k].log_ns - items[0].log_ns) / 1e9 for k in (99, 150)]
    assert [span.after_s, span.before_s] == seconds
    words = (
        f"{folder.name}_0.mcap, bytes {place} to {span.end} (after {seconds[0]:.3f} s and before "
        f"{seconds[1]:.3f} s): a chunk is damaged and left out"
    )
    for reader, reason in readers(tmp_path, folder).items():
        assert words in reason, reader
        assert f"il-ros episodes recover {folder}" in reason, reader


def test_a_damaged_chunk_without_the_wanted_topics_is_damage_too(tmp_path):
    """The trainer counts decisions only; the damaged file below has none in its damaged chunk."""
    folder = made.write(tmp_path, made.recorded(10))
    made.write(tmp_path, made.recorded(5), number=2)
    with BagWriter(folder.with_name("more")) as bag:
        numbers = {}
        for item in made.recorded(10):
            if item.topic not in numbers:
                numbers[item.topic] = bag.add_stream(item.topic, item.type)
            bag.write(numbers[item.topic], item.log_ns, item.raw)
        bag.flush()
        place = bag.written_bytes
        bag.write(numbers["/camera/image_raw"], made.recorded(10)[-1].log_ns, made.image(9).raw)
    raw = bytearray(layout.bag_file(folder.with_name("more")).read_bytes())
    raw[place + 120] ^= 1
    layout.bag_file(folder).write_bytes(raw)
    shutil.rmtree(folder.with_name("more"))
    assert all("a chunk is damaged and left out" in reason for reason in readers(tmp_path, folder).values())


def test_the_damage_of_a_large_file_is_known_once_it_was_read(tmp_path, monkeypatch):
    """`list` doesn't read large files; the result of a reader that does is kept beside the arrays."""
    monkeypatch.setattr(catalogue, "CHECKED_BYTES", 50_000)
    folder, _, _ = damaged(tmp_path, padding=60_000)
    assert catalogue.look(folder).state == "ready"
    (tmp_path / ".cache").mkdir()
    assert "is damaged" in verify(folder).errors[0]
    integrity._known.clear()  # as in another process
    assert catalogue.look(folder).state == "broken"
    raw = layout.bag_file(folder).read_bytes()
    layout.bag_file(folder).write_bytes(raw)  # changed since: nothing is known of it
    os.utime(layout.bag_file(folder), ns=(1, 1))
    assert catalogue.look(folder).state == "ready"


def test_the_damage_of_a_split_recording_is_said_where_its_frames_are_used(tmp_path, capsys):
    root = tmp_path / "bags"
    inner, place, items = damaged(tmp_path / "one")
    rest = made.write(tmp_path / "two", [item._replace(log_ns=item.log_ns + 10**10) for item in items[:50]])
    (root / "rec").mkdir(parents=True)
    for number, folder in enumerate((inner, rest)):
        layout.bag_file(folder).rename(root / "rec" / f"rec_{number}.mcap")
    contract = contracts.parse(made.TEXT, "made up")
    words = f"rec_0.mcap, bytes {place} to "
    entry = catalogue.look(root / "rec")
    assert (entry.state, words in entry.reason) == ("foreign", True)
    opened = Dataset.open(root, contract)
    assert opened.summary.frames > 0
    assert any(words in warning for warning in opened.summary.warnings)
    found = verify(root / "rec", contract)
    assert found.ok
    assert any(words in warning for warning in found.warnings)
    (tmp_path / "made_up.yaml").write_text(made.TEXT)
    assert main(["episodes", "replay", str(root / "rec"), "--contract", str(tmp_path / "made_up.yaml")]) == 0
    assert words in capsys.readouterr().out


def test_a_topic_under_another_name_is_said(tmp_path):
    """Of another recorder's bag, `joint_states` of the contract is read from `/robot/joint_states`."""
    items = [item._replace(topic="/robot" + item.topic) for item in made.recorded(10, decisions=False)]
    folder = made.write(tmp_path, items)
    (folder / "episode.json").unlink()
    contract = contracts.parse(made.TEXT, "made up")
    said = "topic joint_states was found under another name, /robot/joint_states"
    assert any(said in warning for warning in verify(folder, contract).warnings)
    assert any(said in warning for warning in Dataset.open(tmp_path, contract).summary.warnings)
    other = [item._replace(topic="/left" + item.topic[6:]) for item in items if "joint" in item.topic]
    (tmp_path / "second").mkdir()
    folder = made.write(tmp_path / "second", [*items, *other])
    (folder / "episode.json").unlink()
    (error,) = verify(folder, contract).errors
    assert "in the bag as /left/joint_states and as /robot/joint_states: only one is accepted" in error
