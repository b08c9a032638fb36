"""Cutting of long bags into episodes."""

import made_episodes as made
import numpy as np
import pytest
from gymnasium import spaces

from il_ros.cli.main import main
from il_ros.core import messages
from il_ros.envs.from_env import contract_of_spaces
from il_ros.envs.write_episode import write_episode
from il_ros.episodes import cut as cutting
from il_ros.episodes import layout
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.catalogue import scan
from il_ros.episodes.cut import CutError, CutOptions, by_button, by_flag, by_times, cut

OPTIONS = CutOptions(contract=made.CONTRACT, task="fold", outcome="success")


def flag(tick, value):
    return made._recorded(
        "/demonstrating", cutting.BOOL, messages.make(cutting.BOOL, data=value), made.stamp(tick)
    )


def joy(tick, pressed):
    message = messages.make(
        cutting.JOY, header=messages.header(made.stamp(tick)), buttons=np.array([0, pressed], dtype=np.int32)
    )
    return made._recorded("/joy", cutting.JOY, message, made.stamp(tick))


def static(tick):
    return made._recorded(
        "/robot_description", made.STRING, messages.make(made.STRING, data="<robot/>"), made.stamp(tick)
    )


@pytest.fixture
def long(tmp_path):
    """A bag of another recorder: 100 ticks of 50 ms, without decisions; on in ticks 10 to 30 and 50 to 60."""
    items = [*made.recorded(100, decisions=False), static(0)]
    items += [
        flag(tick, on)
        for tick, on in ((0, False), (10, True), (20, True), (30, False), (50, True), (60, False))
    ]
    items += [
        joy(tick, pressed) for tick, pressed in ((5, 0), (12, 1), (13, 1), (14, 0), (40, 1), (41, 0), (90, 1))
    ]
    folder = tmp_path / "long"
    with BagWriter(folder) as bag:
        numbers = {}
        for item in sorted(items, key=lambda each: each.log_ns):
            if item.topic not in numbers:
                numbers[item.topic] = bag.add_stream(item.topic, item.type)
            bag.write(numbers[item.topic], item.log_ns, item.raw)
    return folder


def ticks_of(root):
    """The ticks of each episode's frames, by the joints that count them."""
    episodes = Dataset.open(root, made.CONTRACT, validation=0).train
    return [np.asarray(episode.observations["joints"])[:, 0].tolist() for episode in episodes]


def test_a_topic_that_is_true_is_a_demonstration(long, tmp_path):
    bag = open_bag(long)
    found, notes = by_flag(bag, "/demonstrating")
    assert ([(each.start_ns, each.stop_ns) for each in found], notes) == (
        [(made.stamp(10), made.stamp(30)), (made.stamp(50), made.stamp(60))],
        [],
    )
    report = cut(bag, tmp_path / "episodes", found, OPTIONS)
    assert [folder.name for folder in report.folders] == ["episode_000001", "episode_000002"]
    assert ticks_of(tmp_path / "episodes") == [list(range(10, 30)), list(range(50, 60))]
    info = layout.load_info(report.folders[1])
    assert (info.complete, info.task, info.outcome, info.duration_s) == (True, "fold", "success", 0.5)
    assert info.stop_reason == "cut from long, 2.500-3.000 s"


def test_every_message_of_a_span_is_copied_as_it_is(long, tmp_path):
    bag = open_bag(long)
    cut(bag, tmp_path / "episodes", by_times(bag, [(2.0, 2.5)]), OPTIONS)
    copied = list(open_bag(tmp_path / "episodes/episode_000001").messages())
    begin, end = bag.start_ns + 10**9, bag.start_ns + 25 * 10**8
    wanted = [item for item in bag.messages() if begin <= item.log_ns <= end]
    assert [item for item in copied if item.topic != "/robot_description"] == wanted
    (described,) = [item for item in copied if item.topic == "/robot_description"]
    assert described.log_ns == begin  # it was sent once, at the beginning of the long bag


def test_static_transforms_of_all_their_publishers_are_in_each_episode(tmp_path):
    kind = "tf2_msgs/msg/TFMessage"

    def transform(child, tick):
        moved = messages.make(
            "geometry_msgs/msg/TransformStamped", header=messages.header(0, "base"), child_frame_id=child
        )
        return made._recorded("/tf_static", kind, messages.make(kind, transforms=[moved]), made.stamp(tick))

    # two drivers, each with a frame of its own; the camera's is sent again
    items = [
        transform("tool", 0),
        transform("camera", 1),
        transform("camera", 2),
        *map(made.joints, range(100)),
    ]
    with BagWriter(tmp_path / "long") as bag:
        numbers = {
            topic: bag.add_stream(topic, made_of)
            for topic, made_of in (("/tf_static", kind), ("/joint_states", made.JOINTS))
        }
        for item in sorted(items, key=lambda each: each.log_ns):
            bag.write(numbers[item.topic], item.log_ns, item.raw)
    bag = open_bag(tmp_path / "long")
    cut(bag, tmp_path / "episodes", by_times(bag, [(2.0, 2.5), (4.0, 4.5)]), CutOptions())
    for number, begin_s in ((1, 1.0), (2, 3.0)):
        copied = open_bag(tmp_path / f"episodes/episode_00000{number}").messages()
        static = [item for item in copied if item.topic == "/tf_static"]
        children = [messages.decode(kind, item.raw).transforms[0].child_frame_id for item in static]
        assert children == ["tool", "camera"]
        assert {item.log_ns for item in static} == {bag.start_ns + round(begin_s * 1e9)}


def test_presses_of_a_button_begin_and_end_demonstrations(long, tmp_path):
    bag = open_bag(long)
    found, notes = by_button(bag, "/joy", 1)
    assert [(each.start_ns, each.stop_ns) for each in found] == [
        (made.stamp(12), made.stamp(40)),
        (made.stamp(90), bag.end_ns),
    ]
    assert notes == ["the last demonstration was not ended by button 1 of /joy: it ends with the bag"]
    cut(bag, tmp_path / "episodes", found, OPTIONS)
    assert ticks_of(tmp_path / "episodes") == [list(range(12, 40)), list(range(90, 100))]


def test_a_repeated_cut_says_what_is_there_and_writes_only_what_is_new(long, tmp_path, capsys):
    root, file = tmp_path / "episodes", tmp_path / "own.yaml"
    file.write_text(made.TEXT)
    words = ["episodes", "cut", str(long), "--contract", str(file), "--root", str(root)]
    assert main([*words, "--span", "1-2"]) == 0
    assert "1 episode" in capsys.readouterr().out
    assert main([*words, "--span", "1-2", "--span", "3-4"]) == 0
    said = capsys.readouterr().out
    assert "1.000-2.000 s is there already: episode_000001; delete it to cut it again" in said
    assert [entry.name for entry in scan(root).entries] == ["episode_000001", "episode_000002"]
    assert main([*words, "--span", "1-2"]) == 0
    assert "0 episodes, 0 messages" in capsys.readouterr().out
    assert len(scan(root).entries) == 2


def test_a_packaged_contract_is_found_by_its_name(long, tmp_path, capsys):
    words = ["episodes", "cut", str(long), "--root", str(tmp_path / "episodes"), "--span", "1-2"]
    assert main([*words, "--contract", "arm_push"]) == 1
    assert "doesn't fit contract 'arm_push'" in capsys.readouterr().err
    assert main([*words, "--contract", "arm_pusch"]) == 1
    assert "contract 'arm_pusch' is neither a .yaml file nor one of" in capsys.readouterr().err


def test_overlapping_demonstrations_are_both_whole(long, tmp_path):
    bag = open_bag(long)
    cut(bag, tmp_path / "episodes", by_times(bag, [(1.0, 2.0), (1.5, 2.5)]), OPTIONS)
    assert ticks_of(tmp_path / "episodes") == [list(range(20, 40)), list(range(30, 50))]


def test_an_interrupted_cut_leaves_no_episode_that_looks_whole(long, tmp_path):
    bag = open_bag(long)

    def failing(items, total):
        for item in items:
            if item.log_ns > made.stamp(55):
                raise KeyboardInterrupt
            yield item

    found, _ = by_flag(bag, "/demonstrating")
    with pytest.raises(KeyboardInterrupt):
        cut(bag, tmp_path / "episodes", found, OPTIONS, failing)
    assert [entry.state for entry in scan(tmp_path / "episodes").entries] == ["ready", "incomplete"]


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (
            lambda bag: by_flag(bag, "/nothing"),
            r"/nothing is not in it; a topic of std_msgs/msg/Bool is needed: /demons",
        ),
        (lambda bag: by_flag(bag, "/joy"), r"/joy is sensor_msgs/msg/Joy; a topic of std_msgs/msg/Bool"),
        (lambda bag: by_button(bag, "/joy", 7), r"/joy has 2 buttons; there is no button 7"),
        (lambda bag: by_button(bag, "/joy", 0), r"button 0 of /joy .* begins no demonstration"),
        (lambda bag: by_times(bag, [(1.0, 99.0)]), r"1-99 s is not within it; it lasts 4.95"),
        (lambda bag: by_times(bag, [(3.0, 2.0)]), r"3-2 s must end after its start"),
    ],
)
def test_what_can_not_be_cut_is_named(long, find, message):
    with pytest.raises(CutError, match=message):
        find(open_bag(long))


def test_a_contract_that_the_bag_does_not_serve_is_refused_before_anything_is_written(long, tmp_path):
    bag = open_bag(long)
    other = contract_of_spaces("other", spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (1,)), 20.0)
    with pytest.raises(
        MismatchError, match="doesn't fit contract 'other': observation needs topic observation"
    ):
        cut(bag, tmp_path / "episodes", by_times(bag, [(1.0, 2.0)]), CutOptions(contract=other))
    assert not (tmp_path / "episodes").exists()


def test_a_part_of_an_own_episode_keeps_the_contract_that_it_was_recorded_under(tmp_path, capsys):
    contract = contract_of_spaces("mine", spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (1,)), rate_hz=20.0)
    whole = write_episode(tmp_path / "whole", contract, {"observation": np.zeros((80, 3))}, np.zeros((80, 1)))
    bag = open_bag(whole)
    (part,) = cut(bag, tmp_path / "parts", by_times(bag, [(1.0, 3.0)])).folders
    found, origin = layout.load_info(part), layout.load_info(whole)
    assert (found.contract_name, found.contract_hash) == ("mine", contract.hash)
    assert (found.contract_text, found.topics) == (origin.contract_text, origin.topics)
    assert main(["episodes", "verify", str(part)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--span", "1-"], "--span 1-: must be two times in seconds, such as 12.5-20"),
        (["--span", "2-1"], "--span 2-1: must end after it begins"),
        (["--span", "1-2", "--topic", "/joy"], "--topic /joy and --span 1-2: only one of them"),
        (["--span", "1-2", "--button", "3"], "--button 3 needs the --topic of a gamepad, not --span"),
        (
            ["--button", "3"],
            "--button 3 needs the --topic of a gamepad; give --topic, perhaps with --button, or --span",
        ),
        (["--span", "1-2", "--pre-roll", "61"], "--pre-roll is 61; it must be from 0 to 60 s"),
        (["--span", "1-2", "--root", __file__], f"{__file__}: is not a folder"),
    ],
)
def test_what_cannot_be_cut_names_the_option(long, tmp_path, capsys, wrong, says):
    assert main(["episodes", "cut", str(long), "--root", str(tmp_path / "episodes"), *wrong]) == 1
    assert f"il-ros episodes cut: {says}" in capsys.readouterr().err
    assert not (tmp_path / "episodes").exists()


def test_a_file_that_is_no_bag_is_called_so(tmp_path, capsys):
    file = tmp_path / "notes.txt"
    file.write_text("a list")
    assert main(["episodes", "cut", str(file), "--root", str(tmp_path / "episodes"), "--span", "1-2"]) == 1
    assert f"{file}: is no file of a bag, which ends in .mcap or .db3" in capsys.readouterr().err


def test_the_command_cuts_and_the_episodes_are_trained_on(long, tmp_path, capsys):
    root, contract = tmp_path / "episodes", tmp_path / "made_up.yaml"
    contract.write_text(made.TEXT)
    words = ["episodes", "cut", str(long), "--root", str(root), "--contract", str(contract)]
    assert main([*words, "--topic", "/demonstrating"]) == 0
    said = capsys.readouterr().out
    assert "2 episodes, " in said
    assert f", in {root}: episode_000001 to episode_000002\n" in said
    assert f"next: il-ros train {root}" in said
    quick = ["--set", "inputs=[joints]", "--set", "epochs=2", "--set", "hidden=[8]"]
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *quick]) == 0
